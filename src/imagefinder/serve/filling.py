"""Spaces filled in the background, one at a time, while the others answer."""

import logging
from threading import Event, Lock, Thread

from imagefinder.errors import ImageFinderError, UsageError
from imagefinder.local import LocalFinder
from imagefinder.models import catalog, find_model
from imagefinder.types import Distance

log = logging.getLogger("imagefinder.serve")


class Filling:
    """Begun by a client, ended by `close`; what is done until then is kept."""

    def __init__(self, finder: LocalFinder) -> None:
        self._finder = finder
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self._model = ""

    @property
    def model(self) -> str | None:
        """The model whose space is being filled."""
        thread = self._thread
        return self._model if thread is not None and thread.is_alive() else None

    def start(self, name: str, distance: Distance) -> bool:
        """Fill the space of a model of the catalogue that is on this machine: clients name no
        folders of it, and make it fetch nothing. False while another is filled, and once it is
        closed. Raises UsageError."""
        if name.partition(":")[0] not in catalog():
            raise UsageError(f"{name}: no such model; there are: {', '.join(sorted(catalog()))}")
        if not find_model(name).present:
            raise UsageError(
                f"{name}: the model is not on the service's machine;"
                f" there: imagefinder models pull {name}"
            )
        with self._lock:
            if self.model is not None or self._stop.is_set():
                return False
            self._model = name
            self._thread = Thread(target=self._fill, args=(name, distance), name="fill")
            self._thread.start()
            return True

    def close(self) -> None:
        """End early, and wait until it has."""
        with self._lock:
            self._stop.set()
            if self._thread is not None:
                self._thread.join()

    def _fill(self, name: str, distance: Distance) -> None:
        try:
            report = self._finder.add_space(name, distance=distance, stop=self._stop)
        except ImageFinderError as error:
            log.error("the space of %s could not be filled: %s", name, error)
            return
        except Exception:
            log.exception("the space of %s could not be filled", name)
            return
        log.info(
            "the space %s has %s images more, %s skipped",
            report.space,
            report.added,
            report.skipped,
        )
