"""The tokens of a record: short words in an inverted index, by which filters find it.

A token stands for a value (for `==`, `in` and `contains`), for a kind of value (for `exists` and
`not`), or for an interval of numbers (for `<` and `>`; see filter_ranges). It is a hash, so that
it needs no escaping inside a zvec expression, is never too long for the index, and no field and
value can pass for others.

Numbers are tokens and not columns, because zvec cannot give an indexed column to a collection
with unsaved images, and each column made beforehand makes opening and `optimize()` slower.
"""

import math
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, TypeAlias

from imagefinder.filters import OWN_FIELDS, FieldValue, as_number, canonical
from imagefinder.stores.filter_ranges import intervals_of
from imagefinder.types import ImageRecord

__all__ = ["KINDS", "MOMENT", "kind_token", "range_token", "tokens_of", "value_token"]

# `other` is what is equal to something, but neither contains nor compares: true and false.
Kind: TypeAlias = Literal["number", "text", "date", "list", "other"]
KINDS: tuple[Kind, ...] = ("number", "text", "date", "list", "other")
MOMENT: Literal["moment"] = "moment"  # beside its kind: a date, or a text in the form of one

EVERY = "all"  # in every record, because zvec finds no empty list with `not contain_any`
NOT_HERE = ("id", "uri")  # found by a hash, and not at all


def tokens_of(record: ImageRecord) -> list[str]:
    own = {name: getattr(record, name) for name in OWN_FIELDS if name not in NOT_HERE}
    tokens = {EVERY: None}  # a set that keeps its order
    for field, value in {**record.metadata, **own}.items():
        tokens |= dict.fromkeys(_tokens(field, value))
    return list(tokens)


def value_token(field: str, value: str) -> str:
    """For a field that equals, or is a list that holds, this canonical value."""
    return _hash(field) + _hash(value)


def kind_token(field: str, kind: Kind | Literal["moment"]) -> str:
    """For a field that is there, by the kind of its value."""
    return f"{_hash(field)}-{kind}"


def range_token(field: str, interval: str) -> str:
    """For a field with a number, or a date, in this interval."""
    return f"{_hash(field)}.{interval}"


def _tokens(field: str, value: FieldValue) -> list[str]:
    kind = _kind(value)
    if value is None or kind is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = [canonical(each) for each in value if _kind(each) is not None]
    else:
        texts = [canonical(value)]
    tokens = [kind_token(field, kind), *(value_token(field, text) for text in texts)]
    number = as_number(value)
    if number is not None:
        tokens += [range_token(field, interval) for interval in intervals_of(number)]
        if kind != "number":
            tokens.append(kind_token(field, MOMENT))
    return tokens


def _kind(value: FieldValue) -> Kind | None:
    """None for what a filter takes for missing."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "other"
    if isinstance(value, int | float):
        return "number" if as_number(value) is not None else "other"  # over 308 digits
    if isinstance(value, datetime):
        return "date"
    return "text" if isinstance(value, str) else "list"


@lru_cache(10_000)  # the fields, and the values that come again and again
def _hash(text: str) -> str:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    return urlsafe_b64encode(digest).decode()  # 16 characters
