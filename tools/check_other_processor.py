"""Compares the built-in model's embeddings here with those on an emulated processor.

    apt-get install qemu-user
    python tools/check_other_processor.py --cpu Haswell

Exits with 1 when a pair's cosine is below 0.9999. Only the model differs between the two unless
`--decode` is given: then the emulated processor decodes and resizes the pictures as well.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from reference_pixels import pixel_values, squashed, upright_rgb

REPOSITORY = Path(__file__).resolve().parent.parent
MODEL = REPOSITORY / "src/imagefinder/models/builtin/efficientnet-lite0.onnx"
DEMO = REPOSITORY / "src/imagefinder/demo"
LEAST_COSINE = 0.9999
EMULATOR = "qemu-x86_64"
TIME_LIMIT = 1800  # seconds; emulation is some 40 times slower


def main() -> int:
    arguments = _parse_arguments()
    if arguments.write_to:
        embeddings = _embed(_load(arguments.read_from))
        np.save(arguments.write_to, embeddings)
        return 0
    emulator = shutil.which(EMULATOR)
    if emulator is None:
        print(f"{EMULATOR} is missing; install Debian's package qemu-user", file=sys.stderr)
        return 2
    paths = _demo_pictures(arguments.count)
    pixels = _decoded(paths)
    here = _embed(pixels)
    there = _emulated([emulator, "-cpu", arguments.cpu], paths if arguments.decode else pixels)
    cosines = np.sum(here.astype(np.float64) * there, axis=1)
    print(f"cpu {arguments.cpu}, {len(paths)} pictures, decoded there: {arguments.decode}")
    print(f"least cosine {cosines.min():.8f}, largest difference {np.abs(here - there).max():.1e}")
    return 0 if cosines.min() >= LEAST_COSINE else 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cpu", default="Haswell", help=f"a processor of {EMULATOR} -cpu help")
    parser.add_argument("--count", type=int, default=4, help="how many demo pictures")
    parser.add_argument("--decode", action="store_true", help="decode there as well")
    # What the emulated copy of this program is started with:
    parser.add_argument("--read-from", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write-to", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _demo_pictures(count: int) -> list[Path]:
    """Evenly spread over the demo images, which are sorted by label and come in three formats."""
    with (DEMO / "images.csv").open(newline="", encoding="utf-8") as file:
        urls = [row["url"] for row in csv.DictReader(file)]
    return [DEMO / urls[len(urls) * index // count] for index in range(count)]


def _decoded(paths: Sequence[Path]) -> NDArray[np.uint8]:
    return np.stack([squashed(upright_rgb(path)) for path in paths])


def _embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"pixel_values": row})[0] for row in _rows(pixels)])


def _rows(pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    return [pixel_values(picture[None]) for picture in pixels]


def _load(source: Path) -> NDArray[np.uint8]:
    """Pixels from an array, or decoded from the pictures that a text file lists."""
    if source.suffix == ".npy":
        pixels: NDArray[np.uint8] = np.load(source)
        return pixels
    return _decoded([Path(line) for line in source.read_text(encoding="utf-8").splitlines()])


def _emulated(
    emulator: list[str], pictures: Sequence[Path] | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """The embeddings that this program gives when an emulator runs it."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "embeddings.npy")
        command = [sys.executable, __file__, "--write-to", str(result)]
        command += ["--read-from", str(_saved(pictures, Path(folder)))]
        # More threads than one only make the emulation slower. numpy's OpenBLAS starts its own.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [*emulator, *command],
            check=False,
            timeout=TIME_LIMIT,
            env=environment,
            stderr=subprocess.PIPE,  # where the emulator lists features it lacks, for every thread
            text=True,
        )
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            done.check_returncode()
        embeddings: NDArray[np.float32] = np.load(result)
        return embeddings


def _saved(pictures: Sequence[Path] | NDArray[np.uint8], folder: Path) -> Path:
    if isinstance(pictures, np.ndarray):
        np.save(folder / "pixels.npy", pictures)
        return folder / "pixels.npy"
    listing = folder / "pictures.txt"
    listing.write_text("\n".join(str(path) for path in pictures), encoding="utf-8")
    return listing


if __name__ == "__main__":
    sys.exit(main())
