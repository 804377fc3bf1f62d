"""How long to go on trying."""

from dataclasses import dataclass
from enum import Enum
from threading import Event
from time import monotonic


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds a request is tried again: while the service is busy, and while nothing
    answers where it did before. Setting `stop` ends the waiting."""

    busy: float = 15.0
    gone: float = 5.0
    stop: Event | None = None


USUAL = Patience()


class Trouble(Enum):
    BUSY = "it answers that it is too busy"
    GONE = "it does not answer"


class Troubles:
    """Since when there is which trouble: counted for all threads together, what one of them has
    given up, the others need not try for as long again."""

    def __init__(self) -> None:
        self._since: dict[Trouble, float] = {}

    def meet(self, trouble: Trouble) -> float:
        """The seconds for which there has been nothing else."""
        now = monotonic()
        return now - self._since.setdefault(trouble, now)

    def end(self, *troubles: Trouble) -> None:
        for trouble in troubles:
            self._since.pop(trouble, None)
