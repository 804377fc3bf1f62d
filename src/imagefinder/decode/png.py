"""Reduces a PNG to the chunks that its picture needs."""

import struct
import zlib
from dataclasses import dataclass

from imagefinder.decode.pieces import MOST_PIECES, too_many

_SIGNATURE = 8
_KEPT = (b"IHDR", b"PLTE", b"tRNS")
_MOST_PROFILE = 8_000_000  # bytes; press profiles have up to 3 MB


@dataclass(frozen=True, slots=True)
class Essence:
    """`data` is a PNG of the picture alone; the rest is what was taken out of it."""

    data: bytes
    profile: bytes | None
    exif: bytes | None


def essence(data: bytes) -> Essence:
    """The PNG with its picture data in one chunk, without texts and animation.

    Texts, profiles and tags may be broken or bombs, for which Pillow refuses the whole file, and
    a bad animation makes it warn; none of them is the picture. One chunk is also decoded in one
    go, without coming back to Python for each 8 kB. Raises ValueError, ImageError.
    """
    view = memoryview(data)
    head, pixels, profile, exif = [view[:_SIGNATURE]], list[memoryview](), None, None
    at, kind, chunks = _SIGNATURE, b"", 0
    while at + 8 <= len(data) and kind != b"IEND":
        chunks += 1
        if chunks > MOST_PIECES:
            raise too_many()
        length, kind = struct.unpack_from(">I4s", data, at)
        body = view[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels.append(body)
        elif kind == b"iCCP":
            profile = _profile(bytes(body))
        elif kind == b"eXIf":
            exif = bytes(body)
        elif kind in _KEPT and not pixels:
            head.append(view[at : at + 12 + length])
        at += 12 + length
    if not pixels:
        raise ValueError("it holds no picture data")
    # Pillow looks neither at the checksum, as the zlib stream has its own, nor for the end mark.
    start = struct.pack(">I4s", sum(len(part) for part in pixels), b"IDAT")
    return Essence(b"".join([*head, start, *pixels]), profile, exif)


def _profile(chunk: bytes) -> bytes | None:
    """Name, NUL, method 0, zlib stream."""
    packed = chunk.partition(b"\0")[2][1:]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, _MOST_PROFILE)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else profile
