"""Filters in zvec's own language, as far as it goes."""

from imagefinder.ahead import chunks
from imagefinder.filters import Node
from imagefinder.stores import filter_wider
from imagefinder.stores.embedded_schema import BUCKET, TOKENS
from imagefinder.stores.filter_wider import (
    AnyToken,
    InBuckets,
    Joined,
    NoRecord,
    NoToken,
    Wider,
)

__all__ = ["NOTHING", "widened"]

NOTHING = f"{BUCKET} < 0"
MAX_CONDITIONS = 1000  # zvec takes 4,096
MAX_TOKENS = 32  # in one contain_any; zvec's limit


def widened(root: Node) -> str | None:
    """A zvec expression that is true wherever the filter is; None for every record."""
    wider = filter_wider.widened(root)
    if wider is None:
        return None
    expression = _written(wider)
    conditions = expression.count(" or ") + expression.count(" and ")
    return expression if conditions <= MAX_CONDITIONS else None


def _written(wider: Wider) -> str:
    match wider:
        case NoRecord():
            return NOTHING
        case InBuckets(buckets):
            return _joined("or", [f"{BUCKET} = {bucket}" for bucket in buckets])
        case AnyToken(tokens):
            return _joined("or", [f"{TOKENS} contain_any ({some})" for some in _lists(tokens)])
        case NoToken(tokens):
            return _joined("and", [f"{TOKENS} not contain_any ({some})" for some in _lists(tokens)])
        case Joined(word, parts):
            return _joined(word, [_written(part) for part in parts])


def _lists(tokens: tuple[str, ...]) -> list[str]:
    words = [f"'{token}'" for token in tokens]
    return [",".join(some) for some in chunks(words, MAX_TOKENS)]


def _joined(word: str, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else "(" + f" {word} ".join(parts) + ")"
