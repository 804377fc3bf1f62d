"""Embeddings at the door of a store: checked, and as its distance wants them; and their scores."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imagefinder.errors import UsageError
from imagefinder.types import Distance

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding, Embeddings

__all__ = ["image_rows", "query_rows", "scores"]

BLOCK = 4096  # rows; 256 wide they take 8 MB as float64
NEARLY_UNIT = 1e-6  # float32 rounding; such rows are kept to the bit
MAX_LENGTH = 9e18  # twice as much, squared, still fits float32


def image_rows(vectors: ArrayLike, dim: int, count: int, distance: Distance) -> "Embeddings":
    """The (count, dim) float32 rows that a space of this distance keeps: of unit length for
    cosine, else to the bit as they are.

    Raises UsageError for another shape, and for rows that cannot be compared: not finite,
    all zero (cosine: without a direction), longer than MAX_LENGTH (the others).
    """
    return _rows(vectors, dim, count, distance, "image")


def query_rows(vectors: ArrayLike, dim: int, distance: Distance) -> "Embeddings":
    """The same for any number of queries. The dot product, too, refuses one that is all zero:
    every image is as like it as any other."""
    return _rows(vectors, dim, None, distance, "query")


def scores(rows: "Embeddings", query: "Embedding", distance: Distance) -> list[float]:
    """How alike every row is to one query, greater is more: the cosine similarity of unit rows,
    -1 to 1; the dot product; or minus the Euclidean distance, so at most 0.

    Row by row, not as a matrix product: its blocking gives equal rows unequal last bits, and ties
    would then be ordered by where a row stands.
    """
    found: list[float] = []
    wide = query.astype(np.float64)  # products of float32 are exact in it
    for start in range(0, len(rows), BLOCK):
        found += _scores(rows[start : start + BLOCK], wide, distance).tolist()
    return found


def _scores(
    rows: "Embeddings", query: NDArray[np.float64], distance: Distance
) -> NDArray[np.float64]:
    sums: NDArray[np.float64]
    if distance == "euclidean":
        sums = ((rows - query) ** 2).sum(axis=1)
        return 0.0 - np.sqrt(sums)  # 0.0 -: never -0.0
    sums = (rows * query).sum(axis=1)
    return np.clip(sums, -1.0, 1.0) if distance == "cosine" else sums


def _rows(
    vectors: ArrayLike, dim: int, count: int | None, distance: Distance, what: str
) -> "Embeddings":
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
        array = np.asarray(vectors, dtype=np.float32)
    if array.size == 0 and count in (None, 0):
        return np.empty((0, dim), np.float32)
    if array.ndim != 2 or array.shape[1] != dim or count not in (None, len(array)):
        wanted = f"({'n' if count is None else count}, {dim})"
        raise UsageError(
            f"{what}: embeddings of shape {array.shape}, this space holds {wanted};"
            " use the model that the collection was made with"
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    _check(lengths, distance, what)
    if distance == "cosine":
        array = _unit(array, lengths)
    return np.ascontiguousarray(array)


def _check(lengths: NDArray[np.float64], distance: Distance, what: str) -> None:
    zero_goes = distance == "euclidean" or (distance == "dot" and what == "image")
    bad = np.flatnonzero(~np.isfinite(lengths) | ((lengths == 0) & (not zero_goes)))
    if bad.size:
        or_zero = "" if zero_goes else "all zero or "
        raise UsageError(f"{what} {bad[0]}: the embedding is {or_zero}not finite")
    if distance == "cosine":
        return
    long = np.flatnonzero(lengths > MAX_LENGTH)
    if long.size:
        raise UsageError(
            f"{what} {long[0]}: the embedding has the length {lengths[long[0]]:.1e}, the limit is"
            f" {MAX_LENGTH:.0e}; scale all embeddings down"
        )


def _unit(rows: "Embeddings", lengths: NDArray[np.float64]) -> "Embeddings":
    off = np.abs(lengths - 1) > NEARLY_UNIT
    if off.any():
        rows = rows.copy()
        rows[off] = (rows[off] / lengths[off, None]).astype(np.float32)
    return rows
