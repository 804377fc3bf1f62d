"""Lets calls in until something closes, and lets it close once they are out."""

import threading

__all__ = ["Gate"]


class Gate:
    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._changed = threading.Condition()

    def enter(self) -> bool:
        """False when the gate is shut; else `leave` must follow."""
        with self._changed:
            self._inside += self._open
            return self._open

    def leave(self) -> None:
        with self._changed:
            self._inside -= 1
            if not self._open:
                self._changed.notify_all()

    def shut(self) -> None:
        """Lets nobody in any more and waits until everybody is out."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: self._inside == 0)
