"""Small pictures for tests: made, not stored."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TURNED = {  # orientation -> upright picture -> as the camera stores it (EXIF 2.32, 4.6.4)
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """A picture of 4 x 3 coloured tiles; another seed gives other colours."""
    tiles = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(tiles).resize(size, Image.Resampling.NEAREST)


def write_pictures(folder: Path, names: Sequence[str], *, first: int = 0) -> None:
    """A picture of its own for every name."""
    for seed, name in enumerate(names, start=first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path)


def write_kinds(folder: Path, *, kinds: int = 3, each: int = 4) -> None:
    """Directories kind0, kind1, ... of pictures that are alike but for their noise."""
    for kind in range(kinds):
        for number in range(each):
            path = folder / f"kind{kind}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(picture(kind)).astype(int)
            noise = np.random.default_rng(10 * kind + number).integers(-90, 90, pixels.shape)
            Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path)


def touch_later(path: Path, seconds: int = 10) -> None:
    """As if the file had been written again later."""

    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 1_000_000_000))
