"""The tokens of a record: short words that the inverted index looks up for `==`, `in`, `contains`
and `exists`.

A token is a hash of what it stands for. So it needs no escaping inside a zvec expression, is never
too long for the index, and "a=b" with value "c" is not "a" with value "b=c".
"""

import math
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, TypeAlias

from imagefinder.filters import OWN_FIELDS, canonical
from imagefinder.types import ImageRecord, MetadataValue

__all__ = ["EVERY", "KINDS", "TEXT_FIELDS", "Kind", "kind_token", "tokens_of", "value_token"]

Kind: TypeAlias = Literal["number", "text", "truth", "list"]
KINDS: tuple[Kind, ...] = ("number", "text", "truth", "list")

TEXT_FIELDS = ("format", "camera")  # the record's own; all others with tokens are metadata
EVERY = "all"  # in every record, because zvec finds no empty list with `not contain_any`


def tokens_of(record: ImageRecord) -> list[str]:
    values = {key: value for key, value in record.metadata.items() if key not in OWN_FIELDS}
    values |= {"format": record.format, "camera": record.camera}
    tokens = [EVERY]
    for field, value in values.items():
        kind = _kind(value)
        if value is None or kind is None:
            continue
        tokens.append(kind_token(field, kind))
        elements = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        tokens += {
            value_token(field, canonical(element))
            for element in elements
            if _kind(element) is not None
        }
    return tokens


def value_token(field: str, value: str) -> str:
    """For a field that equals, or is a list that holds, this canonical value."""
    return _hashed(f"={len(field)} {field} {value}")


def kind_token(field: str, kind: Kind) -> str:
    """For a field that is there, by the kind of its value."""
    return _hashed(f"{kind} {field}")


def _kind(value: MetadataValue) -> Kind | None:
    """None for what a filter takes for missing."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "list"


def _hashed(text: str) -> str:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    return urlsafe_b64encode(digest).decode()  # 16 characters
