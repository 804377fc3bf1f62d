"""The hits of several spaces as one ranking."""

from collections.abc import Sequence
from dataclasses import replace

from imagefinder.types import Hit

SMOOTHING = 60  # of reciprocal rank fusion; Cormack, Clarke and Buettcher, SIGIR 2009
DEEPER = 4  # so many times as many hits are looked at in each space
LEAST = 50  # and never fewer


def depth(k: int) -> int:
    """How many hits of each space decide the first k."""
    return max(DEEPER * k, LEAST)


def fused(rankings: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """The k best by reciprocal rank fusion, best first, ties by id.

    A hit's score is the mean over the spaces of (SMOOTHING + 1) / (SMOOTHING + rank), rank from 1,
    where a space that has not found it gives 0: 1 is the first of every space. Scores of different
    models cannot be compared, ranks can.
    """
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, 1):
            part = (SMOOTHING + 1) / (SMOOTHING + rank) / len(rankings)
            scores[hit.id] = scores.get(hit.id, 0.0) + part
            hits.setdefault(hit.id, hit)
    best = sorted(scores, key=lambda id: (-scores[id], id))[:k]
    return [replace(hits[id], score=scores[id], confidence=None) for id in best]
