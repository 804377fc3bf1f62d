"""Measure a model in a process of its own and tell it, as JSON.

    python -m benchmarks.model_run MODEL ROUNDS IMAGES

On the processor, on all cores, with the first so many of the demo images, whose labels say what is
alike.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.index_run import peak_bytes
from benchmarks.machine import ROOT
from imagefinder.ahead import ahead, chunks
from imagefinder.arrays import Embeddings, Pixels
from imagefinder.decode import decode
from imagefinder.ingest.run import BATCH
from imagefinder.models import Model, RowModel, find_model
from imagefinder.protocols import Embedder
from tools.retrieval_quality import average_precisions, demo_images, precision_at

Item = TypeVar("Item")

RESAMPLES = 2000
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Quality:
    """Each image as a query against the others. `low` and `high`: 95% interval of the mAP."""

    mean_average_precision: float
    low: float
    high: float
    precision_at_1: float
    precision_at_5: float


@dataclass(frozen=True, slots=True)
class ModelRun:
    """What one process measured; an element of `images_per_second` a round."""

    dim: int
    graph_bytes: int
    peak_bytes: int
    images_per_second: list[float]
    quality: Quality


def model_run(reference: str, rounds: int, images: int) -> ModelRun:
    """Measure a model in a new process."""
    arguments = [reference, str(rounds), str(images)]
    command = [sys.executable, "-m", "benchmarks.model_run", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    return ModelRun(**(told | {"quality": Quality(**told["quality"])}))


def main(reference: str, rounds: str, images: str) -> None:
    from imagefinder.cli.arenas import one_arena_a_core

    one_arena_a_core()  # as the command does
    print(json.dumps(asdict(measured(find_model(reference), int(rounds), int(images)))))


def measured(model: Model, rounds: int, images: int) -> ModelRun:
    """The peak is of loading it and of embedding the images from their files: it is taken before
    their pixels are kept for the rounds, which are to measure the model and not the decoder."""
    embedder = model.load(device="cpu", fetch=False)
    files, labels = demo_images()
    files, labels = files[:images], labels[:images]

    def pixels_of(file: Path) -> Pixels:
        return decode(file.read_bytes(), at_least=embedder.spec.decode_size).pixels

    rows = embedded(embedder, files, pixels_of)
    peak = peak_bytes()
    pictures = [pixels_of(file) for file in files]
    return ModelRun(
        dim=rows.shape[1],
        graph_bytes=graph_bytes(model),
        peak_bytes=peak,
        images_per_second=[rate(embedder, pictures) for _ in range(rounds)],
        quality=quality_of(rows, labels),
    )


def embedded(
    embedder: Embedder, items: Iterable[Item], pixels_of: Callable[[Item], Pixels]
) -> Embeddings:
    """(n, dim), on as many threads as there are cores, in tasks as large as those of indexing."""

    def work(batch: list[Item]) -> Embeddings:
        return embedder.embed(np.stack([embedder.preprocess(pixels_of(item)) for item in batch]))

    parts = ahead(work, chunks(items, BATCH), workers=CORES, window=3 * CORES)
    return np.concatenate(list(parts))


def rate(embedder: Embedder, pictures: list[Pixels]) -> float:
    """Images a second, from pixels to embeddings."""
    start = perf_counter()
    embedded(embedder, pictures, lambda pixels: pixels)
    return len(pictures) / (perf_counter() - start)


def quality_of(embeddings: Embeddings, labels: NDArray[np.str_]) -> Quality:
    """By the cosine, as spaces compare where nothing else was chosen."""
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = average_precisions(rows, labels)
    low, high = interval(found)
    return Quality(
        mean_average_precision=float(found.mean()),
        low=low,
        high=high,
        precision_at_1=precision_at(1, rows, labels),
        precision_at_5=precision_at(5, rows, labels),
    )


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean, 95%, by bootstrap over the queries."""
    picks = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def graph_bytes(model: Model) -> int:
    """Of what embeds pictures, weights in files beside it included; a text side is another."""
    return sum(file.stat().st_size for file in graph_files(model))


def graph_files(model: Model) -> list[Path]:
    from imagefinder.models.folder import files_in, locations
    from imagefinder.models.model import FolderModel
    from imagefinder.models.weights import MODELS

    if isinstance(model, RowModel):
        if model.graph is None:
            return [MODELS / model.row.package_file]
        return [dict(model.fetched(fetch=False))[model.graph][0]]
    if isinstance(model, FolderModel):
        graph = files_in(model.folder, name=model.name).graph
        assert isinstance(graph, Path)
        return [graph, *(graph.parent / name for name in sorted(set(locations(graph))))]
    from imagefinder.models.torch.files import find_files

    return list(find_files(model.reference, fetch=False).weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
