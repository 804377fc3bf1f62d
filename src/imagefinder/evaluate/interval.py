"""How far a mean over queries can be relied on: the percentile bootstrap."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 95  # percent of the resampled means that are within an interval
AT_ONCE = 2_000_000  # numbers drawn at a time, 16 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and the 95% interval that it is in by chance of the queries."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width, as behind a plus-minus sign."""
        return (self.high - self.low) / 2


def intervals(values: Mapping[str, NDArray[np.float64]], *, seed: int) -> dict[str, Interval]:
    """The mean of each measure over the queries with its interval (Efron 1979): the same queries
    drawn again and again, with replacement. All measures are of the same draws.

    For a paired comparison, give the differences of each query."""
    table = np.stack(list(values.values()))  # (measures, queries)
    means = table.mean(axis=1)
    drawn = resampled(table, np.random.default_rng(seed))
    low, high = np.percentile(drawn, [50 - LEVEL / 2, 50 + LEVEL / 2], axis=0)
    return {
        name: Interval(*map(float, each))
        for name, each in zip(values, zip(means, low, high, strict=True), strict=True)
    }


def resampled(table: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(RESAMPLES, measures): the means of each draw."""
    queries = table.shape[1]
    rows = max(1, AT_ONCE // queries)
    means = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        drawn = rng.integers(queries, size=(count, queries))
        drawn += np.arange(count)[:, None] * queries
        times = np.bincount(drawn.ravel(), minlength=count * queries).reshape(count, queries)
        means.append(times @ table.T / queries)
    return np.concatenate(means)
