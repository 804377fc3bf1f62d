"""Which of the methods, by cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from imagefinder.adapt.evidence import Evidence
from imagefinder.models.projected import Projection

AS_IT_IS = "as it is"
_E = TypeVar("_E", bound=Evidence)


@dataclass(frozen=True, slots=True)
class Tried(Generic[_E]):
    """A method, and what its embeddings are worth on each fold that it did not learn from. `fit` is
    None for embeddings as they are."""

    name: str
    fit: Callable[[_E, int], Projection] | None
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))


def choose(
    evidence: _E, *, seed: int, on_progress: Callable[[int, int | None], None]
) -> list[Tried[_E]]:
    """Every method with what it is worth, the best first; of equal ones the simpler."""
    folds = list(evidence.folds(seed))
    least = min((learned for learned, _ in folds), key=len)
    candidates: dict[str, Callable[[_E, int], Projection] | None] = {
        AS_IT_IS: None,
        **least.methods(),
    }
    tried = []
    for name, fit in candidates.items():
        scores = [
            (asked if fit is None else asked.projected(fit(learned, seed))).quality(seed)
            for learned, asked in folds
        ]
        tried.append(Tried(name, fit, tuple(scores)))
        on_progress(len(tried), len(candidates))
    return sorted(tried, key=lambda one: -one.mean)
