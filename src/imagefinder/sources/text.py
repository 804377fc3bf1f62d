"""The text of a table file, in whatever encoding it came."""

import codecs
import logging
from pathlib import Path
from typing import IO

from imagefinder.errors import SourceError

_log = logging.getLogger(__name__)


def open_text(table: Path) -> IO[str]:
    """UTF-8, UTF-16 where a byte order mark says so, else Latin-1, in which no byte is wrong."""
    with table.open("rb") as file:
        head = file.read(4096)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif b"\0" in head:
            raise SourceError(f"{table}: not a text file, although its name says table")
        else:
            file.seek(0)
            encoding = "utf-8-sig" if _is_utf8(file) else "latin-1"
    if encoding == "latin-1":
        _log.warning("%s: not UTF-8, read as Latin-1", table)
    return table.open(encoding=encoding, errors="replace", newline="")


def _is_utf8(file: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(1 << 20):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
