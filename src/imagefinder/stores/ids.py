"""What an id may be, and the key and the bucket under which a store keeps it."""

import re
import zlib
from collections.abc import Iterable
from hashlib import sha256

from imagefinder.errors import StoreError
from imagefinder.filters import canonical
from imagefinder.types import MAX_ID_BYTES

__all__ = ["BUCKETS", "bucket_of", "check_ids", "key_of", "possible"]

BUCKETS = 1 << 32

# What zvec refuses in keys, and file names may hold: control characters, line separators, and the
# lone surrogates that stand for bytes that are not UTF-8. The backslash marks what is escaped.
_REFUSED = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def key_of(id: str) -> str:
    """One-to-one, at most MAX_ID_BYTES of UTF-8; the id itself for all but odd ones."""
    if not _REFUSED.search(id):
        return id
    key = _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", id)
    return key if len(key.encode()) <= MAX_ID_BYTES else "\\" + sha256(_bytes(id)).hexdigest()


def possible(id: str) -> bool:
    """Whether an image can have this id."""
    return len(id) > 0 and (len(id) <= MAX_ID_BYTES // 4 or len(_bytes(id)) <= MAX_ID_BYTES)


def check_ids(ids: Iterable[str]) -> None:
    """Raises StoreError, which names the id, for one that cannot be stored."""
    for id in ids:
        if not id:
            raise StoreError("an image has an empty id; give it one to store it")
        if not possible(id):
            raise StoreError(
                f"{id[:60]}...: the id takes {len(_bytes(id)):,} bytes, the limit is"
                f" {MAX_ID_BYTES:,}; shorten it to store the image"
            )


def bucket_of(id: str) -> int:
    """The same for two ids that `==` takes for one."""
    return zlib.crc32(_bytes(canonical(id)))


def _bytes(id: str) -> bytes:
    return id.encode("utf-8", "surrogatepass")
