"""Photographs of 12 megapixels, out of Debian's wallpaper packages, and small ones of them."""

import hashlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image, ImageOps

from benchmarks.data import BENCH, made

PACKAGES = (
    "gnome-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
)
SIZE = (4000, 3000)
UPLOAD = (640, 480)
QUALITY = 92
SMALLEST_SIDE = 1400  # what is smaller would be a blur at this size
# left, top, right, bottom as fractions: there are few wallpapers, and a part is another picture
PARTS = (
    (0.0, 0.0, 1.0, 1.0),
    *((x, y, x + 0.7, y + 0.7) for x, y in ((0, 0), (0.3, 0.3), (0.3, 0), (0, 0.3), (0.15, 0.15))),
)


def photographs(count: int) -> Path:
    """A folder of `count` JPEG files of 4000 x 3000, no two the same. Needs apt-get and dpkg."""
    folder = BENCH / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in folder.glob("*.jpg")) < count:
        with ProcessPoolExecutor() as pool:
            list(pool.map(write, *zip(*views(wallpapers(unpacked())), strict=True)))
    selected = BENCH / f"photographs-{count}"
    if not selected.exists():
        selected.mkdir()
        for file in sorted(folder.glob("*.jpg"))[:count]:
            (selected / file.name).hardlink_to(file)
    return selected


def uploads(count: int) -> Path:
    """A folder of as many JPEG files of 640 x 480: the photographs, as people upload them."""
    large = sorted(photographs(count).iterdir())

    def write(number: int, file: Path) -> None:
        with Image.open(large[number]) as image:
            image.draft("RGB", (2 * UPLOAD[0], 2 * UPLOAD[1]))
            image.resize(UPLOAD, Image.Resampling.LANCZOS).save(file, quality=85)

    return made(BENCH / f"uploads-{count}", count, write)


def unpacked() -> Path:
    """Where the wallpaper packages lie unpacked."""
    debian = BENCH / "debian"
    root = debian / "root"
    if not root.exists():
        debian.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=debian, check=True)
        for package in sorted(debian.glob("*.deb")):
            subprocess.run(["dpkg", "-x", package, root], check=True)
    return root


def wallpapers(root: Path) -> list[Path]:
    """The photographs among them, each once."""
    distinct: dict[str, Path] = {}
    for file in sorted((root / "usr" / "share").rglob("*.jpg")):
        with Image.open(file) as image:
            large = min(image.size) >= SMALLEST_SIDE
        if large and not file.is_symlink():
            distinct.setdefault(hashlib.sha256(file.read_bytes()).hexdigest(), file)
    return list(distinct.values())


def views(files: list[Path]) -> Iterator[tuple[Path, int, bool, Path]]:
    """Each picture, its parts, and all of them mirrored: (picture, part, mirrored, file)."""
    number = 0
    for mirrored in (False, True):
        for part in range(len(PARTS)):
            for file in files:
                yield file, part, mirrored, BENCH / "photographs" / f"{number:04}.jpg"
                number += 1


def write(picture: Path, part: int, mirrored: bool, file: Path) -> None:
    """One photograph, cut to 4 : 3."""
    left, top, right, bottom = PARTS[part]
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    image = image.crop(
        (int(left * width), int(top * height), int(right * width), int(bottom * height))
    )
    image = ImageOps.fit(image, SIZE, Image.Resampling.LANCZOS)
    new = file.with_suffix(".new")
    (ImageOps.mirror(image) if mirrored else image).save(new, "JPEG", quality=QUALITY)
    new.rename(file)
