"""Data that anyone can make again; kept below `.imagefinder/bench`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import ROOT

BENCH = ROOT / ".imagefinder" / "bench"
DEMO = ROOT / "src" / "imagefinder" / "demo"
FOLDER_FILES = 500  # files a folder, as a camera would fill them


def vectors(count: int, dim: int = 256, queries: int = 1000) -> tuple[NDArray[np.float32], ...]:
    """(count, dim) unit rows, and (queries, dim) more of the same kind: `centre[j] + 0.8 * noise`
    with 2,000 Gaussian centres."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((2000, dim), np.float32)
    rows = 0.8 * random.standard_normal((count + queries, dim), np.float32)
    rows += centres[random.integers(0, len(centres), len(rows))]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:count], rows[count:]


def demo_like(count: int) -> Path:
    """JPEG pictures as large as those of the demo, cut out of them, no two the same."""
    pictures = sorted((DEMO / "images").iterdir())
    random = np.random.default_rng(0)

    def write(number: int, file: Path) -> None:
        image = Image.open(pictures[number % len(pictures)]).convert("RGBA").convert("RGB")
        left, top = random.uniform(0, 0.3, 2) * image.size
        right, bottom = random.uniform(0.7, 1, 2) * image.size
        side = int(random.integers(300, 513))
        image.resize((side, side), box=(left, top, right, bottom)).save(file, quality=85)

    return made(BENCH / f"demo-like-{count}", count, write)


def tiny(count: int) -> Path:
    """JPEG pictures of 16 x 16, no two the same: cheap to index, as many files as one likes."""
    random = np.random.default_rng(0)

    def write(_: int, file: Path) -> None:
        pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(file, quality=60)

    return made(BENCH / f"tiny-{count}", count, write)


def made(folder: Path, count: int, write: Callable[[int, Path], None]) -> Path:
    """The folder with `count` files that `write` writes, made once."""
    if folder.exists():
        return folder
    new = folder.with_name(folder.name + ".new")  # what is interrupted is made anew
    shutil.rmtree(new, ignore_errors=True)
    for number in range(count):
        file = new / f"{number // FOLDER_FILES:03}" / f"{number:06}.jpg"
        if number % FOLDER_FILES == 0:
            file.parent.mkdir(parents=True)
        write(number, file)
    return new.rename(folder)


def fresh(name: str) -> Path:
    """A path below `.imagefinder/bench` where nothing is."""
    path = BENCH / name
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
