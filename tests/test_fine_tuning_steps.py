"""The parts of fine-tuning: the loss, the draws, the cuts, and the folder that is written."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need the extra torch")
pytest.importorskip("transformers", reason="networks need the extra torch")
pytest.importorskip("pytorch_metric_learning", reason="fine-tuning needs the extra torch")

import torch
from pytorch_metric_learning.utils import common_functions
from safetensors.torch import load_file, save_file

from imagefinder.models.processor import read_processor
from imagefinder.models.torch.augment import LEAST_AREA, augmented, random_cuts
from imagefinder.models.torch.files import find_files
from imagefinder.models.torch.load import load_torch
from imagefinder.models.torch.network import load_network
from imagefinder.models.torch.saving import save_network as save_tuned
from imagefinder.models.torch.training import Trainer, draw_epoch, supervised_contrastive
from imagefinder.protocols import TextEmbedder
from tests.small_networks import cosines, embedded, five_pictures, save_network

pytestmark = pytest.mark.torch


def test_the_loss_is_that_of_the_paper() -> None:
    rows = [[3.0, 4.0], [0.6, 0.8], [0.0, 2.0], [5.0, 0.0]]  # of other lengths
    classes = [0, 0, 1, 1]
    # the cosines of the rows, by hand
    cosines_by_hand = np.array(
        [[1.0, 1.0, 0.8, 0.6], [1.0, 1.0, 0.8, 0.6], [0.8, 0.8, 1.0, 0.0], [0.6, 0.6, 0.0, 1.0]]
    )
    losses = []
    for anchor, positive in ((0, 1), (1, 0), (2, 3), (3, 2)):
        powers = np.exp(cosines_by_hand[anchor] / 0.1)
        losses.append(-np.log(powers[positive] / (powers.sum() - powers[anchor])))
    found = supervised_contrastive(torch.tensor(rows), torch.tensor(classes))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.item() == pytest.approx(4.0, abs=0.5)  # 0.14, 0.14, 8.7 and 6.7

    # a row that is alone with its class says nothing of itself, and is one of the others for them
    alone = supervised_contrastive(torch.tensor(rows), torch.tensor([0, 0, 1, 2]))
    assert alone.item() == pytest.approx(np.mean(losses[:2]), rel=1e-4)


def test_a_batch_has_several_of_each_class() -> None:
    classes = [number % 10 for number in range(200)]
    batches = list(draw_epoch(classes, 32, 0))
    assert 150 < sum(map(len, batches)) <= 200
    for batch in batches:
        counts = Counter(classes[place] for place in batch)
        assert len(batch) == 32
        assert set(counts.values()) == {4}
    assert batches == list(draw_epoch(classes, 32, 0)) != list(draw_epoch(classes, 32, 1))
    assert common_functions.NUMPY_RANDOM is np.random  # others draw as before


@pytest.mark.parametrize(
    ("classes", "batch", "sizes"),
    [
        ([0, 0, 0, 1], 4, {4}),
        ([0] * 5 + [1] * 5, 64, {10}),  # not more than there are
        (list(range(50)), 16, {8}),  # each alone: its picture comes twice
        ([0, 0, 0], 8, {3}),
    ],
)
def test_few_images_make_small_batches(classes: list[int], batch: int, sizes: set[int]) -> None:
    batches = list(draw_epoch(classes, batch, 0))
    assert {len(each) for each in batches} == sizes
    assert all(set(each) <= set(range(len(classes))) for each in batches)


def test_a_cut_is_a_large_part_of_the_picture() -> None:
    cuts = random_cuts(500, torch.Generator().manual_seed(1))
    width, height = cuts[:, 0, 0].abs(), cuts[:, 1, 1]
    area = width * height
    assert area.min() >= LEAST_AREA * 0.9  # a side that would be too long is cut off
    assert area.max() <= 1
    assert 0.4 < (cuts[:, 0, 0] < 0).float().mean() < 0.6  # mirrored
    for side, shift in ((width, cuts[:, 0, 2]), (height, cuts[:, 1, 2])):
        assert (side + shift.abs()).max() <= 1 + 1e-6  # nothing from outside
    assert (cuts[:, 0, 1] == 0).all()
    assert (cuts[:, 1, 0] == 0).all()


def test_augmented_pictures_are_cut_from_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    across = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    pixels = torch.cat([across, across + 10])
    first = augmented(pixels, torch.Generator().manual_seed(3))
    assert first.shape == pixels.shape
    assert torch.equal(first, augmented(pixels, torch.Generator().manual_seed(3)))
    assert first[0].abs().max() <= 1
    assert (first[1] - 10).abs().max() <= 1 + 1e-5
    mirror = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]).repeat(2, 1, 1)
    monkeypatch.setattr("imagefinder.models.torch.augment.random_cuts", lambda *_: mirror)
    assert torch.allclose(augmented(pixels, torch.Generator()), pixels.flip(3), atol=1e-6)


@pytest.mark.parametrize(
    "kind", ["vit-classifier", "beit", "resnet", "swin", "clip-vision", "clip"]
)
def test_what_is_written_is_the_network_that_learned(kind: str, tmp_path: Path) -> None:
    files = find_files(str(save_network(kind, tmp_path / "net")))
    how = read_processor(files.processor)
    network = load_network(files, how)
    before = load_torch(str(tmp_path / "net"), name="net", device="cpu")
    state = torch.random.get_rng_state()
    trainer = Trainer(network, learning_rate=1e-2, seed=0, device="cpu")
    numbers = np.random.default_rng(0)
    tensors = numbers.normal(size=(8, 3, how.height, how.width)).astype(np.float32)
    assert trainer.learn([(tensors, [0, 0, 1, 1, 2, 2, 3, 3])]) == 8
    assert torch.equal(torch.random.get_rng_state(), state)
    pictures = five_pictures()
    batch = np.stack([before.preprocess(pixels) for pixels in pictures])
    rows = trainer.embed(batch)
    kept = trainer.weights()
    trainer.learn([(tensors, [0, 0, 1, 1, 2, 2, 3, 3])])
    trainer.restore(kept)
    (tmp_path / "tuned").mkdir()
    save_tuned(network, files, tmp_path / "tuned")

    after = load_torch(str(tmp_path / "tuned"), name="tuned", device="cpu")
    assert after.spec.output == before.spec.output
    assert after.spec.preprocessing == before.spec.preprocessing
    assert not isinstance(after, TextEmbedder)
    assert cosines(embedded(after, pictures), rows).min() > 0.99999
    assert cosines(embedded(before, pictures), rows).min() < 0.9999  # it has learned
    config = json.loads((tmp_path / "tuned" / "preprocessor_config.json").read_text())
    assert config == json.loads((tmp_path / "net" / "preprocessor_config.json").read_text())


def test_a_pooler_that_was_never_trained_is_not_written(tmp_path: Path) -> None:
    folder = save_network("beit", tmp_path / "net")
    weights = load_file(folder / "model.safetensors")
    trained = {name: each for name, each in weights.items() if not name.startswith("pooler.")}
    assert len(trained) < len(weights)
    save_file(trained, folder / "model.safetensors", metadata={"format": "pt"})
    files = find_files(str(folder))
    network = load_network(files, read_processor(files.processor))
    assert network.output == "last_hidden_state (class token)"
    (tmp_path / "tuned").mkdir()
    save_tuned(network, files, tmp_path / "tuned")
    assert load_torch(str(tmp_path / "tuned"), name="tuned").spec.output == network.output
