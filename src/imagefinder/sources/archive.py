"""The members of a tar archive and where their bytes are. Nothing is ever unpacked."""

import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, Self

from imagefinder import objects
from imagefinder.errors import FetchError

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

BLOCK = tarfile.BLOCKSIZE  # 512 bytes; headers begin at multiples of it
LONGEST_EXTRA = 1 << 20  # bytes of a long name or of pax records
READ_AHEAD = 4 << 20  # bytes of one request: members are smaller, mostly, and waiting costs more
LARGEST_EMPTY = 1 << 16  # bytes of an archive without members: zeros, more with some writers
_FILES = tarfile.REGULAR_TYPES
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTRAS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE, *_PAX)
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "unxz",
    b"\x28\xb5\x2f\xfd": "unzstd",
}


class DamagedError(FetchError):
    """The archive cannot be read from some place on."""


class Bytes(Protocol):
    """Where an archive is read from, in rising order mostly."""

    size: int

    def at(self, place: int, size: int) -> bytes:
        """`size` bytes from `place` on, fewer at the end. Raises FetchError."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. `name` is as it stands there; `offset` and `size` are of its bytes."""

    name: str
    offset: int
    size: int


def members(archive: Bytes) -> Iterator[Member]:
    """The files in their order; links, folders, devices and sparse files are passed over.

    Raises DamagedError where the archive breaks off or is none, after the members before that;
    FetchError where it cannot be read.
    """
    place, long_name = 0, ""
    records: dict[str, str] = {}  # of pax, for the next member
    while (header := _header(archive, place)) is not None:
        start = place + BLOCK
        is_extra = header.type in _EXTRAS
        size = header.size if is_extra else _size(header, records)
        if size < 0 or (is_extra and size > LONGEST_EXTRA):
            raise DamagedError(f"the archive is damaged at byte {place}")
        if start + size > archive.size:
            raise DamagedError(f"the archive is cut short at byte {archive.size}")
        place = start + -(-size // BLOCK) * BLOCK
        if header.type == tarfile.GNUTYPE_LONGNAME:
            long_name = _text(archive.at(start, size))
        elif header.type in _PAX:
            records = _pax_records(archive.at(start, size))
        if is_extra:
            continue
        if header.type == tarfile.GNUTYPE_SPARSE:
            place += _sparse_map(archive, start)
        elif header.type in _FILES and "GNU.sparse.major" not in records:
            yield Member(records.get("path") or long_name or header.name, start, size)
        long_name, records = "", {}


class LocalBytes:
    """Of a file. Raises FetchError."""

    def __init__(self, path: str) -> None:
        try:
            self._file: IO[bytes] = open(path, "rb", buffering=0)  # noqa: SIM115 - as long as this
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise FetchError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error

    def at(self, place: int, size: int) -> bytes:
        try:
            self._file.seek(place)
            return self._file.read(size)
        except OSError as error:
            raise FetchError(f"cannot be read: {(error.strerror or str(error)).lower()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class StoredBytes:
    """Of an object, read on in large pieces; what lies between two members is passed over where it
    is larger than a piece."""

    def __init__(self, store: "AbstractFileSystem", path: str, size: int) -> None:
        self.size = size
        self._store, self._path = store, path
        self._start, self._piece = 0, b""

    def at(self, place: int, size: int) -> bytes:
        before = place - self._start
        if not 0 <= before <= len(self._piece) - size:
            wanted = min(max(size, READ_AHEAD), self.size - place)
            if wanted <= 0:
                return b""
            self._piece = objects.read_part(self._store, self._path, place, wanted)
            self._start, before = place, 0
        return self._piece[before : before + size]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._piece = b""


class _Header(NamedTuple):
    type: bytes
    name: str
    size: int  # bytes, as stated


def _header(archive: Bytes, place: int) -> _Header | None:
    """The header at a place, None for the end of the archive. Raises DamagedError."""
    block = archive.at(place, BLOCK)
    if (header := _usual_header(block)) is not None:
        return header
    if len(block) == BLOCK and not block.strip(b"\0"):
        if place or archive.size <= LARGEST_EMPTY:
            return None
        raise DamagedError("not a tar archive")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        pass
    else:
        return _Header(info.type, info.name, info.size)
    if place:
        cut = len(block) < BLOCK
        what = "cut short: its end is missing" if cut else f"damaged at byte {place}"
        raise DamagedError(f"the archive is {what}")
    tool = next((tool for magic, tool in _COMPRESSED.items() if block.startswith(magic)), None)
    if tool is not None:
        raise DamagedError(f"a compressed archive, which is not read; unpack it first: {tool}")
    raise DamagedError("not a tar archive")


def _usual_header(block: bytes) -> _Header | None:
    """The same in a seventh of the time, for what nearly all headers are; else None."""
    try:
        stated, size = int(block[148:156].strip(b" \0"), 8), int(block[124:136].strip(b" \0"), 8)
    except ValueError:
        return None
    is_usual = block[257:262] == b"ustar" and block[156:157] in (b"0", *_EXTRAS)
    if not is_usual or sum(block) - sum(block[148:156]) + 8 * ord(" ") != stated:
        return None
    name = _text(block[:100])
    if block[345] and block[257:265] == tarfile.POSIX_MAGIC:
        name = f"{_text(block[345:500])}/{name}"
    return _Header(block[156:157], name, size)


def _size(header: _Header, records: Mapping[str, str]) -> int:
    """Bytes that follow the header: none of a link or a folder, whatever it says."""
    if header.type not in _FILES and header.type in tarfile.SUPPORTED_TYPES:
        return 0
    size = records.get("size", "")
    return int(size) if size.isdecimal() else header.size


def _sparse_map(archive: Bytes, start: int) -> int:
    """Bytes of the further blocks of an old sparse file's map, which begin where others' bytes do;
    its own size does not count them."""
    length, is_more = 0, archive.at(start - BLOCK, BLOCK)[482:483]
    while is_more and is_more != b"\0":
        is_more = archive.at(start + length, BLOCK)[504:505]
        length += BLOCK
    return length


def _pax_records(content: bytes) -> dict[str, str]:
    """`LENGTH KEY=VALUE\\n`, repeated."""
    records = {}
    while content:
        length, _, rest = content.partition(b" ")
        if not length.isdigit() or int(length) <= len(length) + 1:
            break
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        records[_text(key)] = _text(value)
        content = content[int(length) :]
    return records


def _text(name: bytes) -> str:
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")
