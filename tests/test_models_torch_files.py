"""The files of a model of transformers: which are taken, and what is told of those that are not."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the models need the extra torch")
pytest.importorskip("transformers", reason="the models need the extra torch")

import torch
import transformers
from safetensors.torch import load_file, save_file

from imagefinder.arrays import Pixels
from imagefinder.errors import ModelError
from imagefinder.models.torch.load import has_text, is_here, load_torch
from imagefinder.protocols import TextEmbedder
from tests.hub_server import hub
from tests.small_networks import embedded, five_pictures, save_network

pytestmark = pytest.mark.torch

REPO = "owner/small"


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda kind: save_network(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture
def copy_of(folder_of: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder that can be changed."""
    return lambda kind: Path(shutil.copytree(folder_of(kind), tmp_path / kind))


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return five_pictures()


def refusal(folder: Path, **options: str) -> str:
    with pytest.raises(ModelError) as caught:
        load_torch(str(folder), name="small", **options)
    message = str(caught.value)
    assert str(folder) in message
    assert len(message.splitlines()) <= 2
    return message


def test_weights_may_be_in_several_files_or_of_the_older_form(
    copy_of: Callable[[str], Path], pictures: list[Pixels], tmp_path: Path
) -> None:
    whole = copy_of("vit")
    expected = load_torch(str(whole), name="small")
    network = transformers.AutoModel.from_pretrained(whole)
    older, parts = (Path(shutil.copytree(whole, tmp_path / name)) for name in ("older", "parts"))
    for folder in (older, parts):
        (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), older / "pytorch_model.bin")
    network.save_pretrained(parts, max_shard_size="20KB")
    assert len(list(parts.glob("*.safetensors"))) > 1
    found = {load_torch(str(folder), name="small") for folder in (older, parts)}
    for embedder in found:
        assert np.array_equal(embedded(embedder, pictures), embedded(expected, pictures))
    assert len({e.spec.sha256 for e in (*found, expected)}) == 3

    index = next(parts.glob("*.index.json"))
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    with pytest.raises(ModelError, match="names no files with weights"):
        load_torch(str(parts), name="small")


def test_has_text_needs_no_network_and_no_weights(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("clip")
    (folder / "model.safetensors").unlink()
    assert has_text(str(folder))
    (folder / "tokenizer.json").unlink()
    assert not has_text(str(folder))
    assert not has_text(str(copy_of("vit")))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_or_damaged_file_is_named(name: str, copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    (folder / name).write_bytes(b"\x00 no JSON")
    refusal(folder)
    (folder / name).unlink()
    assert name in refusal(folder)


def test_missing_weights_are_told(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layer" in name and name.endswith("weight"))
    save_file({n: w for n, w in weights.items() if n != lost}, folder / "model.safetensors")
    assert "1 of its weights are missing" in refusal(folder)
    save_file(weights | {lost: torch.ones(3)}, folder / "model.safetensors")
    assert "cannot load it" in refusal(folder)


def test_code_that_comes_with_a_model_is_never_run(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    trace = folder / "ran"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.A", "AutoModel": "own.B"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert "cannot load it" in refusal(folder)
    assert not trace.exists()


class Trap:
    """What is called when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.trace), "w"))


def test_weights_that_would_run_code_are_not_loaded(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    (folder / "model.safetensors").unlink()
    torch.save({"a": Trap(folder / "ran")}, folder / "pytorch_model.bin")
    assert "cannot load it" in refusal(folder)
    assert not (folder / "ran").exists()


def test_a_model_is_fetched_from_the_hub_once(
    folder_of: Callable[[str], Path],
    pictures: list[Pixels],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {path.name: path.read_bytes() for path in folder_of("clip").iterdir()}
    told: list[str] = []
    with hub({REPO: files, "owner/bare": {"README.md": b""}}, monkeypatch, tmp_path) as server:
        assert not has_text(REPO)
        assert not is_here(REPO)
        with pytest.raises(ModelError, match="not on this machine"):
            load_torch(REPO, name="small", fetch=False)
        found = load_torch(REPO, name="small", on_progress=lambda name, *_: told.append(name))
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(told)
        with pytest.raises(ModelError, match=r"repository has no config\.json"):
            load_torch("owner/bare", name="small")
        with pytest.raises(ModelError, match="no such repository"):
            load_torch("owner/none", name="small")
        server.down = True
        again = load_torch(REPO, name="small", fetch=False)
        assert has_text(REPO)
        assert is_here(REPO)
    assert isinstance(again, TextEmbedder)
    expected = load_torch(str(folder_of("clip")), name="small")
    assert found.spec == again.spec == expected.spec
    assert np.array_equal(embedded(again, pictures), embedded(expected, pictures))
