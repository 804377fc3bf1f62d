"""numpy's files: an .npz of named arrays, or an .npy of embeddings with a file of ids beside it.

Ours hold `ids` (text), `embeddings` (float32, (n, dim)), `model` (text) and `records`: the bytes of
one line of JSON a row, because an array of text is as wide in every row as in its widest.
Arrays are read and written a chunk at a time, and pickled objects never.
"""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from imagefinder.errors import TransferError
from imagefinder.exchange.columns import EMBEDDING_NAMES, ID_NAMES, first_of, listed
from imagefinder.exchange.contents import CHUNK, Columns, Contents, RawRow
from imagefinder.exchange.idfiles import read_ids
from imagefinder.exchange.pickles import PICKLE
from imagefinder.exchange.records import to_json
from imagefinder.types import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagefinder.arrays import Embedding


def write(path: Path, rows: "Iterator[tuple[ImageRecord, Embedding]]", model: str, dim: int) -> int:
    """An array begins with its shape, so the rows pass through files of their own."""
    ids: list[str] = []
    numbers, lines = path.with_name("numbers"), path.with_name("lines")
    with numbers.open("wb") as vectors, lines.open("wb") as records:
        for record, embedding in rows:
            ids.append(record.id)
            vectors.write(embedding.astype("<f4").tobytes())
            records.write(to_json(record).encode() + b"\n")
    with zipfile.ZipFile(path, "w") as archive:
        with _member(archive, "embeddings", "<f4", (len(ids), dim), packed=False) as member:
            _copy(numbers, member)
        with _member(archive, "records", "|u1", (lines.stat().st_size,)) as member:
            _copy(lines, member)
        _write_text(archive, "ids", ids)
        _write_text(archive, "model", [model])
    numbers.unlink()
    lines.unlink()
    return len(ids)


def _member(
    archive: zipfile.ZipFile, name: str, descr: str, shape: tuple[int, ...], *, packed: bool = True
) -> IO[bytes]:
    """An array of the archive, to write its values to."""
    from numpy.lib import format as npy

    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    member = archive.open(info, "w", force_zip64=True)
    npy.write_array_header_1_0(member, {"descr": descr, "fortran_order": False, "shape": shape})
    return member


def _copy(path: Path, to: IO[bytes]) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, to, 2**20)


def _write_text(archive: zipfile.ZipFile, name: str, texts: Sequence[str]) -> None:
    import numpy as np

    width = max(map(len, texts), default=1)
    with _member(archive, name, f"<U{width}", (len(texts),)) as member:
        for start in range(0, len(texts), CHUNK):
            member.write(np.array(texts[start : start + CHUNK], dtype=f"<U{width}").tobytes())


def read(path: Path, ids: Path | None) -> Contents:
    with zipfile.ZipFile(path) as archive:
        headers = {name: _header(archive, name) for name in _array_names(archive)}
    embeddings = _find_embeddings(headers)
    total = headers[embeddings].shape[0]
    if _is_ours(headers):
        model = str(_load(path, "model")[0])
        return Contents(["id", "uri"], _paired(path, embeddings, _records(path)), model, total)
    if ids is not None:
        table = read_ids(ids, total)
        return Contents(table.names, _paired(path, embeddings, iter(table.rows)), None, total)
    beside = [
        name for name, header in headers.items()
        if name != embeddings and header.shape == (total,) and header.kind in "USiufb"
    ]  # fmt: skip
    texts = [name for name in beside if headers[name].kind in "USiu"]
    if first_of(ID_NAMES, texts) is None:
        texts = [name for name in texts if headers[name].kind in "US"] or texts
        if len(texts) != 1:
            raise TransferError(
                f"no array of ids among {listed(list(headers))}; call it ids, or give a file of ids"
            )
    id = first_of(ID_NAMES, texts) or texts[0]
    names = ["id" if name == id else name for name in beside]
    arrays = [_load(path, name).tolist() for name in beside]
    columns = (dict(zip(names, cells, strict=True)) for cells in zip(*arrays, strict=True))
    return Contents(names, _paired(path, embeddings, columns), None, total)


