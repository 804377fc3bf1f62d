"""What collections of ours are called in Milvus: letters, digits and underscores only."""

import re
from hashlib import sha256

__all__ = ["family", "physical"]

MAX_LENGTH = 100  # of each half; Milvus takes 255 for the whole

_PLAIN = re.compile(r"[A-Za-z0-9]+(_[A-Za-z0-9]+)*", re.ASCII)
_HASHED = re.compile(r"_h[0-9a-f]{16}$", re.ASCII)
_REFUSED = re.compile(r"[^A-Za-z0-9]+", re.ASCII)


def physical(name: str, part: str) -> str:
    """The Milvus collection of a part (`images`) of the collection `name`. One-to-one: neither half
    holds two underscores in a row, and what had to be changed has a hash at its end."""
    return family(name) + _half(part)


def family(name: str) -> str:
    """How the names of all parts of one collection begin, and of no other."""
    half = _half(name)
    return ("c_" + _hashed(name) if half[0].isdigit() else half) + "__"


def _half(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and not _HASHED.search(text) and len(text) <= MAX_LENGTH
    return text if plain else _hashed(text)


def _hashed(text: str) -> str:
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    kept = _REFUSED.sub("_", text).strip("_")[: MAX_LENGTH - 20].rstrip("_")
    return f"{kept}_h{digest}" if kept else f"h{digest}"
