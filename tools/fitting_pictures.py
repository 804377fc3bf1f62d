"""The pictures that the centring and PCA are fitted on, out of Debian's packages.

    mkdir work && cd work
    apt-get download openclipart-png gnome-backgrounds mate-backgrounds lomiri-wallpapers-16.04 \
        lomiri-wallpapers-20.04 plasma-workspace-wallpapers
    for package in *.deb; do dpkg -x "$package" root; done

The pictures lie under `work/root` then, which is what the tools here call the root.
"""

from __future__ import annotations

import csv
import hashlib
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

DEMO_TABLE = Path(__file__).resolve().with_name("demo_images.csv")
CLIP_ART = Path("usr/share/openclipart/png")
WALLPAPERS = (Path("usr/share/backgrounds"), Path("usr/share/wallpapers"))
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
SMALLEST_WALLPAPER = 640  # pixels: below lie previews of the same pictures
LARGEST_CLIP_ART = 50_000_000  # pixels: 15 files are larger, up to 623 megapixels

# left, top, right, bottom as fractions: the whole, four corners and the middle at 0.6 of each
# side, and a 3 x 3 grid of thirds. There are few photographs, and a part of one is another view.
CROPS: tuple[tuple[float, float, float, float], ...] = (
    (0.0, 0.0, 1.0, 1.0),
    *((x, y, x + 0.6, y + 0.6) for x, y in ((0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4), (0.2, 0.2))),
    *((x / 3, y / 3, (x + 1) / 3, (y + 1) / 3) for y in range(3) for x in range(3)),
)


@dataclass(frozen=True)
class Package:
    name: str
    version: str


def clip_art(root: Path) -> list[Path]:
    """Every clip-art picture that is not huge, without byte-identical ones, sorted by path."""
    distinct = _distinct(sorted((root / CLIP_ART).rglob("*.png")))
    return [path for path in distinct if _pixel_count(path) <= LARGEST_CLIP_ART]


def wallpapers(root: Path) -> list[Path]:
    """Every wallpaper once: the largest file of its folder where a package has several sizes."""
    files = [
        path
        for folder in WALLPAPERS
        for path in sorted((root / folder).rglob("*"))
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file() and not path.is_symlink()
    ]
    distinct = _distinct(_largest_of_each(files))
    return [path for path in distinct if _shorter_side(path) >= SMALLEST_WALLPAPER]


def demo_sources(table: Path, root: Path) -> set[Path]:
    """The clip-art files that the demo images were made of: the table's column `source`."""
    with table.open(newline="", encoding="utf-8") as rows:
        return {root / CLIP_ART / row["source"] for row in csv.DictReader(rows)}


def crops(image: Image.Image) -> Iterator[Image.Image]:
    for left, top, right, bottom in CROPS:
        box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        yield image.crop(box)  # rounded to whole pixels there


def packages(folder: Path) -> list[Package]:
    """Name and version of every Debian package file in the folder above the root."""
    found = []
    for path in sorted(folder.glob("*.deb")):
        command = ["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", str(path)]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        name, version = shown.split()
        found.append(Package(name, version))
    return found


def _distinct(paths: list[Path]) -> list[Path]:
    seen: set[str] = set()
    kept = []
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            kept.append(path)
    return kept


def _largest_of_each(paths: list[Path]) -> list[Path]:
    """In Plasma's package a folder `images` holds one wallpaper in many sizes."""
    largest: dict[Path, Path] = {}
    for path in paths:
        one_picture = path.parent.name.startswith("images")
        key = path.parent if one_picture else path
        if key not in largest or path.stat().st_size > largest[key].stat().st_size:
            largest[key] = path
    return sorted(largest.values())


def _pixel_count(path: Path) -> int:
    """From a PNG's header: Pillow refuses to open the largest of these files at all."""
    with path.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])
    return int(width) * int(height)


def _shorter_side(path: Path) -> int:
    with Image.open(path) as image:
        return min(image.size)
