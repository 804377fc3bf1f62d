"""Prints what resizing and scaled JPEG decoding do to the built-in model's quality.

    python tools/measure_preprocessing.py work

Three ways to 224 x 224 (squash; cut the centre square; pad to a square with white) with two
filters each, on the demo labels and on photographs cut to 3:4, before the head, which was fitted
with one of them. Then JPEG files decoded at a fraction of their size, against their full decode:
the demo images enlarged, and the wallpapers as photographs of 12 megapixels. The wallpapers are
those of `work`, see tools/fitting_pictures.py.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps

from builtin_sessions import embedding_session, feature_session
from fitting_pictures import wallpapers
from fitting_set import features, unit
from reference_pixels import SIZE, squashed, upright_rgb
from retrieval_quality import average_precisions, demo_images

Resize = Callable[[Image.Image, Image.Resampling], Image.Image]
WAYS: dict[str, Resize] = {
    "squash": lambda image, resampling: image.resize((SIZE, SIZE), resampling),
    "crop": lambda image, resampling: ImageOps.fit(image, (SIZE, SIZE), resampling),
    "pad": lambda image, resampling: ImageOps.pad(image, (SIZE, SIZE), resampling, color="white"),
}
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
LEAST_SIDES = (0, SIZE, 2 * SIZE)  # 0 is the full decode
QUALITY = 92
PHOTO = (4000, 3000)
DEMO_SIDES = (500, 1000, 1900)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with Debian's packages, unpacked in root/")
    arguments = parser.parse_args()
    paths, labels = demo_images()
    images = [upright_rgb(path) for path in paths]
    photos = wallpapers(arguments.work / "root")
    _compare_resizing(images, labels, [_thumbnail(path) for path in photos])
    session = embedding_session()
    for side in DEMO_SIDES:
        _compare_decoding(f"demo {side} px", session, _enlarged(images, side), labels)
    _compare_decoding("wallpapers 12 MP", session, _photographs(photos), None)


def _compare_resizing(
    images: list[Image.Image], labels: NDArray[np.str_], photos: list[Image.Image]
) -> None:
    session = feature_session()
    portraits = [_to_portrait(photo) for photo in photos]
    for way, resize in WAYS.items():
        for name, resampling in FILTERS.items():
            rows, originals, queries = (
                unit(features(session, (np.asarray(resize(image, resampling)) for image in group)))
                for group in (images, photos, portraits)
            )
            mean = average_precisions(rows, labels).mean()
            first, score = _found(queries, originals, rows)
            print(
                f"{way} {name}: mAP {mean:.4f}; photographs cut to 3:4 find the original first in "
                f"{first:.3f}, median score {score:.3f}",
                flush=True,
            )


def _found(
    queries: NDArray[np.float64], originals: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[float, float]:
    """How often query i finds original i first, among all originals and others."""
    scores = queries @ np.concatenate([originals, others]).T
    own = np.diag(scores)
    return float((scores.argmax(axis=1) == np.arange(len(own))).mean()), float(np.median(own))


def _to_portrait(image: Image.Image) -> Image.Image:
    width = min(image.width, image.height * 3 / 4)
    return ImageOps.fit(image, (round(width), round(width * 4 / 3)))


def _thumbnail(path: Path) -> Image.Image:
    """Small enough to hold all of them in memory, and large enough for every way."""
    image = upright_rgb(path)
    image.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
    return image


def _compare_decoding(
    name: str,
    session: onnxruntime.InferenceSession,
    files: Iterable[bytes],
    labels: NDArray[np.str_] | None,
) -> None:
    rows: dict[int, list[NDArray[np.float64]]] = {least: [] for least in LEAST_SIDES}
    seconds: dict[int, list[float]] = {least: [] for least in LEAST_SIDES}
    for data in files:
        for least in LEAST_SIDES:
            started = time.thread_time()
            pixels = squashed(_decode(data, least))
            seconds[least].append(time.thread_time() - started)
            rows[least].append(features(session, [pixels])[0])
    full = unit(np.stack(rows[0]))
    for least in LEAST_SIDES:
        found = unit(np.stack(rows[least]))
        cosines = np.sum(found * full, axis=1)
        quality = "" if labels is None else f"mAP {average_precisions(found, labels).mean():.4f}, "
        print(
            f"{name}, at least {least or 'full size'}: {quality}"
            f"cosine to full decode: least {cosines.min():.4f}, 1% {np.percentile(cosines, 1):.4f},"
            f" median {np.median(cosines):.4f}; {np.mean(cosines < 0.99):.1%} below 0.99;"
            f" {1000 * statistics.median(seconds[least]):.1f} ms",
            flush=True,
        )


def _decode(data: bytes, least: int) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        if least:
            image.draft("RGB", (least, least))
        return image.convert("RGB")


def _enlarged(images: list[Image.Image], shorter_side: int) -> Iterator[bytes]:
    for image in images:
        factor = shorter_side / min(image.size)
        size = (round(image.width * factor), round(image.height * factor))
        yield _as_jpeg(image.resize(size, Image.Resampling.LANCZOS))


def _photographs(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        yield _as_jpeg(ImageOps.fit(upright_rgb(path), PHOTO, Image.Resampling.LANCZOS))


def _as_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
