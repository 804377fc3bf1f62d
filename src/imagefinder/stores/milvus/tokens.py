"""The tokens of a record (filter_tokens) as Milvus keeps them: as numbers, because it looks
through them row by row, and numbers take it a tenth of the time that words do."""

from functools import lru_cache
from hashlib import blake2b

from imagefinder.stores.filter_tokens import tokens_of
from imagefinder.types import ImageRecord

__all__ = ["MAX_TOKENS", "OVERFLOW", "number_of", "numbers_of"]

MAX_TOKENS = 4096  # of one record; Milvus has no longer arrays
OVERFLOW = 0  # what a record with more has in place of them all; every search for tokens finds it


def numbers_of(record: ImageRecord) -> list[int]:
    tokens = tokens_of(record)
    return [OVERFLOW] if len(tokens) > MAX_TOKENS else [number_of(token) for token in tokens]


@lru_cache(100_000)
def number_of(token: str) -> int:
    """64 bits of a hash: no two tokens of one collection share it."""
    return int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), signed=True)
