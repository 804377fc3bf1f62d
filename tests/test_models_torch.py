"""Models of transformers on PyTorch, held against plain code of transformers."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the models need the extra torch")
pytest.importorskip("transformers", reason="the models need the extra torch")

import torch
import transformers

from imagefinder.arrays import Embeddings, Pixels
from imagefinder.errors import MissingExtraError, ModelError, UsageError
from imagefinder.models.torch import embedder as torch_embedder
from imagefinder.models.torch.load import load_torch
from imagefinder.protocols import TextEmbedder
from tests.small_networks import (
    NETWORKS,
    SIDE,
    WITH_TEXT,
    cosines,
    embedded,
    five_pictures,
    save_network,
)

pytestmark = pytest.mark.torch

USABLE = [kind for kind in NETWORKS if kind != "masked"]
REPO = "owner/small"

# What is to be the embedding, from what the network answers.
EXPECTED: dict[str, Callable[..., torch.Tensor]] = {
    "vit": lambda answer: answer.last_hidden_state[:, 0],
    "vit-classifier": lambda answer: answer.last_hidden_state[:, 0],
    "dinov2": lambda answer: answer.last_hidden_state[:, 0],
    "beit": lambda answer: answer.pooler_output,
    "resnet": lambda answer: answer.pooler_output[:, :, 0, 0],
    "bit": lambda answer: answer.pooler_output[:, :, 0, 0],
    "convnext": lambda answer: answer.pooler_output,
    "swin": lambda answer: answer.pooler_output,
    "segformer": lambda answer: answer.last_hidden_state.mean((2, 3)),
    "clip": lambda answer: answer.image_embeds,
    "chinese-clip": lambda answer: answer.image_embeds,
    "clip-vision": lambda answer: answer.image_embeds,
    "siglip": lambda answer: answer.image_embeds,
}


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


def words_of(folder: Path) -> TextEmbedder:
    embedder = load_torch(str(folder), name="small")
    assert isinstance(embedder, TextEmbedder)
    return embedder


# --- the embeddings


@pytest.mark.parametrize("kind", USABLE)
def test_the_embeddings_are_those_of_plain_transformers(
    kind: str, folder_of: Callable[[str], Path], pictures: list[Pixels]
) -> None:
    folder = folder_of(kind)
    embedder = load_torch(str(folder), name="small", device="cpu")
    found = embedded(embedder, pictures)
    assert found.dtype == np.float32
    assert found.shape == (5, embedder.spec.dim)

    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(pictures, return_tensors="pt", input_data_format="channels_last")
    kind_of_network = type(NETWORKS[kind][0]())
    network = kind_of_network.from_pretrained(folder).eval()
    if kind == "vit-classifier":
        network = network.vit
    with torch.no_grad():
        if kind in WITH_TEXT:
            pixels["input_ids"] = torch.tensor([[1, 5, 2]])
        expected = EXPECTED[kind](network(**pixels)).numpy()
    assert cosines(found, expected).min() >= 0.999
    alike = found @ found.T / np.outer(*[np.linalg.norm(found, axis=1)] * 2)
    assert np.sort(alike.ravel())[-6] < 0.99  # or any picture would have passed for another


@pytest.mark.parametrize("kind", ["vit", "resnet", "clip", "siglip"])
def test_an_embedding_does_not_depend_on_its_neighbours(
    kind: str,
    folder_of: Callable[[str], Path],
    pictures: list[Pixels],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedder = load_torch(str(folder_of(kind)), name="small")
    together = embedded(embedder, pictures)
    alone = np.concatenate([embedded(embedder, [pixels]) for pixels in pictures])
    assert cosines(together, alone).min() >= 0.9999
    monkeypatch.setattr(torch_embedder, "BATCH", 2)
    assert cosines(together, embedded(embedder, pictures)).min() >= 0.9999


@pytest.mark.parametrize("kind", WITH_TEXT)
def test_texts_are_embedded_as_in_plain_transformers(
    kind: str, folder_of: Callable[[str], Path]
) -> None:
    embedder = words_of(folder_of(kind))
    network = transformers.AutoModel.from_pretrained(folder_of(kind)).eval()
    tokens = {
        "word1 word2": [1, 5, 6, 2],
        "word3": [1, 7, 2],
        "": [1, 2],
        "nothing known": [1, 3, 3, 2],
        "word4 " * 40: [1, *[8] * 14, 2],  # cut, and its end is still marked
    }
    rows = []
    with torch.no_grad():
        for ids in tokens.values():
            padded = ids + [0] * (16 - len(ids)) if kind == "siglip" else ids
            rows.append(network.get_text_features(torch.tensor([padded])).pooler_output[0])
    expected = torch.stack(rows).numpy()
    found = embedder.embed_texts(list(tokens))
    assert found.shape == (5, embedder.spec.dim)
    assert cosines(found, expected).min() >= 0.9999
    alone = np.concatenate([embedder.embed_texts([text]) for text in tokens])
    assert cosines(found, alone).min() >= 0.9999
    assert embedder.embed_texts([]).shape == (0, embedder.spec.dim)
    with pytest.raises(UsageError, match="half a letter"):
        embedder.embed_texts(["\ud83d"])


def test_siglip_has_seen_small_letters_only(folder_of: Callable[[str], Path]) -> None:
    for kind, same in (("siglip", True), ("clip", False)):
        large, small = words_of(folder_of(kind)).embed_texts(["WORD1 Word2", "word1 word2"])
        assert np.array_equal(large, small) is same


def test_bfloat16_is_near_to_float32(
    folder_of: Callable[[str], Path], pictures: list[Pixels]
) -> None:
    """What a graphics card computes with, on the processor."""
    for kind in ("vit", "resnet", "clip"):
        exact = load_torch(str(folder_of(kind)), name="small", dtype="float32")
        rough = load_torch(str(folder_of(kind)), name="small", dtype="bfloat16", device="cpu")
        found = embedded(rough, pictures)
        assert found.dtype == np.float32
        assert 0.99 <= cosines(embedded(exact, pictures), found).min() < 0.9999999
    assert isinstance(rough, TextEmbedder)
    assert isinstance(exact, TextEmbedder)
    texts = ["word1", "word2 word3"]
    assert cosines(exact.embed_texts(texts), rough.embed_texts(texts)).min() >= 0.99


def test_tensors_that_cannot_be_written_are_taken(folder_of: Callable[[str], Path]) -> None:
    embedder = load_torch(str(folder_of("vit")), name="small")
    tensors = np.zeros((2, 3, SIDE, SIDE), np.float32)
    expected = embedder.embed(tensors)
    tensors.flags.writeable = False
    assert np.array_equal(embedder.embed(tensors), expected)


def test_threads_can_embed_at_once(
    folder_of: Callable[[str], Path], pictures: list[Pixels]
) -> None:
    embedder = load_torch(str(folder_of("vit")), name="small")
    expected = embedded(embedder, pictures)
    rows: list[Embeddings] = []
    threads = [
        threading.Thread(target=lambda: rows.append(embedded(embedder, pictures))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 6
    assert all(cosines(expected, found).min() >= 0.9999 for found in rows)


# --- what is loaded


def test_the_spec_says_what_is_taken_and_from_which_weights(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    spec = load_torch(str(folder), name="my-vit").spec
    assert (spec.name, spec.dim) == ("my-vit", 32)
    assert spec.output == "last_hidden_state (class token)"
    assert spec.sha256 == sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (spec.preprocessing.height, spec.preprocessing.resize) == (SIDE, "squash")


def test_a_pooler_that_was_never_trained_is_not_used(
    folder_of: Callable[[str], Path], pictures: list[Pixels]
) -> None:
    """transformers gives it random weights, new ones each time."""
    some, others = (
        embedded(load_torch(str(folder_of("vit-classifier")), name="small"), pictures)
        for _ in range(2)
    )
    assert np.array_equal(some, others)


def test_without_its_tokenizer_a_model_still_takes_pictures(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("clip")
    (folder / "tokenizer.json").unlink()
    assert not isinstance(load_torch(str(folder), name="small"), TextEmbedder)


def test_nothing_is_said_on_the_screen(folder_of: Callable[[str], Path]) -> None:
    """Not even of the head that is left over, of which transformers makes a table."""
    script = (
        "import numpy, sys; from imagefinder.models.torch.load import load_torch;"
        "embedder = load_torch(sys.argv[1], name='small');"
        "print(embedder.embed(numpy.zeros((2, 3, 32, 32), numpy.float32)).shape)"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(folder_of("vit-classifier"))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("(2, 32)\n", "")


# --- what cannot be loaded


def refusal(folder: Path, **options: str) -> str:
    with pytest.raises(ModelError) as caught:
        load_torch(str(folder), name="small", **options)
    message = str(caught.value)
    assert str(folder) in message
    assert len(message.splitlines()) <= 2
    return message


def test_a_network_that_answers_otherwise_each_time_is_refused(
    copy_of: Callable[[str], Path],
) -> None:
    folder = copy_of("masked")
    assert "mask_ratio" in refusal(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"mask_ratio": 0.0}))
    assert load_torch(str(folder), name="small").spec.dim == 32


def test_a_network_that_takes_no_such_pictures_is_told(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    processor = folder / "preprocessor_config.json"
    processor.write_text(json.dumps(json.loads(processor.read_text()) | {"size": 64}))
    assert "picture of 64 x 64" in refusal(folder)


def test_an_unknown_network_is_told(copy_of: Callable[[str], Path]) -> None:
    folder = copy_of("vit")
    (folder / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    assert "cannot load it" in refusal(folder)
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8}))
    assert "cannot load it" in refusal(folder)


def test_a_device_that_is_not_there_is_told(folder_of: Callable[[str], Path]) -> None:
    for options in ({"device": "tpu"}, {"device": "cuda:x"}, {"device": "cuda:77"}):
        with pytest.raises(UsageError, match="there are"):
            load_torch(str(folder_of("vit")), name="small", **options)
    with pytest.raises(UsageError, match="bfloat16"):
        load_torch(str(folder_of("vit")), name="small", dtype="int8")


def test_a_card_is_used_in_bfloat16_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda")
    for able, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert torch_embedder.device_for("auto") == card
        assert torch_embedder.dtype_for("auto", card) == dtype
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert torch_embedder.device_for("auto") == torch.device("cpu")
    assert torch_embedder.dtype_for("auto", torch.device("cpu")) == torch.float32


def test_a_failure_while_embedding_says_what_to_do(
    folder_of: Callable[[str], Path], pictures: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = load_torch(str(folder_of("vit")), name="small")
    for error, words in (
        (torch.OutOfMemoryError("CUDA out of memory. Tried ..."), "memory of cpu"),
        (RuntimeError("cuDNN error\nmore"), "fails on cpu: cuDNN error"),
    ):

        def fail(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(embedder, "_pictures", fail)
        with pytest.raises(ModelError, match=words):
            embedded(embedder, pictures)


def test_without_the_extra_it_is_told(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.models.torch.load.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"imagefinder\[torch\]"):
        load_torch(str(folder_of("vit")), name="small")
