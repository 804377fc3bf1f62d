"""The score from which two images show the same: the operating point of a matching task."""

from dataclasses import dataclass

import numpy as np

from imagefinder.adapt.evidence import Scored
from imagefinder.evaluate.measures import f_measure


@dataclass(frozen=True, slots=True)
class Operating:
    """A threshold, and the precision and recall that pairs of images have above it."""

    threshold: float
    precision: float
    recall: float


def operating_point(scored: Scored, *, precision: float | None, beta: float) -> Operating:
    """The least threshold with this precision, which finds the most; without one that of the
    greatest F-beta. A precision that no threshold has is come nearest to."""
    from sklearn.metrics import precision_recall_curve

    scores, right = scored
    precisions, recalls, thresholds = precision_recall_curve(right, scores)
    precisions, recalls = precisions[:-1], recalls[:-1]  # the last point has no threshold
    if precision is None:
        quality = f_measure(precisions, recalls, beta)
    else:
        quality = np.where(precisions >= precision, 2 + recalls, precisions)
    best = int(np.argmax(quality))
    return Operating(float(thresholds[best]), float(precisions[best]), float(recalls[best]))


def at_threshold(scored: Scored, threshold: float) -> Operating:
    """What a threshold is worth among these pairs."""
    from sklearn.metrics import precision_score, recall_score

    scores, right = scored
    found = scores >= threshold
    return Operating(
        threshold,
        float(precision_score(right, found, zero_division=0)),
        float(recall_score(right, found, zero_division=0)),
    )
