"""Models of transformers as ONNX folders: the same embeddings, through our own ONNX code."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the conversion needs the extra torch")
pytest.importorskip("transformers", reason="the conversion needs the extra torch")

import torch

from imagefinder.arrays import Pixels
from imagefinder.errors import MissingExtraError, ModelError, UsageError
from imagefinder.models import convert as conversion
from imagefinder.models.convert import convert
from imagefinder.models.folder import files_in
from imagefinder.models.onnx.load import load_onnx
from imagefinder.models.torch.load import load_torch
from imagefinder.protocols import TextEmbedder
from tests.small_networks import WITH_TEXT, cosines, embedded, five_pictures, save_network

pytestmark = pytest.mark.torch

KINDS = ("vit", "resnet", "bit", "dinov2", "clip", "siglip")
TEXTS = ("word1 word2", "WORD3", "", "nothing known", "word4 " * 40)
PICTURES = {"model.onnx", "preprocessor_config.json"}
WORDS = {"text_model.onnx", "tokenizer.json", "tokenizer_config.json"}


@pytest.fixture(scope="module")
def original_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda kind: save_network(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture(scope="module")
def converted_of(
    original_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    @cache
    def converted(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("onnx") / kind
        convert(str(original_of(kind)), folder)
        return folder

    return converted


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return five_pictures()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_embedded_as_by_pytorch(
    kind: str,
    original_of: Callable[[str], Path],
    converted_of: Callable[[str], Path],
    pictures: list[Pixels],
) -> None:
    original = load_torch(str(original_of(kind)), name=kind, device="cpu")
    converted = load_onnx(files_in(converted_of(kind)))
    assert converted.spec.name == kind
    assert converted.spec.dim == original.spec.dim
    assert converted.spec.preprocessing == original.spec.preprocessing
    together = embedded(converted, pictures)
    assert cosines(together, embedded(original, pictures)).min() >= 0.9999
    alone = np.concatenate([embedded(converted, [pixels]) for pixels in pictures])
    assert cosines(together, alone).min() >= 0.9999


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_takes_any_number_of_pictures(
    kind: str, converted_of: Callable[[str], Path], pictures: list[Pixels]
) -> None:
    """Our code gives them to it one by one on a processor, and together on a card."""
    import onnxruntime

    converted = load_onnx(files_in(converted_of(kind)))
    converted.batch = 5
    together = embedded(converted, pictures)
    converted.batch = 1
    assert cosines(together, embedded(converted, pictures)).min() >= 0.9999
    session = onnxruntime.InferenceSession(converted_of(kind) / "model.onnx")
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, answer.name) == ("pixel_values", "embedding")
    assert isinstance(given.shape[0], str)


@pytest.mark.parametrize("kind", WITH_TEXT)
def test_texts_are_embedded_as_by_pytorch(
    kind: str, original_of: Callable[[str], Path], converted_of: Callable[[str], Path]
) -> None:
    original = load_torch(str(original_of(kind)), name=kind)
    converted = load_onnx(files_in(converted_of(kind)))
    assert isinstance(original, TextEmbedder)
    assert isinstance(converted, TextEmbedder)
    found = converted.embed_texts(TEXTS)
    assert cosines(found, original.embed_texts(TEXTS)).min() >= 0.9999
    for text, row in zip(TEXTS, found, strict=True):
        assert cosines(original.embed_texts([text]), row[None]).min() >= 0.9999


def test_the_folder_holds_what_is_needed_and_no_more(converted_of: Callable[[str], Path]) -> None:
    for kind, expected in (("vit", PICTURES), ("clip", PICTURES | WORDS)):
        folder = converted_of(kind)
        assert {path.name for path in folder.iterdir()} == expected
        assert [path.name for path in folder.parent.iterdir()] == [kind]


def test_what_was_done_is_told(original_of: Callable[[str], Path], tmp_path: Path) -> None:
    """The folder may be there if it is empty."""
    source = Path(shutil.copytree(original_of("vit-classifier"), tmp_path / "in"))
    config = json.loads((source / "preprocessor_config.json").read_text())
    (source / "preprocessor_config.json").unlink()  # as newer models are saved
    (source / "processor_config.json").write_text(json.dumps({"image_processor": config}))
    folder, notes = tmp_path / "out", list[str]()
    folder.mkdir()
    made = convert(str(source), folder, on_note=notes.append)
    assert (made.folder, made.dim, made.has_text) == (folder, 32, False)
    assert made.output == "last_hidden_state (class token)"
    assert 0.9999 <= made.cosine <= 1.0001
    assert len(notes) == 3
    assert json.loads((folder / "preprocessor_config.json").read_text()) == config


def test_nothing_is_said_on_the_screen(original_of: Callable[[str], Path], tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from imagefinder.models.convert import convert;"
        "print(convert(sys.argv[1], Path(sys.argv[2])).dim)"
    )
    folders = (str(original_of("siglip")), str(tmp_path / "out"))
    command = [sys.executable, "-W", "error", "-c", script, *folders]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("32\n", "")


# --- what is not made


def refused(kind: type[Exception], source: Path, folder: Path, words: str) -> None:
    """And nothing is left, nor changed."""
    before = sorted(folder.parent.rglob("*")) if folder.parent.is_dir() else []
    with pytest.raises(kind, match=words):
        convert(str(source), folder)
    assert (sorted(folder.parent.rglob("*")) if folder.parent.is_dir() else []) == before


def test_a_folder_with_something_in_it_is_left_alone(
    original_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    refused(UsageError, original_of("vit"), folder, "is not empty")
    refused(UsageError, original_of("vit"), folder / "mine.txt", "is not empty")
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_graph_that_gives_something_else_is_not_kept(
    original_of: Callable[[str], Path],
    converted_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_another(_: object, __: object, ___: object, folder: Path) -> None:
        shutil.copytree(converted_of("vit"), folder, dirs_exist_ok=True)

    monkeypatch.setattr(conversion, "write", write_another)
    source = Path(shutil.copytree(original_of("vit"), tmp_path / "in"))
    assert convert(str(source), tmp_path / "same").cosine >= 0.9999
    shutil.copy(original_of("dinov2") / "model.safetensors", source)
    shutil.copy(original_of("dinov2") / "config.json", source)
    refused(ModelError, source, tmp_path / "out", "makes something else")


def test_a_network_that_cannot_be_a_graph_is_told(
    original_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to export\nread on") from NotImplementedError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", fail)
    refused(ModelError, original_of("vit"), tmp_path / "out", "no such operator")


def test_a_place_that_cannot_be_written_is_told(
    original_of: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    refused(ModelError, original_of("vit"), tmp_path / "file" / "out", "cannot be written there")


def test_a_model_that_cannot_be_loaded_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refused(ModelError, tmp_path / "in", tmp_path / "out", r"has no config\.json")


def test_without_the_extra_it_is_told(
    original_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    refused(MissingExtraError, original_of("vit"), tmp_path / "out", r"imagefinder\[torch\]")