def _is_ours(headers: "dict[str, _Header]") -> bool:
    return {"records": "u", "model": "U"}.items() <= {n: h.kind for n, h in headers.items()}.items()


class _Header(NamedTuple):
    shape: tuple[int, ...]
    kind: str  # numpy's letter: f for floats, U for text
    in_rows: bool  # the values of a row stand together, as in C and not as in Fortran


def _array_names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(f"{name}.npy") as member:
        return _read_header(member)[0]


def _read_header(file: IO[bytes]) -> "tuple[_Header, np.dtype[np.generic]]":
    """The header of an .npy; the file then stands at the first value."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    if dtype.hasobject:
        raise TransferError(f"holds Python objects: it {PICKLE}")
    return _Header(shape, dtype.kind, not fortran_order or len(shape) < 2), dtype


def _find_embeddings(headers: dict[str, _Header]) -> str:
    tables = [name for name, head in headers.items() if len(head.shape) == 2 and head.kind == "f"]
    found = first_of(EMBEDDING_NAMES, tables) or (tables[0] if len(tables) == 1 else None)
    if found is None:
        several = "several arrays" if tables else "no array"
        raise TransferError(
            f"{several} could be the embeddings among {listed(tables or list(headers))}; "
            "call the one of shape (n, dim) and type float32 embeddings"
        )
    return found


def _load(path: Path, name: str) -> "NDArray[np.generic]":
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        loaded: NDArray[np.generic] = arrays[name]
        return loaded


def _records(path: Path) -> Iterator[Columns]:
    with zipfile.ZipFile(path) as archive, archive.open("records.npy") as member:
        _read_header(member)
        for line in member:
            yield json.loads(line)


def _paired(path: Path, name: str, columns: Iterator[Columns]) -> Iterator[RawRow]:
    """Each row of the embeddings with its columns."""
    for number, vector in enumerate(_vectors(path, name), start=1):
        row = next(columns, None)
        if row is None:
            raise TransferError(f"row {number} has an embedding and no id")
        yield RawRow(row, vector)
    if next(columns, None) is not None:
        raise TransferError("there are more ids than embeddings")


def _vectors(path: Path, name: str) -> "Iterator[NDArray[np.floating]]":
    import numpy as np

    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        header, dtype = _read_header(member)
        total, dim = header.shape
        if not header.in_rows:
            yield from _load(path, name).astype(np.float64)
            return
        for start in range(0, total, CHUNK):
            size = min(CHUNK, total - start) * dim * dtype.itemsize
            data = member.read(size)
            if len(data) < size:
                raise TransferError(f"the array {name} is cut short")
            yield from np.frombuffer(data, dtype=dtype).reshape(-1, dim)


def read_npy(path: Path, ids: Path | None) -> Contents:
    import numpy as np

    with path.open("rb") as file:
        header, _ = _read_header(file)
    if len(header.shape) != 2 or header.kind != "f":
        raise TransferError(f"expected floats of shape (n, dim), found the shape {header.shape}")
    table = read_ids(ids or _ids_beside(path), header.shape[0])
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    rows = (RawRow(columns, vector) for columns, vector in zip(table.rows, array, strict=True))
    return Contents(table.names, rows, table.model, header.shape[0])


def _ids_beside(path: Path) -> Path:
    """The file of ids that goes with an .npy: a.ids.json, a.npy.ids.json or ids.json, or .txt or
    .csv instead of .json."""
    for name in (f"{path.stem}.ids", f"{path.name}.ids", f"{path.stem}_ids", "ids"):
        for ending in (".json", ".txt", ".csv"):
            candidate = path.with_name(name + ending)
            if candidate.is_file():
                return candidate
    raise TransferError(f"holds no ids; put them in {path.stem}.ids.txt, one a line, in row order")
