"""How well scores tell liked pairs from others: average precision over all of them."""

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt.evidence import Comparison, Scored
from imagefinder.evaluate.interval import LEVEL, Interval

RESAMPLES = 1000
DRAWS = 200


def precision(scored: Scored, times: NDArray[np.int64] | None = None) -> float:
    """The average precision of pairs in the order of their scores, each counting so many times."""
    from sklearn.metrics import average_precision_score

    scores, liked = scored
    return float(average_precision_score(liked, scores, sample_weight=times))


def compared(before: Scored, after: Scored, queries: NDArray[np.int64], *, seed: int) -> Comparison:
    """AP by both scores of the same pairs. The intervals are of a bootstrap over the queries, since
    the pairs of one query are alike: its 2.5% and 97.5% percentiles."""
    numbers = np.random.default_rng(seed)
    names, places = np.unique(queries, return_inverse=True)
    drawn: list[list[float]] = []
    while len(drawn) < RESAMPLES:
        chosen = numbers.integers(len(names), size=len(names))
        times = np.bincount(chosen, minlength=len(names))[places]
        if (times > 0)[before[1]].any():  # of no liked pair there is no AP
            drawn.append([precision(before, times), precision(after, times)])
    table = np.array(drawn)
    table = np.column_stack([table, table[:, 1] - table[:, 0]])
    low, high = np.percentile(table, [50 - LEVEL / 2, 50 + LEVEL / 2], axis=0)
    means = precision(before), precision(after)
    values = (*means, means[1] - means[0])
    return Comparison(*map(Interval, values, map(float, low), map(float, high)))


def by_chance(
    before: Scored, after: Scored, *, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """(draws,): by how much AP would be greater after, were it dealt out at random which pairs are
    liked."""
    numbers = np.random.default_rng(seed)
    differences = np.zeros(draws)
    for draw in range(draws):
        dealt = numbers.permutation(before[1])
        differences[draw] = precision((after[0], dealt)) - precision((before[0], dealt))
    return differences
