"""Fits the curve that turns a score into a confidence, for a row of the catalogue.

    python tools/fit_calibration.py [--model efficientnet-lite0]

Each demo image is searched for among the others. Of its 10 closest, the share that has its label,
as a function of the score, is fitted with a logistic curve; so a confidence of 0.8 says that of
hits with this score, 8 in 10 show the same kind of thing. How well that holds on images that were
not used is told by fitting on four fifths of the queries and comparing on the last fifth, in turn.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagefinder.decode import decode
from imagefinder.models import load_embedder

DEMO = Path(__file__).resolve().parents[1] / "src/imagefinder/demo"
HITS = 10
FOLDS = 5
BINS = 5

Values = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="efficientnet-lite0")
    embeddings, labels = embedded(parser.parse_args().model)
    scores, same = hits(embeddings, labels)
    slope, offset = fitted(scores.ravel(), same.ravel())
    print(f"calibration=({slope:.3f}, {offset:.3f})")
    for low, high, promised, found, count in held_out(scores, same):
        print(
            f"confidence {low:.1f} to {high:.1f}: mean {promised:.2f}, true {found:.2f} ({count})"
        )


def embedded(model: str) -> tuple[Values, list[str]]:
    """(n, dim) embeddings of the demo images, and their labels."""
    embedder = load_embedder(model)
    with (DEMO / "images.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    tensors = [
        embedder.preprocess(
            decode((DEMO / row["url"]).read_bytes(), at_least=embedder.spec.decode_size).pixels
        )
        for row in rows
    ]
    return embedder.embed(np.stack(tensors)).astype(np.float64), [row["label"] for row in rows]


def hits(embeddings: Values, labels: list[str]) -> tuple[Values, NDArray[np.bool_]]:
    """(n, HITS) scores of each image's closest others, and whether these have its label."""
    scores = embeddings @ embeddings.T
    np.fill_diagonal(scores, -np.inf)
    closest = np.argsort(-scores, axis=1)[:, :HITS]
    names = np.array(labels)
    return np.take_along_axis(scores, closest, axis=1), names[closest] == names[:, None]


def fitted(scores: Values, same: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic curve, by Newton's method."""
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        promised = 1 / (1 + np.exp(-design @ weights))
        hessian = design.T @ (design * (promised * (1 - promised))[:, None])
        weights += np.linalg.solve(hessian, design.T @ (same - promised))
    return float(weights[0]), float(weights[1])


def held_out(
    scores: Values, same: NDArray[np.bool_]
) -> list[tuple[float, float, float, float, int]]:
    """Low, high, mean confidence, share that has the label and count, by bins of confidence."""
    fold = np.random.default_rng(0).permutation(len(scores)) % FOLDS
    promised = np.empty_like(scores)
    for part in range(FOLDS):
        rest = fold != part
        slope, offset = fitted(scores[rest].ravel(), same[rest].ravel())
        promised[fold == part] = 1 / (1 + np.exp(-(slope * scores[fold == part] + offset)))
    table = []
    for index in range(BINS):
        low, high = index / BINS, (index + 1) / BINS
        inside = (promised >= low) & (promised < high)
        if inside.any():
            share = float(same[inside].mean())
            table.append((low, high, float(promised[inside].mean()), share, int(inside.sum())))
    return table


if __name__ == "__main__":
    main()
