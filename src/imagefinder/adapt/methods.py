"""What may be learned: linear projections of embeddings, which cost a search nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.arrays import Embeddings
from imagefinder.models.projected import Projection

# (n, dim) unit rows, their classes, a seed -> what was learned of them
Method: TypeAlias = Callable[[Embeddings, Sequence[str], int], Projection]

Shrinkage: TypeAlias = float | Literal["auto"]

SIZES = (16, 32, 64, 128)  # dimensions that are kept
MANY = 2000  # images; with more, neighbours take too long to be learned
ROUNDS = 100
# Of covariances: how far towards one that is the same in every direction, between 0 and 1. Few
# images need much; much hides differences that are faint in the embeddings. Ledoit and Wolf (2004).
SHRINKAGES: tuple[Shrinkage, ...] = ("auto", 0.1, 0.01, 0.001)


def methods(images: int, dim: int, classes: int) -> Mapping[str, Method]:
    """Those that so many images allow, by name."""
    most = min(dim, images - 1)
    sizes = sizes_below(most)
    found: dict[str, Method] = {f"whitening, {size}": whitening(size) for size in sizes}
    kept = min(classes - 1, most)
    for shrinkage in SHRINKAGES:
        found[f"within-class whitening, shrunk {shrinkage}"] = within(shrinkage)
        if kept > 1:  # of two classes one number would be left, and cosines of it are 1 and -1
            named = f"discriminant analysis, {kept}, shrunk {shrinkage}"
            found[named] = discriminant(kept, shrinkage)
    if images <= MANY:
        found |= {f"neighbourhoods, {size}": neighbours(size) for size in sizes[1:2]}
    return found


def sizes_below(most: int) -> list[int]:
    """How many dimensions may be kept."""
    return [size for size in SIZES if size < most]


def whitening(size: int) -> Method:
    """Principal components, each of the same variance: what all images have in common no longer
    decides. Labels play no part."""

    def fit(rows: Embeddings, classes: Sequence[str], seed: int) -> Projection:
        from sklearn.decomposition import PCA

        found = PCA(n_components=size, svd_solver="full").fit(rows)
        scale = np.sqrt(np.maximum(found.explained_variance_, np.finfo(np.float32).eps))
        return projection(found.mean_, found.components_.T / scale)

    return fit


def within(shrinkage: Shrinkage) -> Method:
    """Directions in which images of one class differ count for less: within-class covariance
    normalisation (Hatch and Stolcke 2006)."""

    def fit(rows: Embeddings, classes: Sequence[str], seed: int) -> Projection:
        spread = covariance(rows - class_means(rows, classes), shrinkage)
        return projection(rows.mean(axis=0), whitener(spread))

    return fit


def covariance(differences: NDArray[np.floating], shrinkage: Shrinkage) -> NDArray[np.float64]:
    """(dim, dim): of rows whose mean is 0."""
    from sklearn.covariance import LedoitWolf, ShrunkCovariance

    estimate = (
        LedoitWolf(assume_centered=True)
        if shrinkage == "auto"
        else ShrunkCovariance(assume_centered=True, shrinkage=shrinkage)
    )
    found: NDArray[np.float64] = estimate.fit(differences).covariance_
    return found


def whitener(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """(dim, dim): after it, what varied by this covariance varies alike in every direction."""
    values, directions = np.linalg.eigh(spread)
    values = np.maximum(values, np.finfo(np.float32).eps * values.max())
    found: NDArray[np.float64] = directions / np.sqrt(values) @ directions.T
    return found


def discriminant(size: int, shrinkage: Shrinkage) -> Method:
    """Linear discriminant analysis (Fisher 1936): the directions in which classes differ most
    against the differences within them."""

    def fit(rows: Embeddings, classes: Sequence[str], seed: int) -> Projection:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        found = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
        found.fit(rows.astype(np.float64), list(classes))
        return projection(rows.mean(axis=0), found.scalings_[:, :size])

    return fit


def neighbours(size: int) -> Method:
    """Neighbourhood components analysis (Goldberger et al. 2005): like lies beside like."""

    def fit(rows: Embeddings, classes: Sequence[str], seed: int) -> Projection:
        from sklearn.neighbors import NeighborhoodComponentsAnalysis

        mean = rows.mean(axis=0)
        found = NeighborhoodComponentsAnalysis(
            n_components=size, init="pca", max_iter=ROUNDS, random_state=seed
        )
        found.fit(rows - mean, list(classes))
        return projection(mean, found.components_.T)

    return fit


def class_means(rows: Embeddings, classes: Sequence[str]) -> NDArray[np.float64]:
    """(n, dim): for each row the mean of its class."""
    names, numbers = np.unique(np.array(classes), return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, numbers, rows)
    means: NDArray[np.float64] = sums / np.bincount(numbers)[:, None]
    return means[numbers]


def projection(mean: NDArray[np.float64], matrix: NDArray[np.float64]) -> Projection:
    """As it is kept."""
    return Projection(
        np.ascontiguousarray(mean, np.float32), np.ascontiguousarray(matrix, np.float32)
    )
