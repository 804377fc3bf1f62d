"""The score from which two images show the same: the operating point of a matching task."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt.examples import Examples
from imagefinder.evaluate.measures import f_measure
from imagefinder.evaluate.run import drawn
from imagefinder.models.projected import Projection
from imagefinder.same import unit

IMAGES = 1000  # whose pairs are looked at: half a million


@dataclass(frozen=True, slots=True)
class Operating:
    """A threshold, and the precision and recall that pairs of images have above it."""

    threshold: float
    precision: float
    recall: float


def operating_point(
    examples: Examples,
    projection: Projection | None,
    *,
    precision: float | None,
    beta: float,
    seed: int,
) -> Operating:
    """The least threshold with this precision, which finds the most; without one that of the
    greatest F-beta. A precision that no threshold has is come nearest to."""
    from sklearn.metrics import precision_recall_curve

    scores, right = pairs(examples, projection, seed)
    precisions, recalls, thresholds = precision_recall_curve(right, scores)
    precisions, recalls = precisions[:-1], recalls[:-1]  # the last point has no threshold
    if precision is None:
        quality = f_measure(precisions, recalls, beta)
    else:
        quality = np.where(precisions >= precision, 2 + recalls, precisions)
    best = int(np.argmax(quality))
    return Operating(float(thresholds[best]), float(precisions[best]), float(recalls[best]))


def at_threshold(
    examples: Examples, projection: Projection | None, threshold: float, *, seed: int
) -> Operating:
    """What a threshold is worth among these examples."""
    from sklearn.metrics import precision_score, recall_score

    scores, right = pairs(examples, projection, seed)
    found = scores >= threshold
    return Operating(
        threshold,
        float(precision_score(right, found, zero_division=0)),
        float(recall_score(right, found, zero_division=0)),
    )


def pairs(
    examples: Examples, projection: Projection | None, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(pairs,) each: the scores of all pairs of images, and whether they are of one class. Pairs of
    copies are left out: they are the same anyway. Of many images as many as IMAGES are drawn."""
    some = examples.of_ids(drawn(examples.ids, IMAGES, seed))
    rows = some.rows if projection is None else unit(projection(some.rows))
    first, second = np.triu_indices(len(some), k=1)
    groups, classes = np.array(some.groups), np.array(some.classes)
    other = groups[first] != groups[second]
    first, second = first[other], second[other]
    return (rows @ rows.T)[first, second], classes[first] == classes[second]
