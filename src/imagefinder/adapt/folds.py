"""Evidence divided several times, for cross-validation."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.errors import MissingExtraError

FOLDS = 3

# the places of what is learned from, and of what is measured by
Places: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


def class_folds(classes: Sequence[str], groups: Sequence[int], seed: int) -> Iterator[Places]:
    """Of every class some on each side, and no group on both. Raises MissingExtraError."""
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise MissingExtraError("adaptation", "evaluate") from error
    folds = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    yield from folds.split(np.zeros(len(classes)), list(classes), groups)
