"""How well neighbours share a label, and the demo images with theirs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DEMO = Path(__file__).resolve().parent.parent / "src/imagefinder/demo"


def demo_images() -> tuple[list[Path], NDArray[np.str_]]:
    """Files and labels of the demo images, in the order of their table."""
    with (DEMO / "images.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [DEMO / row["url"] for row in rows], np.array([row["label"] for row in rows])


def average_precisions(
    embeddings: NDArray[np.float64], labels: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Each image as a query against all others; what shares its label is relevant.

    `embeddings` are unit rows. The mean of the result is the mAP, over the whole ranking.
    """
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]  # the query itself comes last
    relevant = labels[order] == labels[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, order.shape[1] + 1)
    found: NDArray[np.float64] = (precision * relevant).sum(axis=1) / relevant.sum(axis=1)
    return found


def precision_at(k: int, embeddings: NDArray[np.float64], labels: NDArray[np.str_]) -> float:
    """The share of the k nearest others that have the query's label."""
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())
