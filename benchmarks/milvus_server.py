"""The Milvus server of the tests, as a benchmark needs it: what it takes, and started anew."""

import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import TypeVar

import pytest

from benchmarks.data import BENCH, fresh
from tests.milvus_server import Server, unpack

Seen = TypeVar("Seen")

KEPT = ("insert_log", "delta_log", "stats_log", "index_files")  # in the object store, of a cluster
FRUGAL = {"GOGC": "5", "MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}
TICKS = os.sysconf("SC_CLK_TCK")
LOOK = 2.0  # seconds between two looks at what is to come to rest
REST, QUICK_REST = (
    90.0,
    6.0,
)  # seconds without a change; Milvus looks for what to merge once a minute
SETTLED_WITHIN = 300.0


class Measured:
    """A running server whose process can be looked at."""

    def __init__(self, server: Server, folder: Path, rest: float) -> None:
        self._server, self._folder, self._rest = server, folder, rest
        self.address = server.address

    def again(self) -> None:
        """Killed and started: what it holds then is what it loads, and nothing of how it came."""
        self.kill()
        self.start()

    @contextmanager
    def frugal(self) -> Iterator[None]:
        """Started so that it gives back at once what it does not use. Without that, the same data
        take now a third more and now twice as much, by what was loaded when."""
        with pytest.MonkeyPatch.context() as environment:
            for name, value in FRUGAL.items():
                environment.setenv(name, value)
            self.again()
        yield
        self.again()

    def kill(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()

    @property
    def pid(self) -> int:
        process = self._server._process
        assert process is not None
        return process.pid

    def memory(self) -> int:
        """Bytes of its own, without what is mapped from files: the system may take that away."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.partition("RssAnon:")[2].split()[0])

    def cpu_seconds(self) -> float:
        """Of all its threads since it started."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def disk_bytes(self, segments: Collection[str]) -> int:
        """What a cluster has of these segments in its object store; of those that were merged into
        them, the files stay for hours."""
        files = (file for part in KEPT for file in self._folder.rglob(f"{part}/**/*"))
        return sum(size(file) for file in files if not set(segments).isdisjoint(file.parts))

    def settled_memory(self) -> int:
        """Once it does not change any more."""
        return settled(self.memory, lambda a, b: abs(a - b) < 0.01 * b, QUICK_REST)

    def settled_segments(self, look: Callable[[], frozenset[str]]) -> frozenset[str]:
        """Once no more of them are merged."""
        return settled(look, frozenset.__eq__, self._rest)

    def idle_cores(self) -> float:
        """What it takes while nobody asks anything, in cores."""
        before = self.cpu_seconds()
        sleep(5)
        return (self.cpu_seconds() - before) / 5


def settled(look: Callable[[], Seen], same: Callable[[Seen, Seen], bool], rest: float) -> Seen:
    """What is seen once it was the same for so many seconds, or it never is."""
    seen, end = look(), perf_counter() + SETTLED_WITHIN
    since = perf_counter()
    while perf_counter() - since < rest and perf_counter() < end:
        sleep(LOOK)
        now = look()
        if not same(now, seen):
            since = perf_counter()
        seen = now
    return seen


def size(file: Path) -> int:
    """0 for one that has gone meanwhile."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0


@contextmanager
def measured_server(*, quick: bool) -> Iterator[Measured]:
    """An empty one, in a folder of its own, which is deleted."""
    programs = BENCH / "milvus-programs"
    if not programs.exists():
        new = fresh("milvus-programs.new")
        unpack(new).rename(programs)  # what is interrupted is made anew
    folder = fresh("milvus")
    folder.mkdir()
    server = Measured(
        Server(folder, programs, hurried=False), folder, QUICK_REST if quick else REST
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
