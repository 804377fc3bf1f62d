"""Centring and PCA, fitted once on pictures that have nothing to do with anyone's collection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIM = 256
POWER = 0.25  # 0 is plain PCA, 1 is whitening; in between was best on labelled pictures


@dataclass(frozen=True)
class Projection:
    """`(features - mean) @ matrix`, then normalised, is the embedding."""

    mean: NDArray[np.float64]  # (features,)
    matrix: NDArray[np.float64]  # (features, dim), each column divided by a singular value's power


def fit_projection(
    features: NDArray[np.float64],
    weights: NDArray[np.float64],
    dim: int = DIM,
    power: float = POWER,
) -> Projection:
    """PCA of weighted rows.

    The singular values are those of the rows scaled to unit total weight; any other scale would
    multiply all components alike, which the normalisation takes away again.
    """
    share = weights / weights.sum()
    mean = share @ features
    rows = (features - mean) * np.sqrt(share)[:, None]
    values, vectors = np.linalg.eigh(rows.T @ rows)
    order = np.argsort(values)[::-1][:dim]
    singular = np.sqrt(values[order])
    directions = _with_fixed_sign(vectors[:, order])
    return Projection(mean=mean, matrix=directions / singular**power)


def project(features: NDArray[np.float64], projection: Projection) -> NDArray[np.float64]:
    """The same head in float64: unit rows."""
    projected = (features - projection.mean) @ projection.matrix
    length = np.linalg.norm(projected, axis=1, keepdims=True)
    return np.asarray(projected / np.maximum(length, 1e-12))


def _with_fixed_sign(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """An eigenvector's sign is arbitrary; the largest entry is made positive."""
    largest = np.abs(directions).argmax(axis=0)
    signs = np.sign(directions[largest, np.arange(directions.shape[1])])
    return np.asarray(directions * signs)
