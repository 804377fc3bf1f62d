"""Search with pictures on all cores in process, and tell the rate, as JSON.

    python -m benchmarks.search_run COLLECTION FOLDER SECONDS

It is what a service cannot get past: decode, embed and search, and nothing around it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from time import perf_counter

from benchmarks.machine import ROOT

WARM_UP = 2.0  # seconds


def searches_per_second(collection: Path, folder: Path, seconds: float) -> float:
    """In a new process."""
    arguments = [str(collection), str(folder), str(seconds)]
    command = [sys.executable, "-m", "benchmarks.search_run", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    rate: float = json.loads(done.stdout)
    return rate


def main(collection: str, folder: str, seconds: str) -> None:
    from imagefinder import ImageFinder
    from imagefinder.cli.arenas import one_arena_a_core

    one_arena_a_core()  # as the command does
    pictures = [file.read_bytes() for file in sorted(Path(folder).rglob("*.jpg"))]
    with ImageFinder.open(Path(collection)) as finder:
        search = partial(finder.search, k=3)
        rate(search, pictures, WARM_UP)
        print(json.dumps(rate(search, pictures, float(seconds))))


def rate(search: Callable[[bytes], object], pictures: list[bytes], seconds: float) -> float:
    """Searches a second, on as many threads as there are cores."""
    endless = cycle(pictures)
    end = perf_counter() + seconds

    def work() -> int:
        done = 0
        while perf_counter() < end:
            search(next(endless))
            done += perf_counter() < end
        return done

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _: work(), range(threads))) / seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
