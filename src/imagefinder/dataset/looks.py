"""How the images look: their light and colours, thumbnails, and a map of a sample."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from imagefinder.arrays import Embedding, Pixels

LEVELS = 6  # of each channel, by which colours are put together
SHADES = 14  # colours of a palette

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shade:
    """A colour (red, green, blue, 0 to 255) and its share of all pixels."""

    colour: tuple[int, int, int]
    share: float


@dataclass(frozen=True, slots=True)
class Sample:
    """An image of the sample: `jpeg` is its thumbnail, `row` its embedding where it has one."""

    id: str
    sha256: str
    label: str | None
    jpeg: bytes = field(repr=False)
    row: Embedding | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Look:
    """The light of a picture (0 black, 1 white), how far it is from grey (0 to 1), and its colours:
    so many pixels of each of the 216, and the sums of their levels."""

    brightness: float
    colourfulness: float
    counts: NDArray[np.intp]  # (216,)
    sums: NDArray[np.float64]  # (216, 3)


def look_of(small: Pixels) -> Look:
    """Of a few pixels that stand for the picture: every image counts the same, large or small."""
    levels = small.reshape(-1, 3).astype(np.float64)
    # of sRGB values, not of light: it is how bright the picture seems (weights of ITU-R BT.709)
    brightness = float((levels @ (0.2126, 0.7152, 0.0722)).mean() / 255)
    spread = float((levels.max(axis=1) - levels.min(axis=1)).mean() / 255)
    bins = np.minimum(levels * LEVELS / 256, LEVELS - 1).astype(np.int64)
    keys = bins @ (LEVELS * LEVELS, LEVELS, 1)
    counts = np.bincount(keys, minlength=LEVELS**3)
    sums: NDArray[np.float64] = np.stack(
        [np.bincount(keys, weights=channel, minlength=LEVELS**3) for channel in levels.T], axis=1
    )
    return Look(brightness, spread, counts, sums)


class Palette:
    """The colours of many pictures together."""

    def __init__(self) -> None:
        self._counts = np.zeros(LEVELS**3, dtype=np.int64)
        self._sums = np.zeros((LEVELS**3, 3))

    def add(self, look: Look) -> None:
        """Count the colours of a picture."""
        self._counts += look.counts
        self._sums += look.sums

    def shades(self) -> list[Shade]:
        """The most common colours, from dark to light."""
        total = self._counts.sum()
        first = np.argsort(-self._counts, kind="stable")[:SHADES].tolist()
        shades = [
            Shade(rounded(self._sums[key] / self._counts[key]), float(self._counts[key] / total))
            for key in first
            if self._counts[key]
        ]
        return sorted(shades, key=lambda shade: (sum(shade.colour), shade.colour))


def rounded(levels: NDArray[np.float64]) -> tuple[int, int, int]:
    """Three whole levels."""
    red, green, blue = (round(float(level)) for level in levels)
    return red, green, blue


class Reservoir(Generic[Item]):
    """A random sample of a stream whose length is not known, the same for the same seed (Vitter
    1985, algorithm R). A place is given before it is known whether something comes of it."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seen = size, 0
        self._random = np.random.default_rng(seed)
        self._kept: dict[int, Item] = {}

    def place(self) -> int | None:
        """The place for what comes next, None where it is not in the sample."""
        number = self._seen
        self._seen += 1
        if number < self._size:
            return number
        drawn = int(self._random.integers(number + 1))
        return drawn if drawn < self._size else None

    def put(self, place: int, item: Item) -> None:
        """What has come of it."""
        self._kept[place] = item

    def all(self) -> list[Item]:
        """The sample."""
        return [self._kept[place] for place in sorted(self._kept)]
