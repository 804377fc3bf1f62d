"""Features and weights of the pictures that the projection is fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fit_projection import Projection, fit_projection
from fitting_pictures import clip_art, crops, demo_sources, wallpapers
from reference_pixels import pixel_values, squashed, upright_rgb

BATCH = 32
NEAR_IDENTICAL = 0.97  # cosine of the pooled features
WALLPAPER_SHARE = 0.3  # of the total weight; clip art has the rest
FOLDER_LIMIT = 30  # a folder of more clip art than this weighs as one of this many: there are
# 1,378 stars, and the projection is not to be about stars


@dataclass(frozen=True)
class FittingSet:
    clip_art: list[Path]
    clip_features: NDArray[np.float64]  # (clip art, 1280)
    wallpapers: list[Path]
    wallpaper_features: NDArray[np.float64]  # (wallpapers, crops, 1280)
    left_out: int  # clip art that is near a demo image

    def projection(self, without_wallpapers: Sequence[int] = ()) -> Projection:
        photos = np.delete(self.wallpaper_features, list(without_wallpapers), axis=0)
        rows = photos.reshape(-1, photos.shape[-1])
        weights = [_clip_weights(self.clip_art), np.full(len(rows), WALLPAPER_SHARE / len(rows))]
        return fit_projection(np.concatenate([self.clip_features, rows]), np.concatenate(weights))


def fitting_set(session: onnxruntime.InferenceSession, root: Path, demo_table: Path) -> FittingSet:
    """`session` gives pooled features; `root` is where the Debian packages are unpacked."""
    demo = features(session, _whole(sorted(demo_sources(demo_table, root))))
    clips = clip_art(root)
    clip_features = features(session, _whole(clips))
    unseen = (unit(clip_features) @ unit(demo).T).max(axis=1) <= NEAR_IDENTICAL
    kept = [path for path, keep in zip(clips, unseen, strict=True) if keep]
    photos = wallpapers(root)
    photo_features = features(session, _crops(photos)).reshape(len(photos), -1, demo.shape[1])
    return FittingSet(
        clip_art=kept,
        clip_features=clip_features[unseen],
        wallpapers=photos,
        wallpaper_features=photo_features,
        left_out=len(clips) - len(kept),
    )


def features(
    session: onnxruntime.InferenceSession, pictures: Iterable[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """The session's output for pictures of (224, 224, 3): one row each."""
    found = [
        session.run(None, {"pixel_values": pixel_values(batch)})[0] for batch in _batches(pictures)
    ]
    return np.concatenate(found).astype(np.float64)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def _whole(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        yield squashed(upright_rgb(path))


def _crops(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        for crop in crops(upright_rgb(path)):
            yield squashed(crop)


def _batches(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _clip_weights(paths: Sequence[Path]) -> NDArray[np.float64]:
    folders = np.array([str(path.parent) for path in paths])
    _, which, counts = np.unique(folders, return_inverse=True, return_counts=True)
    weights = np.minimum(1.0, FOLDER_LIMIT / counts)[which]
    return np.asarray(weights / weights.sum() * (1 - WALLPAPER_SHARE))
