"""The work of one request, off the event loop: where it stands, and whether anyone still waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter

from imagefinder.errors import ModelError


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class NoAnswerError(ModelError):
    """The model does not answer, or not any more; another try may do better."""


class GivenUp(BaseException):
    """The same, told to the thread that works on the answer. What puts up with a bad image, and
    goes on with the next one, must not put up with this."""


@dataclass(slots=True)
class Job:
    """`seconds` by stage: wait (for a thread or a core), decode, queue, embed, search; the last one
    runs until the end. `begun` and `since` are of time.perf_counter()."""

    seconds: dict[str, float] = field(default_factory=dict)
    gone: Event = field(default_factory=Event)
    expected_by: object = None  # the batcher
    stage: str = "wait"
    since: float = field(default_factory=perf_counter)
    begun: float = field(default_factory=perf_counter)

    def enter(self, stage: str) -> None:
        """The next stage begins. Raises GivenUp."""
        self.finish()
        self.stage = stage
        if self.gone.is_set():
            raise GivenUp

    def finish(self) -> None:
        """Book the time of the stage that ends here."""
        now = perf_counter()
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self.since
        self.since = now


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current_job() -> Job | None:
    """The job that this thread works on."""
    return _current.get()


@contextmanager
def working_on(job: Job) -> Iterator[None]:
    """This thread works on the job meanwhile. Raises GivenUp."""
    token = _current.set(job)
    try:
        job.enter("decode")
        yield
    finally:
        job.finish()
        _current.reset(token)
