"""Images of several requests, embedded together by supervised threads.

A thread takes whatever waits, shared out so that the others have work too. It waits for more only
while other requests are on their way here, and never longer than `max_wait`: a lone request goes
through at once. On a CPU the gain is small, on an accelerator it is the whole point.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from threading import Condition, Thread
from time import monotonic, perf_counter

import numpy as np

from imagefinder.arrays import Embedding, Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import ModelError
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.serve.cores import Cores
from imagefinder.serve.jobs import GivenUp, Job, NoAnswerError, current_job
from imagefinder.types import ModelSpec

log = logging.getLogger("imagefinder.serve")

MAX_BATCH = 32  # images; 0.6 MB each
MAX_WAIT = 0.002  # seconds; an embedding takes about 5 ms
STUCK_AFTER = 30.0  # seconds; a batch takes under one
PATIENCE = 5.0  # seconds that images which no request waits for, as of a fill, let others go first


@dataclass(slots=True)
class Waiting:
    """One image that waits for its embedding."""

    tensor: Tensor
    job: Job | None
    done: "Future[Embedding]" = field(default_factory=Future)
    since: float = field(default_factory=perf_counter)

    @property
    def begun(self) -> float:
        """When its request began; as if later, where none waits for it."""
        return self.since + PATIENCE if self.job is None else self.job.begun


@dataclass(slots=True)
class Worker:
    """A thread and what it works on. When `abandoned`, another has taken its place."""

    batch: Sequence[Waiting] = ()
    since: float = 0.0  # time.monotonic() when the batch began
    abandoned: bool = False
    has_core: bool = False


class Batcher:
    """An `Embedder` around another one. `lone` is the same model, quicker for an image that is
    alone in the service. `cores` are shared with other work, `on_batch` is told the size of each
    batch. No `max_wait`: the model embeds one image after the other, so that none waits for others,
    and no request for images that nobody waits for."""

    def __init__(
        self,
        model: Embedder,
        *,
        lone: Embedder | None = None,
        cores: Cores | None = None,
        threads: int | None = None,
        max_batch: int = MAX_BATCH,
        max_wait: float | None = MAX_WAIT,
        timeout: float = STUCK_AFTER,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._model, self._lone = model, lone or model
        self._cores = cores or Cores(threads)
        self._max_batch, self._max_wait = max_batch, max_wait or 0.0
        self._one_by_one = max_wait is None
        self._timeout, self._on_batch = timeout, on_batch
        self._queue: deque[Waiting] = deque()
        self._changed = Condition()
        self._coming = 0
        self._closed = False
        self.restarts = 0
        self._workers: list[Worker] = []
        for _ in range(threads or os.cpu_count() or 1):
            self._start()

    # the embedder

    @property
    def spec(self) -> ModelSpec:
        return self._model.spec

    def preprocess(self, image: Pixels) -> Tensor:
        """As the model does."""
        return self._model.preprocess(image)

    def embed(self, tensors: Tensors) -> Embeddings:
        """As the model does, together with what other threads ask for; waits for the result.

        Raises ModelError, also when there is none after `timeout` seconds, and GivenUp."""
        job = current_job()
        if job is not None:
            job.enter("queue")
        waiting = [Waiting(tensor, job) for tensor in tensors]
        with self._changed:
            self._arrived(job)
            if self._closed:
                raise NoAnswerError("the service is shutting down")
            self._queue.extend(waiting)
            self._changed.notify_all()
        deadline = monotonic() + self._timeout
        try:
            rows = [item.done.result(max(deadline - monotonic(), 0)) for item in waiting]
        except FutureTimeout:
            raise NoAnswerError(f"no embedding after {self._timeout:g} s") from None
        finally:
            for item in waiting:
                item.done.cancel()  # where one has failed, nobody wants the others
        if job is not None:
            job.enter("search")
        return np.stack(rows)

    # what the service tells and asks

    def expect(self, job: Job) -> None:
        """The job is on its way to `embed`, until it gets there, or `unexpect`."""
        with self._changed:
            job.expected_by = self
            self._coming += 1

    def unexpect(self, job: Job) -> None:
        """The job will not come, or has come already."""
        with self._changed:
            self._arrived(job)
            self._changed.notify_all()

    def _arrived(self, job: Job | None) -> None:
        if job is not None and job.expected_by is self:
            job.expected_by = None
            self._coming -= 1

    @property
    def depth(self) -> int:
        """How many images wait."""
        return len(self._queue)

    def check(self) -> bool:
        """Put new threads in the place of those that hang; whether all were well."""
        with self._changed:
            hung = [
                worker
                for worker in self._workers
                if worker.batch and monotonic() - worker.since > self._timeout
            ]
            for worker in hung:
                worker.abandoned = True
                self._replace(worker)
        for worker in hung:
            self._leave_core(worker)
            log.error("an embedding thread hangs; another takes its place")
            for item in worker.batch:
                fail(item, NoAnswerError(f"no embedding after {self._timeout:g} s"))
        return not hung

    def close(self) -> None:
        """Embed what waits; nothing new comes in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # the threads

    def _start(self) -> None:
        worker = Worker()
        self._workers.append(worker)
        # a daemon: one that hangs inside a runtime must not keep the process from ending
        Thread(target=self._run, args=(worker,), name="embed", daemon=True).start()

    def _replace(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self.restarts += 1
        if not self._closed:
            self._start()

    def _run(self, worker: Worker) -> None:
        try:
            while not worker.abandoned and (begun := self._await()) is not None:
                self._cores.acquire(begun)
                worker.has_core = True
                worker.since, worker.batch = monotonic(), self._take()
                self._work(worker.batch)
                worker.batch = ()
                self._leave_core(worker)
        except BaseException as error:
            log.exception("an embedding thread ended; another takes its place")
            for item in worker.batch:
                fail(item, ModelError(f"the model failed: {type(error).__name__}"))
            self._leave_core(worker)
            with self._changed:
                if not worker.abandoned:
                    self._replace(worker)

    def _await(self) -> float | None:
        """Until something waits: when the oldest of it began. None once closed and all is done."""
        with self._changed:
            while not self._queue:
                if self._closed:
                    return None
                self._changed.wait()
                self._gather()
            return min(item.begun for item in self._queue)

    def _take(self) -> list[Waiting]:
        """This thread's share of what waits by now; nothing, when others were quicker."""
        with self._changed:
            if not self._one_by_one:
                return [self._queue.popleft() for _ in range(self._share())]
            waiting = sorted(self._queue, key=lambda item: item.begun)
            asked = takewhile(lambda item: item.job is not None, waiting[: self._share()])
            taken = list(asked) or waiting[:1]
            self._queue = deque(waiting[len(taken) :])
            return taken

    def _leave_core(self, worker: Worker) -> None:
        """Once, although a thread that hangs may come back after its core was taken from it."""
        with self._changed:
            held, worker.has_core = worker.has_core, False
        if held:
            self._cores.release()

    def _share(self) -> int:
        """So many that the other threads get as many."""
        return min(-(-len(self._queue) // max(len(self._workers), 1)), self._max_batch)

    def _gather(self) -> None:
        """Wait for others that are on their way, a little."""
        until = monotonic() + self._max_wait
        while self._coming > 0 and 0 < len(self._queue) < self._max_batch and not self._closed:
            left = until - monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _work(self, batch: Sequence[Waiting]) -> None:
        wanted = [item for item in batch if begins(item)]
        if not wanted:
            return
        self._on_batch(len(wanted))
        model = self._lone if self._is_alone(wanted) else self._model
        try:
            rows = model.embed(np.stack([item.tensor for item in wanted]))
            # all or none: where there are too few or too many, whose they are is a guess
            for item, row in list(zip(wanted, rows, strict=True)):
                finish(item, row)
        except Exception as error:  # noqa: BLE001 - a runtime's own: find the image it is about
            if len(wanted) == 1:
                fail(wanted[0], error)
                return
            for item in wanted:
                self._work_alone(item)

    def _is_alone(self, batch: Sequence[Waiting]) -> bool:
        """Whether the other cores have nothing else to do."""
        busy = sum(1 for worker in self._workers if worker.batch)
        return len(batch) == 1 and busy == 1 and not self._queue and self._coming <= 0

    def _work_alone(self, item: Waiting) -> None:
        try:
            finish(item, self._model.embed(item.tensor[None])[0])
        except Exception as error:  # noqa: BLE001 - the same
            fail(item, error)


class TextBatcher(Batcher):
    """Around a model with a text side."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """As the model does, on the thread that asks, which holds a core: words take a model little
        time, and a batch of them is seldom there. Raises ModelError and GivenUp."""
        model, job = self._model, current_job()
        assert isinstance(model, TextEmbedder)
        if job is not None:
            job.enter("embed")
        try:
            rows = model.embed_texts(texts)
        except ModelError:
            raise
        except Exception as error:  # a runtime's own
            raise ModelError(f"the model failed: {error}") from error
        if job is not None:
            job.enter("search")
        return rows


def begins(item: Waiting) -> bool:
    """Whether anyone still wants it; its time in the queue ends here."""
    if item.job is not None and item.job.gone.is_set():
        fail(item, GivenUp())
    if item.done.done() or not item.done.set_running_or_notify_cancel():
        return False
    if item.job is not None and item.job.stage == "queue":
        item.job.finish()
        item.job.stage = "embed"
    return True


def finish(item: Waiting, row: Embedding) -> None:
    """The embedding is there; too late where the thread hung meanwhile."""
    with suppress(InvalidStateError):
        item.done.set_result(row)


def fail(item: Waiting, error: BaseException) -> None:
    """This image alone has none."""
    if not isinstance(error, (ModelError, GivenUp)):
        error = ModelError(f"the model failed: {error}")
    with suppress(InvalidStateError):
        item.done.set_exception(error)
