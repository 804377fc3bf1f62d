"""What an id may be, the same in every store."""

from collections.abc import Iterable

from imagefinder.errors import StoreError

__all__ = ["MAX_ID_BYTES", "check_ids", "key_of", "too_long"]

MAX_ID_BYTES = 1024  # UTF-8; what zvec takes as a primary key

# zvec refuses control characters and line separators in keys, and file names may hold both. The
# backslash is the mark of the escape, so it is escaped too and no two ids share a key.
_REFUSED = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029]
_ESCAPES = {code: f"\\u{code:04x}" for code in [*_REFUSED, ord("\\")]}


def key_of(id: str) -> str:
    """The primary key of an id: the id itself for all but odd ones; one-to-one."""
    key = id if id.isalnum() else id.translate(_ESCAPES)
    # A file name that is not UTF-8 comes as lone surrogates: \udce9.
    return key if key.isascii() else key.encode("utf-8", "backslashreplace").decode()


def too_long(id: str) -> bool:
    return len(id) > MAX_ID_BYTES // 4 and len(key_of(id).encode()) > MAX_ID_BYTES


def check_ids(ids: Iterable[str]) -> None:
    """Raises StoreError, which names the id, for one that cannot be stored."""
    for id in ids:
        if not id:
            raise StoreError("an image has an empty id; give it one to store it")
        if too_long(id):
            size = len(key_of(id).encode())
            raise StoreError(
                f"{id[:60]}...: the id takes {size:,} bytes, the limit is {MAX_ID_BYTES:,};"
                " shorten it to store the image"
            )
