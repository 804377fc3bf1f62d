"""Checks the part of a HEIF file for which pi-heif would end the whole process.

pi-heif (1.4) makes text of the types of metadata items without checking them, and crashes when
they are not UTF-8; no exception handler helps against that.
"""

import struct
from collections.abc import Iterator


def check(data: bytes) -> None:
    """Raises ValueError or struct.error for a list of items that no encoder writes."""
    for kind, body in _boxes(memoryview(data)):
        if kind != b"meta":
            continue
        for inner, items in _boxes(body[4:], strict=True):
            if inner == b"iinf":
                _check_items(items)


def _check_items(items: memoryview) -> None:
    """ISO/IEC 14496-12, 8.11.6: version and flags, the number of entries, the entries."""
    for kind, entry in _boxes(items[6 if items[0] == 0 else 8 :], strict=True):
        if kind == b"infe":
            _check_entry(bytes(entry))


def _check_entry(entry: bytes) -> None:
    """Version and flags, item, protection, from version 2 on the type; name, type of content."""
    version = entry[0]
    if version > 3:
        raise ValueError("unknown version of an item")
    at = 10 if version == 3 else 8
    kind = entry[at : at + 4] if version >= 2 else b"mime"
    strings = entry[at + 4 if version >= 2 else at :].split(b"\0")
    content = strings[1] if kind == b"mime" and len(strings) > 1 else b""
    if not kind.isascii() or not _is_text(content):
        raise ValueError("the type of an item is no text")


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _boxes(data: memoryview, *, strict: bool = False) -> Iterator[tuple[bytes, memoryview]]:
    """Type and body of each box. `strict`: they fill the data; else what follows them is left."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        elif size == 0 and not strict:
            size = len(data) - at
        if size < head or at + size > len(data):
            break
        yield kind, data[at + head : at + size]
        at += size
    if strict and at != len(data):
        raise ValueError("the list of items is damaged")
