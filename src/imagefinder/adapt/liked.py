"""Judged pairs of images with the embeddings that they have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt.evidence import Comparison, Scored
from imagefinder.adapt.folds import class_folds
from imagefinder.adapt.pair_methods import pair_methods
from imagefinder.adapt.pair_precision import by_chance, compared, precision
from imagefinder.adapt.rows import rows_of
from imagefinder.arrays import Embeddings
from imagefinder.errors import UsageError
from imagefinder.labels.groups import copies
from imagefinder.labels.liked import LikedPair
from imagefinder.labels.split import split
from imagefinder.models.projected import Projection
from imagefinder.same import unit

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

FEWEST, FEWEST_EACH = 40, 10  # pairs, and of them liked and others


@dataclass(frozen=True, slots=True)
class Liked:
    """`Evidence`: pairs of images. `rows` (n, dim) are of unit length, and `groups` (n,) are the
    numbers of the images' groups of copies; `first` and `second` (m,) are the places of queries and
    of what was judged for them, and `liked` (m,) how."""

    rows: Embeddings
    groups: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    liked: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.liked)

    @property
    def measure(self) -> str:
        return "AP"

    @property
    def kind(self) -> str:
        return f"pairs, {int(self.liked.sum())} of them liked"

    def halves(self, test: float, seed: int) -> tuple["Liked", "Liked"]:
        """No query is in both, and what was judged in one is not learned from in the other."""
        numbers = [str(place) for place in range(len(self))]
        verdicts = dict(zip(numbers, self._verdicts, strict=True))
        sides = split(numbers, verdicts, self.queries.tolist(), test=test, seed=seed)
        learned, held = (self.part(np.array(side, dtype=np.int64)) for side in sides)
        learned = learned.without(held)
        if not (learned.says_something and held.says_something):
            raise UsageError(
                "in one of the two parts are only liked pairs, or none; judge more of them, for"
                " several queries, or choose another share for the test: --test"
            )
        return learned, held

    def folds(self, seed: int) -> Iterator[tuple["Liked", "Liked"]]:
        """Those where both sides say something."""
        for known, asked in class_folds(self._verdicts, self.queries.tolist(), seed):
            held = self.part(asked)
            learned = self.part(known).without(held)
            if learned.says_something and held.says_something:
                yield learned, held

    def methods(self) -> Mapping[str, Callable[["Liked", int], Projection]]:
        images = len(np.union1d(self.first, self.second))
        return pair_methods(images, int(self.liked.sum()), self.rows.shape[1])

    def projected(self, projection: Projection) -> "Liked":
        return replace(self, rows=unit(projection(self.rows)))

    def quality(self, seed: int) -> float:
        return precision(self.scored(seed))

    def compared(self, after: "Liked", seed: int) -> Comparison:
        return compared(self.scored(seed), after.scored(seed), self.queries, seed=seed)

    def by_chance(self, after: "Liked", seed: int) -> NDArray[np.float64]:
        return by_chance(self.scored(seed), after.scored(seed), seed=seed)

    def scored(self, seed: int) -> Scored:
        """All of them."""
        scores = np.einsum("ij,ij->i", self.rows[self.first], self.rows[self.second])
        return scores, self.liked

    @property
    def queries(self) -> NDArray[np.int64]:
        """(m,): the number of the group of each pair's query."""
        return self.groups[self.first]

    @property
    def says_something(self) -> bool:
        """Whether there are liked ones, and others."""
        return bool(self.liked.any() and not self.liked.all())

    def differences(self, which: NDArray[np.bool_]) -> Embeddings:
        """(pairs, dim): between the images of those pairs."""
        return self.rows[self.first[which]] - self.rows[self.second[which]]

    def part(self, places: NDArray[np.int64]) -> "Liked":
        """The pairs at these places."""
        return replace(
            self, first=self.first[places], second=self.second[places], liked=self.liked[places]
        )

    def without(self, held: "Liked") -> "Liked":
        """Those that are not also in the other part, the other way round or by copies."""
        known = set(held.unordered())
        places = [place for place, pair in enumerate(self.unordered()) if pair not in known]
        return self.part(np.array(places, dtype=np.int64))

    def unordered(self) -> list[tuple[int, int]]:
        """Each pair, as the numbers of its groups of copies."""
        sides = np.sort(self.groups[np.stack([self.first, self.second], axis=1)], axis=1)
        return [(int(low), int(high)) for low, high in sides]

    @property
    def _verdicts(self) -> list[str]:
        return ["liked" if liked else "other" for liked in self.liked.tolist()]


def of_pairs(finder: "LocalFinder", pairs: Sequence[LikedPair], space: str) -> Liked:
    """The judged pairs whose images a space has; copies of each other say nothing. Raises
    UsageError where they are too few."""
    ids = {pair.query for pair in pairs} | {pair.id for pair in pairs}
    found = rows_of(finder, ids, space)
    place = {id: number for number, id in enumerate(found)}
    rows = unit(np.stack(list(found.values()))) if found else np.empty((0, 0), np.float32)
    groups = np.array(copies(list(found), finder.contents(list(found)), rows if found else None))
    usable = [
        pair
        for pair in pairs
        if pair.query in place
        and pair.id in place
        and groups[place[pair.query]] != groups[place[pair.id]]
    ]
    liked = np.array([pair.liked for pair in usable], dtype=np.bool_)
    if len(usable) < FEWEST or min(liked.sum(), (~liked).sum()) < FEWEST_EACH:
        raise UsageError(
            f"{int(liked.sum())} liked pairs and {int((~liked).sum())} others: too few to learn"
            f" from; there must be {FEWEST} pairs, and of both at least {FEWEST_EACH}"
        )
    first = np.array([place[pair.query] for pair in usable])
    second = np.array([place[pair.id] for pair in usable])
    return Liked(rows, groups, first, second, liked)
