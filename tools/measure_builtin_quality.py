"""Prints how well the built-in model finds demo images of the same label.

    pip install onnx onnxruntime pillow
    python tools/measure_builtin_quality.py

Each demo image is a query against the others (leave-one-out). None of them, and nothing close to
one, was used to fit the head.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from builtin_sessions import embedding_session, feature_session
from fitting_set import features, unit
from reference_pixels import squashed, upright_rgb
from retrieval_quality import average_precisions, demo_images, precision_at

RESAMPLES = 2000
NEIGHBOURS = 3
PAIRS = 12


def main() -> None:
    paths, labels = demo_images()
    pixels = [squashed(upright_rgb(path)) for path in paths]
    raw = unit(features(feature_session(), pixels))
    head = unit(features(embedding_session(), pixels))
    print(f"{len(labels)} images, {len(set(labels))} labels")
    for name, rows in (("pooled features, 1280-d", raw), ("embedding, 256-d", head)):
        _print_quality(name, rows, labels)
    gain = average_precisions(head, labels) - average_precisions(raw, labels)
    low, high = _interval(gain)
    print(f"gain of the head: {gain.mean():+.4f} mAP (95% interval {low:+.4f} to {high:+.4f})")
    _print_labels(head, labels)
    _print_confusions(head, labels)
    _print_closest_strangers(head, labels, [path.stem for path in paths])


def _print_quality(name: str, rows: NDArray[np.float64], labels: NDArray[np.str_]) -> None:
    scores = rows @ rows.T
    same = labels[:, None] == labels
    others = ~np.eye(len(labels), dtype=bool)
    related = np.percentile(scores[same & others], (5, 50, 95))
    unrelated = np.percentile(scores[~same], (5, 50, 95, 99))
    precision = average_precisions(rows, labels)
    low, high = _interval(precision)
    print(f"{name}:")
    print(f"  mAP {precision.mean():.4f} (95% interval {low:.4f} to {high:.4f})")
    at = ", ".join(f"{k}: {precision_at(k, rows, labels):.3f}" for k in (1, 3, 5))
    print(f"  precision at {at}")
    print(f"  scores of one label, 5/50/95%: {_numbers(related)}")
    print(f"  scores of different labels, 5/50/95/99%: {_numbers(unrelated)}")


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Bootstrap over the queries."""
    chance = np.random.default_rng(0)
    picks = chance.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _print_labels(rows: NDArray[np.float64], labels: NDArray[np.str_]) -> None:
    precision = average_precisions(rows, labels)
    means = {label: precision[labels == label].mean() for label in sorted(set(labels))}
    ranked = sorted(means.items(), key=lambda item: -item[1])
    print("mAP by label: " + ", ".join(f"{label} {mean:.2f}" for label, mean in ranked))


def _print_confusions(rows: NDArray[np.float64], labels: NDArray[np.str_]) -> None:
    scores = rows @ rows.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
    wrong: Counter[tuple[str, str]] = Counter()
    for query, found in zip(labels, labels[nearest], strict=True):
        wrong.update((str(query), str(label)) for label in found if label != query)
    listed = ", ".join(f"{a} -> {b} {count}" for (a, b), count in wrong.most_common(12))
    print(f"most frequent wrong labels among the first {NEIGHBOURS}: {listed}")


def _print_closest_strangers(
    rows: NDArray[np.float64], labels: NDArray[np.str_], ids: list[str]
) -> None:
    scores = np.triu(rows @ rows.T, 1)
    scores[labels[:, None] == labels] = 0
    pairs = np.unravel_index(np.argsort(-scores, axis=None)[:PAIRS], scores.shape)
    listed = ", ".join(f"{ids[a]} {ids[b]} {scores[a, b]:.2f}" for a, b in zip(*pairs, strict=True))
    print(f"closest images of different labels: {listed}")


def _numbers(values: NDArray[np.float64]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    main()
