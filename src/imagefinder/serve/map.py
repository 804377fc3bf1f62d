"""The map of the collection: drawn in the background, kept in memory and on disk."""

import logging
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from heapq import nsmallest
from pathlib import Path
from threading import Lock, Thread

import numpy as np

from imagefinder.ahead import chunks
from imagefinder.arrays import Embedding, Embeddings
from imagefinder.local import LocalFinder
from imagefinder.projection import best_method, project
from imagefinder.serve.map_file import Drawing, basis_of, file_of, load, save

log = logging.getLogger("imagefinder.serve")

MAP_POINTS = 5000  # images; t-SNE of so many takes one core 11 s, and more are a blur on a screen
PAGE = 1000  # ids or embeddings read at once
DIGITS = 4  # of a coordinate: a screen has fewer pixels


class Map:
    """One drawing at a time, of the space in use, begun by whoever looks at a collection that has
    changed."""

    def __init__(self, finder: LocalFinder) -> None:
        self._finder = finder
        self._space = ""  # that the next three are of
        self._drawing: Drawing | None = None
        self._true_at: int | None = None  # the collection's `changes` that the drawing shows
        self._looked_at: int | None = None  # those at which the last drawing was begun
        self._busy = self._closed = False
        self._lock = Lock()  # for all of the above
        self._inside = Lock()  # held by the thread while it uses the collection

    def look(self) -> tuple[Drawing | None, bool]:
        """The last map, and whether another one is being drawn."""
        collection, space = self._finder.collection, self._finder.space()
        changes = collection.changes
        with self._lock:
            if space != self._space:
                self._space, self._drawing = space, load(self._file(space))
                self._true_at = self._looked_at = None
            if changes != self._looked_at and not self._busy and not self._closed:
                # a daemon: the process need not wait for it, see `close`
                Thread(target=self._draw, args=(space, changes), name="map", daemon=True).start()
                self._looked_at, self._busy = changes, True
            drawing, current, busy = self._drawing, self._true_at == changes, self._busy
        if drawing is not None and not current:
            drawing = drawing.only(collection.ledger.images(drawing.ids))
        return drawing, busy

    def close(self) -> None:
        """The collection is not used any more after this; what is being drawn is given up."""
        with self._lock:
            self._closed = True
        with self._inside:  # soon free: Python must not end while a thread is inside zvec
            pass

    # on the thread

    def _draw(self, space: str, changes: int) -> None:
        try:
            drawing = self._newest(space)
            with self._lock:
                if space == self._space:
                    self._drawing, self._true_at = drawing, changes
        except _ClosedError:
            pass
        except Exception as error:
            log.error(
                "the map could not be drawn: %s; it is tried again once the collection changes",
                error,
                exc_info=error,
            )
        finally:
            with self._lock:
                self._busy = False

    def _newest(self, space: str) -> Drawing:
        with self._inside:
            ids, rows = self._read(space)
        basis = basis_of(ids, rows, best_method())
        last = self._drawing
        if last is not None and last.basis == basis:  # so it is of this space
            return last
        made = project(rows)
        x, y = made.points.round(DIGITS).clip(0, 1).T.tolist()
        drawing = Drawing(basis, made.method, tuple(ids), tuple(x), tuple(y))
        with self._inside:
            self._check_open()
            try:
                save(self._file(space), drawing)
            except OSError as error:
                log.warning("the map cannot be kept: %s; the next start draws it again", error)
        return drawing

    def _read(self, space: str) -> tuple[list[str], Embeddings]:
        found: dict[str, Embedding] = {}
        for some in chunks(chosen(self._ids(), MAP_POINTS), PAGE):
            self._check_open()
            found.update(self._finder.embeddings(some, space=space))
        ids = sorted(found)
        rows = np.stack([found[id] for id in ids]) if ids else np.empty((0, 1), np.float32)
        return ids, rows

    def _ids(self) -> Iterator[str]:
        ledger, after = self._finder.collection.ledger, ""
        while some := ledger.ids(after=after, limit=PAGE):
            self._check_open()
            yield from some
            after = some[-1]

    def _file(self, space: str) -> Path:
        return file_of(self._finder.collection.cache, space)

    def _check_open(self) -> None:
        if self._closed:
            raise _ClosedError


class _ClosedError(Exception):
    """The service ends."""


def chosen(ids: Iterable[str], most: int) -> list[str]:
    """So many of them, or all: as if by lot, but nearly the same ones when some come or go."""
    return nsmallest(most, ids, key=lot)


def lot(id: str) -> bytes:
    return blake2b(id.encode(), digest_size=8).digest()
