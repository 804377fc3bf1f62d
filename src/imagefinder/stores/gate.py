"""Lets calls in until a store closes, and lets it close once they are out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from imagefinder.errors import StoreError

__all__ = ["Gate"]


class Gate:
    def __init__(self) -> None:
        self._inside = 0
        self._open = True
        self._changed = threading.Condition()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Raises StoreError when the gate is shut."""
        with self._changed:
            if not self._open:
                raise StoreError("the collection is closed; open it again")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._open:
                    self._changed.notify_all()

    def shut(self) -> bool:
        """Waits until nobody is inside. False when it was shut already."""
        with self._changed:
            was_open, self._open = self._open, False
            self._changed.wait_for(lambda: self._inside == 0)
            return was_open
