"""A folder as a model, and the small graphs that stand in for the catalogue's."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from imagefinder import errors
from imagefinder.models.catalog import package_rows
from imagefinder.models.folder import files_in, has_text
from imagefinder.models.model import RowModel
from imagefinder.models.onnx.files import OnnxFiles, TextFiles
from imagefinder.models.onnx.load import load_onnx
from imagefinder.models.onnx.text import OnnxTextEmbedder
from imagefinder.models.processor import read_processor
from tests.small_graphs import (
    CLIP,
    VIT,
    clip_text,
    clip_tokenizer,
    clip_vision,
    repositories,
    transformer,
    vgg16,
)

DEMO = Path(__file__).resolve().parents[1] / "src" / "imagefinder" / "demo" / "images"


def write(folder: Path, **files: bytes | str | dict[str, object]) -> None:
    """Files of a model, by their usual names without the ending."""
    for name, content in files.items():
        path = folder / (f"{name}.onnx" if name.endswith("model") else f"{name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(text.encode() if isinstance(text, str) else text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ViT."""
    folder = tmp_path / "my-vit"
    write(folder, model=transformer(384), preprocessor_config=VIT)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """With a text side."""
    folder = tmp_path / "my-clip"
    write(folder, model=clip_vision(), preprocessor_config=CLIP, text_model=clip_text())
    write(folder, tokenizer=clip_tokenizer(), tokenizer_config={"model_max_length": 77})
    return folder


def said(config: bytes, **choice: object) -> dict[str, object]:
    """A preprocessor_config.json that says which output it is, and so on."""
    return {**json.loads(config), "imagefinder": choice}


def test_a_folder_with_a_graph_and_a_processor(folder: Path) -> None:
    files = files_in(folder)
    assert files == OnnxFiles(
        name="my-vit",
        graph=folder / "model.onnx",
        sha256=sha256(transformer(384)).hexdigest(),
        preprocessing=read_processor(folder / "preprocessor_config.json"),
    )
    assert (files.preprocessing.height, files.preprocessing.resize) == (224, "squash")
    assert load_onnx(files).spec.output == "pooler_output"
    assert not has_text(folder)
    assert files_in(folder, name="other").name == "other"


def test_a_folder_as_exporters_for_browsers_lay_it_out(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    assert files_in(folder).graph == folder / "onnx" / "model.onnx"
    (folder / "onnx" / "vision_model.onnx").write_bytes(clip_vision())
    (folder / "onnx" / "text_model.onnx").write_bytes(clip_text())
    write(folder, tokenizer=clip_tokenizer())
    files = files_in(folder)
    assert files.graph == folder / "onnx" / "vision_model.onnx"
    assert files.text == TextFiles(
        folder / "onnx" / "text_model.onnx", folder / "tokenizer.json", None
    )
    assert isinstance(load_onnx(files), OnnxTextEmbedder)


def test_a_text_side(clip: Path) -> None:
    files = files_in(clip)
    assert has_text(clip)
    assert files.text == TextFiles(clip / "text_model.onnx", clip / "tokenizer.json", 77)
    model = load_onnx(files)
    assert isinstance(model, OnnxTextEmbedder)
    assert model.embed_texts(["red"]).shape == (1, 512)


@pytest.mark.parametrize(
    ("config", "max_tokens", "lowercase"),
    [
        ({"model_max_length": 1000000000000000019884624838656}, None, False),
        ({"model_max_length": 1e30}, None, False),
        ({"model_max_length": 64, "do_lower_case": True}, 64, True),
        ({"do_lower_case": False}, None, False),
        ({}, None, False),
    ],
)
def test_what_the_tokenizers_config_says(
    clip: Path, config: dict[str, object], max_tokens: int | None, lowercase: bool
) -> None:
    write(clip, tokenizer_config=config)
    text = files_in(clip).text
    assert text is not None
    assert (text.max_tokens, text.lowercase) == (max_tokens, lowercase)


def test_what_the_config_says_of_outputs(folder: Path) -> None:
    choice = {"output": "last_hidden_state", "pooling": "mean"}
    write(folder, preprocessor_config=said(VIT, **choice))
    assert load_onnx(files_in(folder)).spec.output == "last_hidden_state (mean)"
    write(folder, model=vgg16(), preprocessor_config=said(VIT, features=True))
    assert load_onnx(files_in(folder)).spec.dim == 4096


def test_what_the_config_says_of_the_text_output(clip: Path) -> None:
    write(clip, preprocessor_config=said(CLIP, text_output="text_embeds"))
    text = files_in(clip).text
    assert text is not None
    assert text.output == "text_embeds"


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({"outputs": "y"}, "outputs is not known; there are output, pooling, features, text"),
        ({"output": 3}, "output must be the name of an output"),
        ({"text_output": ["y"]}, "text_output must be the name of an output"),
        ({"pooling": "max"}, "pooling must be cls or mean"),
        ({"pooling": ["cls"]}, "pooling must be cls or mean"),
        ({"features": "yes"}, "features must be true or false"),
    ],
)
def test_a_config_that_is_wrong(folder: Path, choice: dict[str, object], problem: str) -> None:
    write(folder, preprocessor_config=said(VIT, **choice))
    with pytest.raises(errors.ModelError, match=rf"preprocessor_config\.json: .*{problem}"):
        files_in(folder)
    write(folder, preprocessor_config={**json.loads(VIT), "imagefinder": "output"})
    with pytest.raises(errors.ModelError, match="imagefinder must be an object"):
        files_in(folder)


