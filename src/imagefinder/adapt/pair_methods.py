"""What may be learned of pairs: linear projections of embeddings."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from imagefinder.adapt.methods import (
    SHRINKAGES,
    Shrinkage,
    covariance,
    projection,
    sizes_below,
    whitener,
    whitening,
)
from imagefinder.models.projected import Projection

if TYPE_CHECKING:
    from imagefinder.adapt.liked import Liked

PairMethod: TypeAlias = Callable[["Liked", int], Projection]


def pair_methods(images: int, pairs: int, dim: int) -> Mapping[str, PairMethod]:
    """Those that so many images and pairs allow, by name."""
    sizes = sizes_below(min(dim, images - 1))
    found: dict[str, PairMethod] = {"weights": weights}
    found |= {f"whitening, {size}": whitened(size) for size in sizes}
    for shrinkage in SHRINKAGES:
        found[f"relevant components, shrunk {shrinkage}"] = relevant(shrinkage)
        for size in sizes_below(min(dim, pairs)):
            named = f"discriminative components, {size}, shrunk {shrinkage}"
            found[named] = discriminative(size, shrinkage)
    return found


def weights(liked: "Liked", seed: int) -> Projection:
    """Each dimension counts for as much as it tells liked pairs from others: logistic regression of
    the products that a score is the sum of."""
    from sklearn.linear_model import LogisticRegression

    dim = liked.rows.shape[1]
    products = dim * liked.rows[liked.first] * liked.rows[liked.second]  # of 1 in the mean of likes
    found = LogisticRegression(max_iter=1000, random_state=seed).fit(products, liked.liked)
    values = np.maximum(found.coef_[0], 0)  # less than nothing cannot be projected
    if not values.any():
        values = np.ones(dim)
    return projection(np.zeros(dim), np.diag(np.sqrt(values / values.max())))


def whitened(size: int) -> PairMethod:
    """As of labelled images: what is known plays no part."""
    return lambda liked, seed: whitening(size)(liked.rows, [], seed)


def relevant(shrinkage: Shrinkage) -> PairMethod:
    """Directions in which liked pairs differ count for less: relevant component analysis
    (Bar-Hillel et al. 2003)."""

    def fit(liked: "Liked", seed: int) -> Projection:
        spread = covariance(liked.differences(liked.liked), shrinkage)
        return projection(liked.rows.mean(axis=0), whitener(spread))

    return fit


def discriminative(size: int, shrinkage: Shrinkage) -> PairMethod:
    """The directions in which others differ most, against the differences within liked pairs:
    discriminative component analysis (Hoi et al. 2006)."""

    def fit(liked: "Liked", seed: int) -> Projection:
        from scipy.linalg import eigh

        within = covariance(liked.differences(liked.liked), shrinkage)
        others = liked.differences(~liked.liked)
        between = others.T.astype(np.float64) @ others / len(others)
        _, directions = eigh(between, within)  # the least first, of length 1 by `within`
        return projection(liked.rows.mean(axis=0), directions[:, : -size - 1 : -1])

    return fit
