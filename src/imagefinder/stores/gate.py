"""Lets calls in until something closes, and lets it close once they are out. Who wants to be alone
for a moment waits for those inside, and those who come meanwhile wait for him."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Gate"]


class Gate:
    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._claimed = False  # by one who is alone, or waits for the others to leave
        self._changed = threading.Condition()

    def enter(self) -> bool:
        """False when the gate is shut; else `leave` must follow. Nobody who is inside may call it
        again: it would wait for one who waits for him."""
        with self._changed:
            self._changed.wait_for(lambda: not self._claimed)
            self._inside += self._open
            return self._open

    def leave(self) -> None:
        with self._changed:
            self._inside -= 1
            if self._claimed or not self._open:
                self._changed.notify_all()

    def shut(self) -> None:
        """Lets nobody in any more and waits until everybody is out."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: self._inside == 0 and not self._claimed)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lets nobody in meanwhile, and begins once everybody is out."""
        with self._changed:
            self._changed.wait_for(lambda: not self._claimed)
            self._claimed = True
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._inside == 0)
            yield
        finally:
            with self._changed:
                self._claimed = False
                self._changed.notify_all()
