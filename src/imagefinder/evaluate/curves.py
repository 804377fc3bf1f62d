"""What rankings look like beyond their measures: precision by recall, scores by right and wrong."""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.evaluate.rank import Ranking, Scores

if TYPE_CHECKING:
    from imagefinder.labels import Judgements

Levels: TypeAlias = NDArray[np.float64]  # (11,)

RECALL: Levels = np.linspace(0, 1, 11)


def precision_by_recall(
    judgements: "Judgements", queries: Sequence[str], rankings: Sequence[Ranking | None]
) -> Levels:
    """(11,): the interpolated precision at a recall of 0, 0.1 and so on to 1, as trec_eval has it:
    the best from there on, 0 where the recall is not reached; the mean over the queries."""
    total = np.zeros(len(RECALL))
    for query, ranking in zip(queries, rankings, strict=True):
        if ranking is not None:
            relevant = judgements.relevant(query)
            total += interpolated(is_right(ranking, relevant), len(relevant))
    return total / len(queries)


def interpolated(right: NDArray[np.bool_], answers: int) -> Levels:
    """(11,): of one ranking, of which these are right, among so many right answers."""
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    needed = np.ceil(RECALL * answers - 1e-9)  # that 0.7 * 10 be 7
    levels: Levels = best[np.searchsorted(found, needed)]
    return levels


def scores_of(
    judgements: "Judgements", queries: Sequence[str], rankings: Sequence[Ranking | None]
) -> tuple[Scores, Scores]:
    """The scores of right answers, and those of other images, as far as the rankings go."""
    right, wrong = [np.empty(0, np.float32)], [np.empty(0, np.float32)]
    for query, ranking in zip(queries, rankings, strict=True):
        if ranking is not None:
            is_one = is_right(ranking, judgements.relevant(query))
            right.append(ranking.scores[is_one])
            wrong.append(ranking.scores[~is_one])
    return np.concatenate(right), np.concatenate(wrong)


def is_right(ranking: Ranking, relevant: Container[str]) -> NDArray[np.bool_]:
    """(hits,)"""
    return np.array([id in relevant for id in ranking.ids], dtype=bool)
