"""A model of transformers -> a folder that ONNX Runtime runs, without PyTorch."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.arrays import Embeddings, Tensors
from imagefinder.errors import MissingExtraError, ModelError, UsageError
from imagefinder.models.folder import files_in
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.onnx.load import load_onnx
from imagefinder.models.processor import Config, read_config, read_processor
from imagefinder.models.torch.files import NetworkFiles, OnProgress, find_files, nobody
from imagefinder.models.torch.load import require_torch
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.types import Preprocessing

if TYPE_CHECKING:
    from imagefinder.models.torch.network import Network

ALIKE = 0.9999  # the least cosine between what PyTorch and ONNX Runtime make of the same
SAMPLES = ("a photo of a cat", "Two dogs on a beach, in the evening.", "word " * 500)


@dataclass(frozen=True, slots=True)
class Converted:
    """What was made. `output` says which of the network's answers is the embedding, `cosine` how
    alike the two runtimes were at the least."""

    folder: Path
    dim: int
    output: str
    has_text: bool
    cosine: float


def quietly(note: str) -> None:
    """Nobody listens."""


def convert(
    reference: str,
    folder: Path,
    *,
    fetch: bool = True,
    on_note: Callable[[str], None] = quietly,
    on_progress: OnProgress = nobody,
) -> Converted:
    """Make `folder` out of a folder or a hub id. It is there whole, and checked, or not at all.

    `on_note` is told what is being done. Raises ModelError, UsageError, and MissingExtraError where
    the extra `torch` is not installed.
    """
    require_torch()
    if find_spec("onnxscript") is None:
        raise MissingExtraError("the conversion of a model", "torch")
    from imagefinder.models.torch.embedder import embedder_with
    from imagefinder.models.torch.network import load_network

    with building(folder.expanduser().absolute()) as unfinished:
        files = find_files(reference, fetch=fetch, on_progress=on_progress)
        on_note("loading the network")
        network = load_network(files, read_processor(files.processor))
        embedder = embedder_with(network, files, name=reference, device="cpu", dtype="float32")
        on_note("writing the graphs")
        write(files, network, embedder.spec.preprocessing, unfinished)
        on_note("comparing the two")
        converted = load_onnx(files_in(unfinished, name=reference), device="cpu")
        cosine = compare(embedder, converted)
    text = isinstance(embedder, TextEmbedder)
    return Converted(folder, embedder.spec.dim, embedder.spec.output, text, cosine)


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """A folder beside it, which takes its name at the end, or goes. Raises ModelError where the
    disk fails, UsageError where something is there already."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder}: it exists and is not empty; name a new folder")
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise ModelError(
            f"{folder}: the model cannot be written there ({error.strerror or error})"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write(files: NetworkFiles, network: "Network", how: Preprocessing, folder: Path) -> None:
    """All the files of the folder. Raises ModelError."""
    from imagefinder.models.torch.export import export_pictures, export_words
    from imagefinder.models.torch.texts import read_texts

    config = {**read_config(files.processor)}
    config.pop("imagefinder", None)  # what it says is of another graph
    write_json(folder / "preprocessor_config.json", config)
    export_pictures(network, how, folder / "model.onnx", files.reference)
    if network.words is not None:
        texts = read_texts(files)
        texts.tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "tokenizer_config.json", {"model_max_length": texts.length})
        export_words(network.words, texts, folder / "text_model.onnx", files.reference)


def write_json(path: Path, config: Config) -> None:
    """For people to read, too."""
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def compare(embedder: Embedder, converted: OnnxEmbedder) -> float:
    """The least cosine between the two. Raises ModelError where it is too low."""
    pictures = samples(embedder.spec.preprocessing)
    cosine = least(embedder.embed(pictures), converted.embed(pictures))
    if isinstance(embedder, TextEmbedder) and isinstance(converted, TextEmbedder):
        words = least(embedder.embed_texts(SAMPLES), converted.embed_texts(SAMPLES))
        cosine = min(cosine, words)
    if not cosine >= ALIKE:
        raise ModelError(
            f"{embedder.spec.name}: the converted model makes something else of the same picture or"
            f" text (cosine {cosine:.4f}), so it was not kept; use the model with the extra torch"
        )
    return cosine


def samples(how: Preprocessing) -> Tensors:
    """Noise, stripes and a slope, as tensors."""
    noise = np.random.default_rng(0).standard_normal((3, 3, how.height, how.width))
    rows, columns = np.mgrid[0 : how.height, 0 : how.width]
    drawn = [np.sin(columns / 3), np.sign(np.sin(rows / 5)), (rows + columns) / how.height - 1]
    colours = np.array([1.0, 0.5, -0.5])[:, None, None]
    return np.stack([*noise, *(colours * each for each in drawn)]).astype(np.float32)


def least(some: Embeddings, others: Embeddings) -> float:
    """The least cosine between rows of the same number."""
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return float(np.min(np.sum(some * others, axis=1) / lengths))
