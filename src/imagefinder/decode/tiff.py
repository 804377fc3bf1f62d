"""Finds out whether a TIFF is whole before it is decoded.

Pillow takes a directory that is cut off for one with fewer tags, and libtiff tells standard error
about data that is missing.
"""

import struct
from dataclasses import dataclass

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type -> struct code
_COMPRESSION = 259
_NEEDED = (258, 273, 279, 320, 324, 325, 347)  # bits, strips, colours, tiles, JPEG tables
_PARTS = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles


@dataclass(frozen=True, slots=True)
class _Value:
    type: int
    count: int
    start: int

    @property
    def end(self) -> int:
        return self.start + self.count * _SIZES.get(self.type, 0)


def is_cut_short(data: bytes) -> bool:
    """Whether the first directory, or data that its picture needs, goes beyond the end."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        directory = _directory(data, order)
        if any(directory[tag].end > len(data) for tag in _NEEDED if tag in directory):
            return True
        if _integers(data, order, directory.get(_COMPRESSION)) in ((), (1,)):
            return False  # the decoder notices by itself, and needs no byte counts
        return any(_part_is_missing(data, order, directory, *tags) for tags in _PARTS)
    except struct.error:
        return True


def _directory(data: bytes, order: str) -> dict[int, _Value]:
    """Tag -> where its value is. Raises struct.error beyond the end of the data."""
    big = 43 in data[2:4]
    number, head, entry = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    (start,) = struct.unpack_from(order + number, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + head, data, start)
    at, inline = start + struct.calcsize(order + head), struct.calcsize(order + number)
    directory = dict[int, _Value]()
    for _ in range(count):
        tag, type, length = struct.unpack_from(order + entry, data, at)
        at += struct.calcsize(order + entry)
        (offset,) = struct.unpack_from(order + number, data, at)
        fits = length * _SIZES.get(type, 0) <= inline
        directory.setdefault(tag, _Value(type, length, at if fits else offset))
        at += inline
    struct.unpack_from(order + number, data, at)  # the offset of the next directory
    return directory


def _part_is_missing(
    data: bytes, order: str, directory: dict[int, _Value], offsets: int, counts: int
) -> bool:
    starts = _integers(data, order, directory.get(offsets))
    sizes = _integers(data, order, directory.get(counts))
    return any(start + size > len(data) for start, size in zip(starts, sizes, strict=False))


def _integers(data: bytes, order: str, value: _Value | None) -> tuple[int, ...]:
    if value is None or value.type not in _INTEGERS:
        return ()
    return struct.unpack_from(f"{order}{value.count}{_INTEGERS[value.type]}", data, value.start)
