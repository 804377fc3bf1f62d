"""Pictures of classes that a model sees, and does not tell apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder
from imagefinder.testing import SIDE
from tests.toy_models import write_model

CLASSES = ("ash", "birch", "cedar", "elm")
EACH = 50
SIGNAL = 12  # of 255: what tells the classes apart, where everything else is as loud as can be


def write_classes(folder: Path, *, seed: int = 1) -> None:
    """Pictures whose class is a faint shade of one corner; the rest is noise."""
    numbers = np.random.default_rng(seed)
    for place, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            pixels = numbers.integers(0, 256, (SIDE, SIDE, 3))
            pixels[0, 0] = 100 + SIGNAL * np.array([place & 1, place >> 1, 0])
            pixels[0, 0] += numbers.integers(0, 3, 3)
            big = np.kron(pixels, np.ones((8, 8, 1))).astype(np.uint8)
            Image.fromarray(big).save(folder / name / f"{number:02}.png")


def found_right(
    finder: ImageFinder, pictures: Path, classes: Sequence[str], spaces: Sequence[str]
) -> dict[str, int]:
    """How many of the first five hits have the class that was searched with, over one picture of
    each class, in each space."""
    return {
        space: sum(
            hit.id.startswith(name)
            for name in classes
            for hit in finder.search(pictures / name / "00.png", 5, space=space)
        )
        for space in spaces
    }


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in directories of classes, indexed by a model that keeps all there is to see."""
    home = tmp_path_factory.mktemp("adapt")
    write_classes(home / "photos")
    write_model(home / "toy", dim=96)
    with ImageFinder.open(home / "c", model=str(home / "toy")) as finder:
        finder.index(home / "photos")
    return home
