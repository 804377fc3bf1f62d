"""Labelled images with the embeddings that they have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagefinder.ahead import chunks
from imagefinder.arrays import Embeddings
from imagefinder.errors import UsageError
from imagefinder.labels import Judgements
from imagefinder.labels.groups import copies
from imagefinder.same import unit

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

AT_ONCE = 1000
FEWEST = 40  # images; of fewer nothing can be said that would hold for others


@dataclass(frozen=True, slots=True)
class Examples:
    """Images in the order of their ids: `rows` (n, dim) of unit length, the class of each, the
    SHA-256 of its bytes, and the number of the group of copies that it is in."""

    ids: Sequence[str]
    rows: Embeddings
    classes: Sequence[str]
    contents: Sequence[str]
    groups: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, places: Sequence[int] | NDArray[np.int64]) -> "Examples":
        """Those at these places, in ascending order."""
        chosen = [int(place) for place in places]

        def of(values: Sequence[str]) -> list[str]:
            return [values[place] for place in chosen]

        return Examples(
            of(self.ids),
            self.rows[chosen],
            of(self.classes),
            of(self.contents),
            [self.groups[place] for place in chosen],
        )

    def of_ids(self, ids: Sequence[str]) -> "Examples":
        """Those with these ids."""
        wanted = set(ids)
        return self.part([place for place, id in enumerate(self.ids) if id in wanted])

    @property
    def class_of(self) -> Mapping[str, str]:
        return dict(zip(self.ids, self.classes, strict=True))

    @property
    def judgements(self) -> Judgements:
        """What is right among these alone."""
        return Judgements.of_classes(self.class_of, dict(zip(self.ids, self.contents, strict=True)))


def read_examples(finder: "LocalFinder", judgements: Judgements, space: str) -> Examples:
    """The labelled images that a space has. Raises UsageError where they are too few."""
    wanted = sorted(judgements.classes)
    found = {
        id: row
        for some in chunks(iter(wanted), AT_ONCE)
        for id, row in finder.embeddings(some, space=space).items()
    }
    ids = [id for id in wanted if id in found]
    classes = [judgements.classes[id] for id in ids]
    if len(ids) < FEWEST or len(set(classes)) < 2:
        raise UsageError(
            f"{len(ids)} labelled images of {len(set(classes))} classes: too few to learn from;"
            f" there must be {FEWEST} images and 2 classes at least"
        )
    rows = unit(np.stack([found[id] for id in ids]))
    contents = finder.contents(ids)
    groups = copies(ids, contents, rows)
    return Examples(ids, rows, classes, [contents.get(id, "") for id in ids], groups)
