"""Make the demo collection and the demo queries from the public-domain clip art of Debian.

Reads the curated table `tools/demo_images.csv` and writes

    src/imagefinder/demo/images/<id>.<format>     role `collection`
    src/imagefinder/demo/images.csv               id, url (relative to this file), label
    src/imagefinder/demo/queries/<id>.<format>    role `query`, not part of the collection

Needs Pillow. The clip art is Debian's package `openclipart-png`: either installed, or fetched and
unpacked (nothing is installed, no root needed) into a folder of your choice:

    python tools/make_demo_images.py
    python tools/make_demo_images.py --unpack-into clipart

The same table and the same Pillow give the same bytes; the committed files are from Pillow 13.0.0.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

PACKAGE = "openclipart-png"
CLIPART = Path("usr/share/openclipart/png")  # below the root of the file system or of the package
ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tools" / "demo_images.csv"
DEMO = ROOT / "src" / "imagefinder" / "demo"

FOLDERS = {
    "collection": "images",
    "query": "queries",
}  # role -> folder below the demo folder
FORMATS = ("jpg", "png", "webp")
MAX_SIDE = 512  # px; twice the size of a thumbnail on the page, so that it stays sharp
MARGIN = 0.04  # of the longer side, kept around what is drawn
SHADE = 12  # of 255; what differs less from white is scanner dust or the end of a soft shadow
PALETTE_PSNR = 38.0  # dB; with less, the bands that a palette makes in a gradient can be seen
WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Row:
    """One picture of the table; `source` is relative to the clip art folder."""

    source: str
    id: str
    label: str
    role: str
    format: str

    @property
    def url(self) -> str:
        return f"{FOLDERS[self.role]}/{self.id}.{self.format}"


class TableError(ValueError):
    """The table names something that cannot be made."""


def read_rows(table: Path) -> list[Row]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = [Row(**line) for line in csv.DictReader(file)]
    for row in rows:
        if row.role not in FOLDERS or row.format not in FORMATS:
            raise TableError(f"{table.name}: {row.id}: no role or format {row.role}, {row.format}")
    for column in ("source", "id"):
        for value, times in Counter(getattr(row, column) for row in rows).items():
            if times > 1:
                raise TableError(f"{table.name}: {column} {value} stands there {times} times")
    return rows


def write_demo(rows: Sequence[Row], clipart: Path, demo: Path) -> Iterator[tuple[Row, int]]:
    """Write every picture, then the CSV, and yield each row with the size of its file in bytes."""
    for row in rows:  # before anything is thrown away
        if not (clipart / row.source).is_file():
            raise TableError(f"{row.source}: not among the clip art, {row.id} is to be made of it")
    for folder in FOLDERS.values():
        empty_folder(demo / folder)
    for row in rows:
        data = encode(prepare(clipart / row.source), row.format)
        (demo / row.url).write_bytes(data)
        yield row, len(data)
    with (demo / "images.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "url", "label"])
        writer.writerows([row.id, row.url, row.label] for row in rows if row.role == "collection")


def empty_folder(folder: Path) -> None:
    """Make the folder, without the pictures of an earlier table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FORMATS:
        for path in folder.glob(f"*.{name}"):
            path.unlink()


def prepare(path: Path) -> Image.Image:
    """Read one picture as RGBA, cut to what is drawn, 512 px at most."""
    with Image.open(path) as file:
        image = file.convert("RGBA")
    box = drawn_box(image)
    if box is None:
        raise TableError(f"{path.name}: an empty picture")
    image = image.crop(box)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    image.info.clear()  # colour profiles and comments would otherwise be written again
    return image


def drawn_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """The box of what is drawn, with a margin: many drawings fill a corner of an A4 page."""
    page = on_white(image)
    red, green, blue = ImageChops.difference(page, Image.new("RGB", page.size, "white")).split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    box = strongest.point([0] * SHADE + [255] * (256 - SHADE)).getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    margin = round(MARGIN * max(right - left, bottom - top))
    return (
        max(left - margin, 0),
        max(top - margin, 0),
        min(right + margin, image.width),
        min(bottom + margin, image.height),
    )


def on_white(image: Image.Image) -> Image.Image:
    paper = Image.new("RGBA", image.size, WHITE)
    return Image.alpha_composite(paper, image).convert("RGB")


def encode(image: Image.Image, name: str) -> bytes:
    file = io.BytesIO()
    if name == "jpg":
        # 4:4:4, because the red and blue lines of drawings bleed with halved colour.
        on_white(image).save(file, "JPEG", quality=88, subsampling=0, optimize=True)
    elif name == "webp":
        opaque_as_rgb(image).save(file, "WEBP", quality=86, alpha_quality=90, method=6)
    else:
        palette_if_good(opaque_as_rgb(image)).save(file, "PNG", optimize=True)
    return file.getvalue()


def opaque_as_rgb(image: Image.Image) -> Image.Image:
    lowest, _ = image.getchannel("A").getextrema()
    return image.convert("RGB") if lowest == 255 else image


def palette_if_good(image: Image.Image) -> Image.Image:
    """The image with a palette, a third of the size, unless the difference can be seen."""
    method = Image.Quantize.MEDIANCUT if image.mode == "RGB" else Image.Quantize.FASTOCTREE
    small = image.quantize(256, method)
    before, after = on_white(image.convert("RGBA")), on_white(small.convert("RGBA"))
    return small if psnr(before, after) >= PALETTE_PSNR else image


def psnr(one: Image.Image, other: Image.Image) -> float:
    """The peak signal-to-noise ratio of two RGB images, in dB."""
    stat = ImageStat.Stat(ImageChops.difference(one, other))
    mean_square = sum(value**2 for value in stat.rms) / 3
    return math.inf if mean_square == 0 else 10 * math.log10(255**2 / mean_square)


def unpack_package(folder: Path) -> Path:
    """Fetch the package with apt and unpack it; an archive that is there already is used again."""
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(f"{PACKAGE}_*.deb")):
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
    archive = max(folder.glob(f"{PACKAGE}_*.deb"))
    subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
    return folder / CLIPART


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Make the demo images from Debian's public-domain clip art.",
        epilog="example: python tools/make_demo_images.py --unpack-into clipart",
    )
    parser.add_argument("--table", type=Path, default=TABLE, help="the curated table")
    parser.add_argument("--demo", type=Path, default=DEMO, help="the folder to write to")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--clipart",
        type=Path,
        default=Path("/") / CLIPART,
        help=f"the pictures of {PACKAGE}",
    )
    where.add_argument(
        "--unpack-into",
        type=Path,
        metavar="DIR",
        help=f"fetch {PACKAGE} and unpack it here",
    )
    options = parser.parse_args()
    clipart: Path = options.clipart
    if options.unpack_into is not None:
        clipart = unpack_package(options.unpack_into)
    if not clipart.is_dir():
        print(
            f"{clipart}: not there; install {PACKAGE} or use --unpack-into DIR",
            file=sys.stderr,
        )
        return 1
    try:
        sizes = list(write_demo(read_rows(options.table), clipart, options.demo))
    except (TableError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    formats = Counter(row.format for row, _ in sizes)
    total = sum(size for _, size in sizes)
    print(f"{len(sizes)} images, {total / 1e6:.1f} MB, {dict(sorted(formats.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
