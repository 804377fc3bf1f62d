"""Filters in Milvus' own language, as far as it goes."""

from typing import Literal

from imagefinder.filters import Node
from imagefinder.stores.filter_wider import (
    AnyToken,
    InBuckets,
    Joined,
    NoRecord,
    NoToken,
    Wider,
    widened,
)
from imagefinder.stores.milvus.schema import BUCKET, TOKENS
from imagefinder.stores.milvus.tokens import OVERFLOW, number_of

__all__ = ["expression_of"]

MAX_LENGTH = 100_000  # characters; Milvus takes 0.2 s for 25,000


def expression_of(root: Node) -> str | None:
    """A Milvus expression that is true wherever the filter is; None for every record."""
    wider = widened(root)
    expression = None if wider is None else _written(wider)
    return None if expression is None or len(expression) > MAX_LENGTH else expression


def _written(wider: Wider) -> str:
    match wider:
        case NoRecord():
            return f"{BUCKET} < 0"
        case InBuckets(buckets):
            return f"{BUCKET} in [{','.join(map(str, buckets))}]"
        case AnyToken(tokens):
            return f"array_contains_any({TOKENS}, [{_numbers(tokens)},{OVERFLOW}])"
        case NoToken(tokens):
            return f"not array_contains_any({TOKENS}, [{_numbers(tokens)}])"
        case Joined(word, parts):
            return f" {word} ".join(f"({_written(part)})" for part in _merged(word, parts))


def _merged(word: Literal["and", "or"], parts: tuple[Wider, ...]) -> list[Wider]:
    """The parts, with one look at the tokens for all those that can share it."""
    kind = AnyToken if word == "or" else NoToken
    tokens = [token for part in parts if isinstance(part, kind) for token in part.tokens]
    others = [part for part in parts if not isinstance(part, kind)]
    return [*others, kind(tuple(dict.fromkeys(tokens)))] if tokens else others


def _numbers(tokens: tuple[str, ...]) -> str:
    return ",".join(str(number_of(token)) for token in tokens)
