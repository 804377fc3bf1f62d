"""Which of the methods, by cross-validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from imagefinder.adapt.examples import Examples
from imagefinder.adapt.held_out import mean_precisions
from imagefinder.adapt.methods import Method, methods
from imagefinder.errors import MissingExtraError
from imagefinder.models.projected import Projection

AS_IT_IS = "as it is"
FOLDS = 3
QUERIES = 200  # of a fold


@dataclass(frozen=True, slots=True)
class Tried:
    """A method, and its mAP on each fold that it did not learn from. `fit` is None for embeddings
    as they are."""

    name: str
    fit: Method | None
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))


def choose(
    examples: Examples, *, seed: int, on_progress: Callable[[int, int | None], None]
) -> list[Tried]:
    """Every method with what it is worth, the best first; of equal ones the simpler."""
    folds = list(parts(examples, seed))
    least = min(len(learned) for learned, _ in folds)
    dim, classes = examples.rows.shape[1], len(set(examples.classes))
    candidates: dict[str, Method | None] = {AS_IT_IS: None, **methods(least, dim, classes)}
    tried = []
    for name, fit in candidates.items():
        scores = []
        for learned, asked in folds:
            projection = fitted(fit, learned, seed)
            scores.append(
                float(mean_precisions(asked, projection, queries=QUERIES, seed=seed).mean())
            )
        tried.append(Tried(name, fit, tuple(scores)))
        on_progress(len(tried), len(candidates))
    return sorted(tried, key=lambda one: -one.mean)


def fitted(fit: Method | None, examples: Examples, seed: int) -> Projection | None:
    """What a method learns of examples."""
    return None if fit is None else fit(examples.rows, examples.classes, seed)


def parts(examples: Examples, seed: int) -> Iterator[tuple[Examples, Examples]]:
    """For each fold the examples to learn from and those to be measured by: of every class some,
    and no copies across."""
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise MissingExtraError("adaptation", "evaluate") from error
    folds = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    for learned, asked in folds.split(examples.rows, list(examples.classes), examples.groups):
        yield examples.part(learned), examples.part(asked)
