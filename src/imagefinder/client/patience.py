"""How long to go on trying."""

from dataclasses import dataclass
from enum import Enum
from threading import Event
from time import monotonic

FORGOTTEN = 120.0  # seconds, longer than between two attempts: another such trouble is a new one


class Trouble(Enum):
    BUSY = "it answers that it is too busy"
    GONE = "it does not answer"


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a request is tried again: while the service is busy, and while nothing
    answers where it did before. Setting `stop` ends the waiting."""

    busy: float = 15.0
    gone: float = 5.0
    stop: Event | None = None

    def limit(self, trouble: Trouble) -> float:
        return self.busy if trouble is Trouble.BUSY else self.gone


USUAL = Patience()


class Troubles:
    """Since when there is which trouble: counted for all threads together, what one of them has
    given up, the others need not try for as long again."""

    def __init__(self) -> None:
        self._times: dict[Trouble, tuple[float, float]] = {}  # of the first and of the last one

    def meet(self, trouble: Trouble) -> float:
        """The seconds since the first of a row."""
        now = monotonic()
        first, last = self._times.get(trouble, (now, now))
        if now - last > FORGOTTEN:
            first = now
        self._times[trouble] = first, now
        return now - first

    def end(self, trouble: Trouble) -> None:
        self._times.pop(trouble, None)
