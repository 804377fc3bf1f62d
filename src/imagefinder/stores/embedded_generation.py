"""The zvec collections of a store: the one in use, and the next one while it is built.

    space/CURRENT   the name of the generation in use
    space/1/        a zvec collection

`optimize()` never runs zvec's own `optimize()` on a collection that is written to. zvec 0.8 then
saves, when it is done, what it knows of images whose embeddings it has not saved; after a crash
these come back with the embeddings of others, and whatever is written after them, too. So the next
generation is built beside the one in use, and a new name in CURRENT puts it in its place.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import zvec

from imagefinder.errors import CollectionDamagedError, StoreError
from imagefinder.stores.embedded_engine import check_space, check_writable, set_up, translated
from imagefinder.stores.embedded_schema import EMBEDDING, distance_of, schema
from imagefinder.stores.gate import Gate
from imagefinder.types import Distance

__all__ = ["Generation", "create", "open_current"]

CURRENT = "CURRENT"


class Generation:
    """One open zvec collection, and who is inside it."""

    def __init__(self, folder: Path, collection: zvec.Collection) -> None:
        self.folder = folder
        self.zvec = collection
        self._gate = Gate()

    @property
    def dim(self) -> int:
        return int(self._embedding.dimension)

    @property
    def distance(self) -> Distance:
        distance = distance_of(self._embedding)
        if distance is None:
            raise CollectionDamagedError(
                f"{self.folder} compares embeddings in a way that is not known here; update"
                " imagefinder, or restore a backup"
            )
        return distance

    @property
    def indexed(self) -> float:
        """The part of its images that the graph holds, 0 to 1."""
        return float(self.zvec.stats.index_completeness.get(EMBEDDING, 0.0))

    @property
    def saves(self) -> int:
        """How often it was saved, as far as that left files."""
        return sum(1 for _ in self.folder.glob("*/embedding.index.*"))

    def count(self) -> int:
        return int(self.zvec.stats.doc_count)

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Inside, it stays open, and nobody writes. False when it is closed."""
        inside = self._gate.enter()
        try:
            yield inside
        finally:
            if inside:
                self._gate.leave()

    @contextmanager
    def written(self) -> Iterator[zvec.Collection]:
        """To be written to: nobody is inside meanwhile. It must not be closed.

        zvec 0.8 shows what is half written to whoever reads beside it: an image whose embedding is
        not there yet, with a score of 1 for every query; and one that is replaced is gone for a
        moment.
        """
        with self._gate.alone():
            yield self.zvec

    def next(self) -> "Generation":
        """An empty one beside this one."""
        folder = self.folder.with_name(str(int(self.folder.name) + 1))
        shutil.rmtree(folder, ignore_errors=True)
        return _made(folder, self.dim, self.distance)

    def save(self) -> None:
        """Everything on the disk itself, also for a power cut. zvec writes embeddings through
        mapped files, and leaves the time of that to the system."""
        self.zvec.flush()
        for file in [self.folder, *self.folder.rglob("*")]:
            with suppress(FileNotFoundError):  # one that zvec has merged with others meanwhile
                _sync(file)

    def take_over(self) -> None:
        """Be the one in use from now on, whatever happens."""
        self.save()
        _name(self.folder)

    def close(self) -> None:
        """Waits until everybody is out."""
        self._gate.shut()
        self.zvec.close()

    def discard(self) -> None:
        with suppress(RuntimeError):  # it may not be able to save itself, and need not
            self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _embedding(self) -> zvec.VectorSchema:
        embedding = self.zvec.schema.vector(EMBEDDING)
        if embedding is None:
            raise CollectionDamagedError(f"{self.folder} holds no embeddings; restore a backup")
        return embedding


def create(path: Path, dim: int, distance: Distance) -> None:
    """Raises StoreError where something is already. A crash leaves all of it or nothing."""
    if path.exists():
        raise StoreError(f"{path} exists already; open it, or choose another place")
    set_up()
    new = path.with_name(path.name + ".new")
    with translated(path):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        check_space(new, 0)
        _made(new / "1", dim, distance).close()
        _name(new / "1")
        new.rename(path)


def open_current(path: Path) -> Generation:
    """Raises CollectionInUseError, and CollectionDamagedError, also when there is nothing."""
    set_up()
    try:
        name = (path / CURRENT).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        name = ""
    folder = path / name
    if not name.isdigit() or not folder.is_dir():
        raise CollectionDamagedError(
            f"{path} is missing or incomplete; restore a backup, or delete the collection and"
            " index again"
        )
    check_writable(folder)
    with translated(path, opening=True):
        generation = Generation(folder, zvec.open(str(folder)))
    for other in path.iterdir():  # built, or used, up to a crash; only now nobody else builds it
        if other.name.isdigit() and other != folder:
            shutil.rmtree(other, ignore_errors=True)
    return generation


def _made(folder: Path, dim: int, distance: Distance) -> Generation:
    return Generation(folder, zvec.create_and_open(str(folder), schema(dim, distance)))


def _name(folder: Path) -> None:
    """Writes CURRENT, so that a power cut leaves the old or the new."""
    new = folder.with_name(CURRENT + ".new")
    new.write_text(folder.name, encoding="ascii")
    _sync(new)
    new.replace(folder.with_name(CURRENT))
    _sync(folder.parent)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows has no such thing
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
