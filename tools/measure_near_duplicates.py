"""Prints how often an altered photograph finds its original.

    python tools/measure_near_duplicates.py work

The wallpapers of `work` (see tools/fitting_pictures.py) are altered in several ways, and searched
for among all of them and all clip art. The head is fitted twice, each time without the half of the
wallpapers that is then searched for. Takes some minutes.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from builtin_sessions import feature_session
from fit_projection import Projection, project
from fitting_pictures import DEMO_TABLE
from fitting_set import FittingSet, features, fitting_set, unit
from reference_pixels import squashed, upright_rgb

WORKING_SIDE = 1600  # pixels; enough for what is scaled to 224 in the end
BLANK = 4.0  # levels; a standard deviation below this is one colour
SAME_PICTURE = 0.9  # cosine of two wallpapers' features: day and night versions, and sizes of one

Alteration = Callable[[Image.Image, np.random.Generator], Image.Image]


def _cut(side: float) -> Alteration:
    def cut(image: Image.Image, chance: np.random.Generator) -> Image.Image:
        width, height = int(image.width * side), int(image.height * side)
        left = int((image.width - width) * chance.random())
        top = int((image.height - height) * chance.random())
        return image.crop((left, top, left + width, top + height))

    return cut


def _jpeg(image: Image.Image, _: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def _small(image: Image.Image, _: np.random.Generator) -> Image.Image:
    factor = 160 / min(image.size)
    size = (int(image.width * factor), int(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def _turned(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.rotate(5, Image.Resampling.BICUBIC)


def _to_aspect(ratio: float) -> Alteration:
    def cut(image: Image.Image, _: np.random.Generator) -> Image.Image:
        width = min(image.width, image.height * ratio)
        return ImageOps.fit(image, (int(width), int(width / ratio)))

    return cut


def _several(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    return _jpeg(ImageOps.mirror(_cut(0.7)(image, chance)), chance)


ALTERATIONS: dict[str, Alteration] = {
    "90% of each side": _cut(0.9),
    "80% of each side": _cut(0.8),
    "70% of each side": _cut(0.7),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "JPEG quality 30": _jpeg,
    "shorter side 160 px": _small,
    "turned by 5 degrees, corners black": _turned,
    "cut to 1:1": _to_aspect(1),
    "cut to 3:4": _to_aspect(3 / 4),
    "70%, mirrored, JPEG quality 30": _several,
    "darkened to 60%": lambda image, _: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image, _: image.convert("L").convert("RGB"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with Debian's packages, unpacked in root/")
    arguments = parser.parse_args()
    session = feature_session()
    fitting = fitting_set(session, arguments.work / "root", DEMO_TABLE)
    fitting = _without_blank(fitting)
    altered = features(session, _altered(fitting.wallpapers))
    altered = altered.reshape(len(fitting.wallpapers), len(ALTERATIONS), -1)
    raw, embedded = _hits(fitting, altered, False), _hits(fitting, altered, True)
    print(f"{len(altered)} wallpapers among {len(altered) + len(fitting.clip_art)} pictures")
    for index, name in enumerate(ALTERATIONS):
        print(f"{name}: first in {embedded[:, index].mean():.3f} (raw {raw[:, index].mean():.3f})")
    print(f"all: first in {embedded.mean():.4f} (raw {raw.mean():.4f})")
    missed = [
        path.name
        for path, hits in zip(fitting.wallpapers, embedded, strict=True)
        if hits.mean() < 0.5
    ]
    print("mostly missed: " + ", ".join(missed))


def _without_blank(fitting: FittingSet) -> FittingSet:
    """Some wallpapers are patterns on a transparent ground, of which nothing is left on white."""
    shown = [
        index
        for index, path in enumerate(fitting.wallpapers)
        if squashed(upright_rgb(path)).std() >= BLANK
    ]
    return replace(
        fitting,
        wallpapers=[fitting.wallpapers[index] for index in shown],
        wallpaper_features=fitting.wallpaper_features[shown],
    )


def _altered(paths: list[Path]) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        chance = np.random.default_rng(zlib.crc32(path.name.encode()))
        image = upright_rgb(path)
        image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
        for alter in ALTERATIONS.values():
            yield squashed(alter(image, chance))


def _hits(fitting: FittingSet, altered: NDArray[np.float64], with_head: bool) -> NDArray[np.bool_]:
    """(wallpapers, alterations): whether the original comes before every other picture."""
    whole = fitting.wallpaper_features[:, 0]
    same = unit(whole) @ unit(whole).T > SAME_PICTURE
    hits = np.zeros(altered.shape[:2], bool)
    for fold in (0, 1):
        tested = np.arange(fold, len(whole), 2)
        unseen = np.flatnonzero(same[tested].any(axis=0))
        projection = fitting.projection(list(unseen)) if with_head else None
        gallery = _embed(whole, projection)
        distractors = _embed(fitting.clip_features, projection)
        for index in tested:
            queries = _embed(altered[index], projection)
            own = queries @ gallery[index]
            others = (queries @ gallery[~same[index]].T).max(axis=1)
            hits[index] = own > np.maximum(others, (queries @ distractors.T).max(axis=1))
    return hits


def _embed(rows: NDArray[np.float64], projection: Projection | None) -> NDArray[np.float64]:
    return unit(rows) if projection is None else project(rows, projection)


if __name__ == "__main__":
    main()
