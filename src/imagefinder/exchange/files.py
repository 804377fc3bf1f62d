"""Reading and writing a file of embeddings: by its ending, checked row by row, written whole."""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imagefinder.errors import TransferError
from imagefinder.exchange import faiss, npz, parquet, table, vectors
from imagefinder.exchange.columns import Roles, find_roles
from imagefinder.exchange.contents import Contents, RawRow
from imagefinder.exchange.pickles import refuse_pickles
from imagefinder.exchange.records import MODEL_COLUMN, record_of
from imagefinder.types import ImageRecord

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding

Row: TypeAlias = "tuple[ImageRecord, Embedding]"
Writer: TypeAlias = Callable[[Path, Iterator[Row], str, int], int]
Reader: TypeAlias = Callable[[Path, Path | None], Contents]

_WRITERS: dict[str, Writer] = {
    ".csv": table.write,
    ".npz": npz.write,
    ".parquet": parquet.write,
    ".faiss": faiss.write,
}
_READERS: dict[str, Reader] = {
    ".csv": table.read,
    ".tsv": table.read,
    ".npz": npz.read,
    ".npy": npz.read_npy,
    ".parquet": parquet.read,
    ".pq": parquet.read,
    ".faiss": faiss.read,
    ".index": faiss.read,
}


@dataclass(slots=True)
class Imported:
    """A file being imported. Reading `rows` can raise TransferError. `model` is None where the file
    does not say which model made the embeddings, `total` where it does not say how many rows it
    has. `notes` says what a user should know of the import, and is complete when `rows` is."""

    rows: Iterator[Row]
    dim: int
    model: str | None
    total: int | None
    notes: list[str]


def write(path: Path, rows: Iterable[Row], *, model: str, dim: int) -> int:
    """Writes all rows and returns how many. The file appears at once when it is complete, and
    replaces one that was there. Raises TransferError, MissingExtraError."""
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise TransferError(_unknown_ending(path, _WRITERS))
    try:
        with _whole(path) as unfinished:
            return writer(unfinished, _fitting(rows, dim), model, dim)
    except OSError as error:
        raise TransferError(f"{path}: cannot be written: {error.strerror or error}") from error
    except UnicodeEncodeError as error:
        raise TransferError(f"{path}: cannot be written: {error.object!r} is no Unicode") from error


def read(path: Path, *, ids: Path | None = None) -> Imported:
    """Opens a file of embeddings. `ids` is a file with the ids, for formats that hold none (.npy,
    FAISS). Raises TransferError, MissingExtraError."""
    refuse_pickles(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TransferError(_unknown_ending(path, _READERS))
    with _named(path):
        contents = reader(path, ids)
        roles = find_roles(contents.names)
        first = next(contents.rows, None)
    if first is None:
        raise TransferError(f"{path}: holds no embeddings")
    return Imported(
        rows=_checked(path, chain([first], contents.rows), len(first.vector), roles, contents),
        dim=len(first.vector),
        model=contents.model or str(first.columns.get(MODEL_COLUMN) or "") or None,
        total=contents.total,
        notes=contents.notes,
    )


def _unknown_ending(path: Path, known: Iterable[str]) -> str:
    endings = ", ".join(known)
    return f"{path}: the ending of the name tells the format; the known ones are {endings}"


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path to write to, in a folder of its own beside `path`; what is written there is moved into
    place when all of it is complete."""
    if path.is_dir():
        raise TransferError(f"{path}: is a folder; give the name of a file")
    with tempfile.TemporaryDirectory(prefix=f".{path.stem[:40]}-", dir=path.parent) as folder:
        yield Path(folder, path.name)
        # What goes with the file comes before it: whoever sees the file finds both.
        for part in sorted(Path(folder).iterdir(), key=lambda part: part.name == path.name):
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path.with_name(part.name))


def _fitting(rows: Iterable[Row], dim: int) -> Iterator[Row]:
    for record, embedding in rows:
        if embedding.shape != (dim,):
            raise TransferError(
                f"{record.id}: its embedding has {embedding.size} numbers, the space has {dim}"
            )
        yield record, embedding


def _checked(
    path: Path, rows: Iterator[RawRow], dim: int, roles: Roles, contents: Contents
) -> Iterator[Row]:
    seen: set[str] = set()
    normalised, repeated = 0, ""
    with _named(path):
        for number, (columns, vector) in enumerate(rows, start=1):
            with _in_row(number, columns.get(roles.id)):
                if len(vector) != dim:
                    raise TransferError(
                        f"the embedding has {len(vector)} numbers, the first row has {dim}"
                    )
                embedding, changed = vectors.unit(vector)
                record = record_of(columns, roles)
            if record.id in seen:
                repeated = repeated or f'the first is row {number}, "{record.id}"'
                continue
            seen.add(record.id)
            normalised += changed
            yield record, embedding
    if normalised:
        contents.notes.append(f"{normalised:,} embeddings were scaled to length 1 (cosine)")
    if repeated:
        count = number - len(seen)
        contents.notes.append(f"{count:,} rows repeat an id and were left out; {repeated}")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Names the file in what goes wrong while it is read."""
    try:
        yield
    except TransferError as error:
        raise TransferError(f"{path}: {error}") from error
    except OSError as error:
        raise TransferError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TransferError(f"{path}: cannot be read, it may be damaged: {error}") from error


@contextmanager
def _in_row(number: int, id: object) -> Iterator[None]:
    try:
        yield
    except TransferError as error:
        raise TransferError(f'row {number} ("{id}"): {error}') from error
