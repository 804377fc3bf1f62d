"""What says which images belong together, and what their embeddings are worth by it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.evaluate.interval import Interval
from imagefinder.models.projected import Projection

# (pairs,) each: the scores of pairs of images, and whether they belong together
Scored: TypeAlias = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same measure of two embeddings of the same images, and by how much it is greater."""

    before: Interval
    after: Interval
    difference: Interval


class Evidence(Protocol):
    """Images with their embeddings, and what is known of them. It is divided, and measured."""

    @property
    def measure(self) -> str:
        """What its embeddings are measured by, as mAP."""

    @property
    def kind(self) -> str:
        """What there is so many of, as "images of 4 classes"."""

    def __len__(self) -> int: ...

    def halves(self, test: float, seed: int) -> tuple[Self, Self]:
        """To learn from, and the share `test` to be measured by, without copies across. Raises
        UsageError where one of them says nothing."""

    def folds(self, seed: int) -> Iterator[tuple[Self, Self]]:
        """Divided several times, each part being measured by once."""

    def methods(self) -> Mapping[str, Callable[[Self, int], Projection]]:
        """What may be learned of so much, by name: each takes evidence and a seed."""

    def projected(self, projection: Projection) -> Self:
        """The same of other embeddings."""

    def quality(self, seed: int) -> float:
        """The measure, of a sample where there is much."""

    def compared(self, after: Self, seed: int) -> Comparison:
        """The measure of these embeddings and of others, with intervals of the same draws."""

    def by_chance(self, after: Self, seed: int) -> NDArray[np.float64]:
        """(draws,): the differences there would be, if what is known were dealt out at random."""

    def scored(self, seed: int) -> Scored:
        """Pairs of images, of which one wants to know if they show the same."""