def test_what_is_missing_is_named_with_what_is_there(folder: Path, clip: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(
        errors.ModelError, match=r"no preprocessor_config\.json.*there are model\.onnx$"
    ):
        files_in(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(errors.ModelError, match=r"no model\.onnx.*there are no files$"):
        files_in(folder)
    for number in range(12):
        (folder / f"{number:02}.txt").touch()
    with pytest.raises(errors.ModelError, match=r"there are 00\.txt, .*, 07\.txt, \.\.\.$"):
        files_in(folder)
    with pytest.raises(errors.ModelError, match="no such folder"):
        files_in(folder / "nowhere")
    (clip / "tokenizer.json").unlink()
    with pytest.raises(errors.ModelError, match=r"text_model\.onnx, but no tokenizer\.json"):
        files_in(clip)


def test_a_model_of_transformers_can_be_converted(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    write(folder, config={"model_type": "vit"})
    with pytest.raises(errors.ModelError, match=r"imagefinder models convert .*my-vit NEW"):
        files_in(folder)


def test_weights_beside_the_graph_are_part_of_its_hash(folder: Path) -> None:
    whole = files_in(folder).sha256
    model, path = onnx.load_from_string(transformer(384)), folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="all.weights", size_threshold=9)
    split = files_in(folder).sha256
    assert split not in (whole, sha256(path.read_bytes()).hexdigest())
    weights = bytearray((folder / "all.weights").read_bytes())
    weights[-1] ^= 1
    (folder / "all.weights").write_bytes(weights)
    assert files_in(folder).sha256 != split
    (folder / "all.weights").unlink()
    with pytest.raises(errors.ModelError, match=r"all\.weights: this part of the model cannot be"):
        files_in(folder)


def test_an_empty_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(errors.ModelError, match="my-vit: ONNX Runtime cannot load the model"):
        load_onnx(files_in(folder))


# The stand-ins for the catalogue's files


def test_the_small_graphs_are_what_the_catalogue_asks_for() -> None:
    asked: set[tuple[str, str]] = set()
    for row in package_rows().values():
        for variant in ("", *row.variants):
            asked |= {(file.repository, file.path) for file in RowModel(row, variant).files}
    there = {(name, path) for name, files in repositories().items() for path in files}
    assert there == asked


@pytest.mark.parametrize("name", [name for name, row in package_rows().items() if row.graph])
def test_a_small_graph_loads_as_its_row(name: str, tmp_path: Path) -> None:
    """And tells pictures apart, the same each time."""
    row = package_rows()[name]
    for variant in ("", *row.variants):
        model = load_onnx(files_of(RowModel(row, variant), tmp_path))
        tensors = np.stack([model.preprocess(demo_picture(id)) for id in ("cat-01", "car-01")])
        rows = model.embed(tensors)
        assert rows.shape == (2, row.dim)
        assert np.array_equal(model.embed(tensors), rows)
        first, second = rows / np.linalg.norm(rows, axis=1)[:, None]
        assert first @ second < 0.97
        if isinstance(model, OnnxTextEmbedder):
            assert model.embed_texts(["red"]).shape == (1, row.dim)
        assert isinstance(model, OnnxTextEmbedder) == (row.text is not None)


def demo_picture(id: str) -> np.ndarray:
    with Image.open(next(DEMO.glob(f"{id}.*"))) as image:
        return np.asarray(image.convert("RGBA").convert("RGB"))


def files_of(model: RowModel, folder: Path) -> OnnxFiles:
    """As if they had been fetched."""
    row, paths = model.row, {}
    for file in model.files:
        paths[file] = folder / file.repository / file.path
        paths[file].parent.mkdir(parents=True, exist_ok=True)
        paths[file].write_bytes(repositories()[file.repository][file.path])
    how = read_processor(paths[row.processor]) if row.processor else row.preprocessing
    assert how is not None
    assert model.graph is not None
    text = row.text and TextFiles(
        paths[row.text.graph],
        paths[row.text.tokenizer],
        row.text.max_tokens,
        row.text.lowercase,
        row.text.output,
    )
    return OnnxFiles(
        model.name,
        paths[model.graph],
        "0",
        how,
        dim=row.dim,
        output=row.output,
        pooling=row.pooling,
        features=row.features,
        text=text,
    )
