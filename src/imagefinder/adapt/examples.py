"""Labelled images with the embeddings that they have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt import held_out
from imagefinder.adapt.evidence import Comparison, Scored
from imagefinder.adapt.folds import class_folds
from imagefinder.adapt.methods import methods
from imagefinder.adapt.rows import rows_of
from imagefinder.arrays import Embeddings
from imagefinder.errors import UsageError
from imagefinder.evaluate.run import drawn
from imagefinder.labels import Judgements
from imagefinder.labels.groups import copies
from imagefinder.labels.split import split
from imagefinder.models.projected import Projection
from imagefinder.same import unit

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

FEWEST = 40  # images; of fewer nothing can be said that would hold for others
QUERIES = 2000  # that the difference is measured by
SAMPLE = 200  # queries where something is measured many times
SCORED = 1000  # images whose pairs are looked at: half a million


@dataclass(frozen=True, slots=True)
class Examples:
    """`Evidence`: images in the order of their ids. `rows` (n, dim) are of unit length; of each
    image there is its class, the SHA-256 of its bytes, and the number of its group of copies."""

    ids: Sequence[str]
    rows: Embeddings
    classes: Sequence[str]
    contents: Sequence[str]
    groups: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def measure(self) -> str:
        return "mAP"

    @property
    def kind(self) -> str:
        return f"images of {len(set(self.classes))} classes"

    def halves(self, test: float, seed: int) -> tuple["Examples", "Examples"]:
        train, tested = split(self.ids, self.class_of, self.groups, test=test, seed=seed)
        learned, held = self.of_ids(train), self.of_ids(tested)
        if not held.judgements.queries or not learned.judgements.queries:
            raise UsageError(
                "in one of the two parts no image has another one of its class; label more images,"
                " or choose another share for the test: --test"
            )
        return learned, held

    def folds(self, seed: int) -> Iterator[tuple["Examples", "Examples"]]:
        """Of every class some are on each side."""
        for learned, asked in class_folds(self.classes, self.groups, seed):
            yield self.part(learned), self.part(asked)

    def methods(self) -> Mapping[str, Callable[["Examples", int], Projection]]:
        found = methods(len(self), self.rows.shape[1], len(set(self.classes)))

        def learning(name: str) -> Callable[["Examples", int], Projection]:
            return lambda some, seed: found[name](some.rows, some.classes, seed)

        return {name: learning(name) for name in found}

    def projected(self, projection: Projection) -> "Examples":
        return replace(self, rows=unit(projection(self.rows)))

    def quality(self, seed: int) -> float:
        return float(held_out.mean_precisions(self, queries=SAMPLE, seed=seed).mean())

    def compared(self, after: "Examples", seed: int) -> Comparison:
        return held_out.compared(self, after, queries=QUERIES, seed=seed)

    def by_chance(self, after: "Examples", seed: int) -> NDArray[np.float64]:
        return held_out.by_chance(self, after, queries=SAMPLE, seed=seed)

    def scored(self, seed: int) -> Scored:
        """All pairs of images, but for copies, which are the same anyway."""
        some = self.of_ids(drawn(self.ids, SCORED, seed))
        first, second = np.triu_indices(len(some), k=1)
        groups, classes = np.array(some.groups), np.array(some.classes)
        other = groups[first] != groups[second]
        first, second = first[other], second[other]
        return (some.rows @ some.rows.T)[first, second], classes[first] == classes[second]

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
    found = rows_of(finder, judgements.classes, space)
    ids = list(found)
    classes = [judgements.classes[id] for id in ids]
    if len(ids) < FEWEST or len(set(classes)) < 2:
        raise UsageError(
            f"{len(ids)} labelled images of {len(set(classes))} classes: too few to learn from;"
            f" there must be {FEWEST} images and 2 classes at least"
        )
    rows = unit(np.stack(list(found.values())))
    contents = finder.contents(ids)
    groups = copies(ids, contents, rows)
    return Examples(ids, rows, classes, [contents.get(id, "") for id in ids], groups)
