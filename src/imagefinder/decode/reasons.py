"""What a decoder's error means, in words."""

import re
import struct

from imagefinder.errors import ImageError

LABELS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "avif": "AVIF",
    "heif": "HEIF",
    "gif": "GIF",
    "tiff": "TIFF",
    "bmp": "BMP",
}


def translated(error: Exception, data: bytes, format: str) -> ImageError:
    """The reason why these bytes of a known format could not be decoded."""
    label = LABELS[format]
    if isinstance(error, MemoryError):
        return ImageError(f"there is not enough memory to decode the {label}")
    if _tells_of_missing_bytes(error) or _is_cut_short(data, format):
        return ImageError(f"the {label} is truncated")
    detail = _detail(error)
    if re.search("support|handle|unknown", detail, re.IGNORECASE):
        return ImageError(f"the {label} cannot be read ({detail})")
    return ImageError(f"the {label} is damaged ({detail})")


def _detail(error: Exception) -> str:
    """One short line, without the addresses of objects."""
    lines = re.sub(r"<[^>]*>", "", str(error)).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def _tells_of_missing_bytes(error: Exception) -> bool:
    if isinstance(error, (struct.error, EOFError, IndexError)):
        return True  # how the parsers of Pillow run off the end
    return (
        re.search("truncated|end of file|requires a buffer", str(error), re.IGNORECASE) is not None
    )


def _is_cut_short(data: bytes, format: str) -> bool:
    """By the lengths that the container declares; most decoders only say that they failed."""
    if format == "webp":
        return 8 + int.from_bytes(data[4:8], "little") > len(data)
    if format == "bmp":
        return int.from_bytes(data[2:6], "little") > len(data)
    if format in ("avif", "heif"):
        return _boxes_end(data) > len(data)
    ends = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82", "gif": b";"}
    return format in ends and not data.rstrip(b"\0").endswith(ends[format])


def _boxes_end(data: bytes) -> int:
    """Where the last box of an ISO base media file would end."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: it goes to the end of the file
            return len(data)
        at += size
    return len(data) + 1 if len(data) > at else at
