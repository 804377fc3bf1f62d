"""The embedding of a query of several parts, made of those of its parts."""

import math
from collections.abc import Sequence

import numpy as np

from imagefinder.arrays import Embedding
from imagefinder.errors import UsageError


def combined(weights: Sequence[float], rows: Sequence[Embedding]) -> Embedding:
    """(dim,): the weighted mean of the rows, of unit length. Raises UsageError where they cancel
    out."""
    total = np.zeros(rows[0].shape, dtype=np.float64)
    for weight, row in zip(weights, rows, strict=True):
        total += weight * row
    length = float(np.linalg.norm(total))
    if not math.isfinite(length) or length < 1e-6:
        raise UsageError("the parts of the query cancel out; change their weights")
    if list(weights) == [1.0]:
        return total.astype(np.float32)  # unit length already, to the last bit
    return (total / length).astype(np.float32)
