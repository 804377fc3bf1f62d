"""Workers for jobs that wait for hosts: busy as long as any host may take one more."""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

WINDOW = 64  # jobs a worker that are looked ahead for one whose host is free
TICK = 0.5  # seconds; a wait without end could not be interrupted on Windows


class HostPool(Generic[Job, Outcome]):
    """Runs `work` on threads, never more than `per_host` jobs of one host at a time.

    The threads are daemons: an interrupted program need not wait for a host that is silent.
    """

    def __init__(
        self,
        work: Callable[[Job], Outcome],
        host: Callable[[Job], str],
        *,
        workers: int,
        per_host: int,
    ) -> None:
        self._work, self._host = work, host
        self._workers, self._per_host = workers, per_host
        self._waiting: dict[str, deque[Job]] = {}  # by host, first come first served
        self._queued = 0
        self._running: Counter[str] = Counter()
        self._threads = 0
        self._jobs: queue.SimpleQueue[tuple[str, Job] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[str, Outcome | BaseException]] = queue.SimpleQueue()

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """The outcomes as they come. Raises what `work` raises."""
        try:
            for job in jobs:
                self._waiting.setdefault(self._host(job), deque()).append(job)
                self._queued += 1
                self._start()
                while self._queued >= WINDOW * self._workers or not self._done.empty():
                    yield self._outcome()
                    self._start()
            while self._running.total():
                yield self._outcome()
                self._start()
        finally:
            self._dismiss()

    def stop(self, grace: float) -> Iterator[Outcome]:
        """Begin nothing more; the outcomes that still come within `grace` seconds."""
        self._waiting.clear()
        self._dismiss()
        deadline = time.monotonic() + grace
        while self._running.total():
            try:
                host, outcome = self._done.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                return
            self._running[host] -= 1
            if not isinstance(outcome, BaseException):
                yield outcome

    def _start(self) -> None:
        """Hand out what the limits allow."""
        free = self._workers - self._running.total()
        for host in list(self._waiting) if free else ():
            limit = self._per_host if host else self._workers
            jobs = self._waiting[host]
            while jobs and free and self._running[host] < limit:
                self._hand_out(host, jobs.popleft())
                free -= 1
            if not jobs:
                del self._waiting[host]
            if not free:
                return

    def _hand_out(self, host: str, job: Job) -> None:
        self._queued -= 1
        self._running[host] += 1
        self._jobs.put((host, job))
        if self._threads < self._workers:
            self._threads += 1
            threading.Thread(target=self._labour, name="download", daemon=True).start()

    def _outcome(self) -> Outcome:
        while True:
            with suppress(queue.Empty):
                host, outcome = self._done.get(timeout=TICK)
                self._running[host] -= 1
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome

    def _dismiss(self) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _labour(self) -> None:
        while (given := self._jobs.get()) is not None:
            host, job = given
            try:
                self._done.put((host, self._work(job)))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                self._done.put((host, error))
