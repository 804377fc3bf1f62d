"""The processor's cores, shared out: as many threads compute as there are cores, no more.

More of them would only slow each other down, and the event loop with them. Whose request came first
goes first, so that nobody waits for those who came later.
"""

import heapq
import os
from itertools import count
from threading import Event, Lock
from time import perf_counter
from types import TracebackType

from imagefinder.serve.jobs import current_job


class Cores:
    """A context manager to hold while computing. Not to be entered twice by one thread. The time
    until there is a core counts as the job's waiting."""

    def __init__(self, number: int | None = None) -> None:
        self._free = number or os.cpu_count() or 1
        self._lock = Lock()
        self._waiting: list[tuple[float, int, Event]] = []  # when the job began, who came first
        self._ticket = count()

    def __enter__(self) -> None:
        job = current_job()
        if job is None:
            self.acquire(perf_counter())
            return
        stage = job.stage
        job.enter("wait")
        self.acquire(job.begun)
        try:
            job.enter(stage)
        except BaseException:
            self.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self, begun: float) -> None:
        """Wait for a core, on behalf of a job that began then (time.perf_counter())."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = Event()
            heapq.heappush(self._waiting, (begun, next(self._ticket), turn))
        turn.wait()

    def release(self) -> None:
        """Hand the core to whoever is first in turn."""
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[2].set()
            else:
                self._free += 1
