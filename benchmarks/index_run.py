"""Index a folder in a process of its own and tell what it took, as JSON.

    python -m benchmarks.index_run FOLDER COLLECTION [fake]

`seconds` is of `ImageFinder.index` alone; it opens the collection and loads the model, which is a
fake one when that is asked for.
"""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.machine import ROOT


@dataclass(frozen=True, slots=True)
class IndexRun:
    """What one run took: seconds in `index`, seconds of the whole process, bytes at most."""

    seconds: float
    process_seconds: float
    peak_bytes: int
    counts: dict[str, int]

    @property
    def images_per_second(self) -> float:
        return self.counts["added"] / self.seconds


def index_run(folder: Path, collection: Path, *, fake: bool = False) -> IndexRun:
    """Index a folder in a new process."""
    command = [sys.executable, "-m", "benchmarks.index_run", str(folder), str(collection)]
    command += ["fake"] * fake
    start = perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    return IndexRun(process_seconds=perf_counter() - start, **told)


def peak_bytes() -> int:
    """The most memory that this process held at once, mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one, too
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(folder: str, collection: str, model: str = "") -> None:
    from imagefinder import ImageFinder
    from imagefinder.cli.arenas import one_arena_a_core
    from imagefinder.testing import FakeEmbedder

    one_arena_a_core()  # as the command does
    embedder = FakeEmbedder() if model == "fake" else None
    with ImageFinder.open(Path(collection), embedder=embedder) as finder:
        start = perf_counter()
        report = finder.index(folder)
        seconds = perf_counter() - start
    told = {"seconds": seconds, "peak_bytes": peak_bytes(), "counts": report.counts()}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
