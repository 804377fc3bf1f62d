"""What a user waits for first: the install, the help, a search in a new process, the service."""

import os
import subprocess
from pathlib import Path
from time import perf_counter

from benchmarks.data import DEMO, fresh
from benchmarks.environments import base
from benchmarks.results import Figure
from benchmarks.server import serving

QUERY = DEMO / "queries" / "tiger.jpg"


def run(quick: bool) -> list[Figure]:
    """Of the wheel in an environment of its own; each run is a new process."""
    environment = base()
    size = megabytes(environment)
    command, collection = environment / "bin" / "imagefinder", fresh("demo")
    times = 3 if quick else 15
    subprocess.run(
        [command, "index", DEMO / "images.csv", "-c", collection], check=True, capture_output=True
    )
    return [
        Figure("imagefinder --help", seconds(times, command, "--help"), "s", at_most=0.4),
        Figure(
            "search of the demo collection, cold",
            seconds(times, command, "search", QUERY, "-c", collection),
            "s",
            at_most=1.0,
        ),
        Figure(
            "serve the demo collection, until /readyz is 200",
            until_ready(times, command, collection),
            "s",
            at_most=2.0,
        ),
        Figure("base install", (size,), "MB", at_most=350),
        Figure("PyTorch in the base install", (count(environment, "torch"),), "", at_most=0),
    ]


def seconds(times: int, *command: str | Path) -> tuple[float, ...]:
    """Of the whole process, from its start to its end; one run before counts for nothing."""
    took = []
    for _ in range(times + 1):
        start = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took.append(perf_counter() - start)
    return tuple(took[1:])


def until_ready(times: int, command: Path, collection: Path) -> tuple[float, ...]:
    """From the start of the process to the first 200; one run before counts for nothing."""
    took = []
    for _ in range(times + 1):
        with serving(collection, program=(command,)) as server:
            took.append(server.seconds)
    return tuple(took[1:])


def megabytes(folder: Path) -> float:
    """What the folder occupies on the disk, in millions of bytes."""
    files = (os.lstat(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)
    return sum(file.st_blocks * 512 for file in files) / 1e6


def count(environment: Path, package: str) -> float:
    return float(len(list(environment.glob(f"lib/python*/site-packages/{package}"))))
