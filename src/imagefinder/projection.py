"""Embeddings in two dimensions, for a map on which like lies beside like."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.arrays import Embeddings

Points: TypeAlias = NDArray[np.float64]  # (n, 2)
Method: TypeAlias = Literal["t-SNE", "PCA"]

FEWEST = 10  # images; of fewer t-SNE, which keeps neighbours together, has nothing to tell
PERPLEXITY = 30.0  # as it were the neighbours that t-SNE looks at, a third of the images at most
EQUAL = 1e-6  # rows that differ by less are taken for the same; it is what float32 is good for
WIDE_ENOUGH = 16  # dimensions; in fewer, scikit-learn exchanges the warning filters of the process
SIDE_DIRECTIONS, ROUNDS = 10, 20  # of the subspace iteration


@dataclass(frozen=True, slots=True)
class Projection:
    """`points` are between 0 and 1, with one scale for both axes, and centred."""

    method: Method
    points: Points


def project(rows: Embeddings) -> Projection:
    """(n, dim) -> (n, 2), always the same for the same rows.

    By t-SNE where scikit-learn is installed (the extra `map`), which takes one core 11 s for 5,000
    rows; else, and for a few rows, the two directions in which they differ most.
    """
    if not len(rows) or np.ptp(rows, axis=0).max() < EQUAL:
        return Projection("PCA", np.full((len(rows), 2), 0.5))
    flat = main_directions(rows)
    if len(rows) < FEWEST:
        return Projection("PCA", in_unit_square(flat))
    try:
        return Projection("t-SNE", in_unit_square(tsne(rows, flat)))
    except ImportError:
        return Projection("PCA", in_unit_square(flat))


def best_method() -> Method:
    """How enough rows are drawn here."""
    return "PCA" if find_spec("sklearn") is None else "t-SNE"


def main_directions(rows: Embeddings) -> Points:
    """Principal component analysis by subspace iteration (Halko, Martinsson and Tropp 2011,
    algorithm 4.4): of 4,096 dimensions a whole decomposition takes 18 s. Among directions in which
    they differ almost equally it may take another."""
    centred = rows - rows.mean(axis=0)
    dim = rows.shape[1]
    size = (dim, min(dim, 2 + SIDE_DIRECTIONS))
    directions = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
    for _ in range(ROUNDS):
        directions, _ = np.linalg.qr(centred.T @ (centred @ directions))
    _, _, axes = np.linalg.svd(centred @ directions, full_matrices=False)
    found = centred @ directions @ axes[:2].T
    points = np.zeros((len(rows), 2))  # the second axis stays so where there is one dimension
    points[:, : found.shape[1]] = found
    farthest = points[np.abs(points).argmax(axis=0), [0, 1]]
    return points * np.where(farthest < 0, -1, 1)  # the sign is anyone's choice: be it this one


def tsne(rows: Embeddings, start: Points) -> Points:
    """t-SNE (van der Maaten 2014), which begins with `start`. Raises ImportError."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    made = TSNE(
        n_components=2,
        init=(start / start[:, 0].std() * 1e-4).astype(np.float32),  # small, as it has to be
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        random_state=0,
        n_jobs=1,  # is about the search for neighbours only; the limit is about the rest
    )
    narrow = max(WIDE_ENOUGH - rows.shape[1], 0)
    with threadpool_limits(1, user_api="openmp"):  # of this thread
        points: Points = made.fit_transform(np.pad(rows, ((0, 0), (0, narrow)))).astype(np.float64)
    return points


def in_unit_square(points: Points) -> Points:
    """Moved and scaled, the shape kept."""
    low, high = points.min(axis=0), points.max(axis=0)
    moved: Points = (points - (low + high) / 2) / max((high - low).max(), EQUAL) + 0.5
    return moved
