"""Filters as far as the indexes of a store can follow them.

What comes out lets through every record that the filter lets through, and perhaps more: whoever
searches with it asks `Filter.matches` of each record that comes back. Indexes know tokens, and
neither `true` nor `not`; so negations are pushed down to the comparisons, where each has its
answer, and None stands for "every record".
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from imagefinder.filters import (
    And,
    Compare,
    Contains,
    Exists,
    LiteralValue,
    Node,
    Not,
    OneOf,
    Or,
    as_number,
    canonical,
)
from imagefinder.stores.filter_ranges import intervals_within
from imagefinder.stores.filter_tokens import (
    KINDS,
    MOMENT,
    kind_token,
    range_token,
    value_token,
)
from imagefinder.stores.ids import bucket_of

__all__ = ["AnyToken", "InBuckets", "Joined", "NoRecord", "NoToken", "Wider", "widened"]

DAY = 86_400.0  # seconds
WORDS = {"id", "uri"}  # fields that no range of numbers is kept of
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class AnyToken:
    """Records that have at least one of the tokens (filter_tokens)."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoToken:
    """Records that have none of them."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InBuckets:
    """Records whose id falls into one of the buckets (`ids.bucket_of`)."""

    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NoRecord:
    pass


@dataclass(frozen=True, slots=True)
class Joined:
    """At least two parts."""

    word: Literal["and", "or"]
    parts: tuple["Wider", ...]


Wider: TypeAlias = AnyToken | NoToken | InBuckets | NoRecord | Joined

Range: TypeAlias = tuple[float, float]  # both ends belong to it
EVERYWHERE: Range = (-math.inf, math.inf)


def widened(root: Node) -> Wider | None:
    """Holds wherever the filter does; None for every record."""
    return _node(root, True)


def _node(node: Node, holds: bool) -> Wider | None:  # noqa: PLR0911 - one a node
    """For the node, or where `holds` is False for its negation."""
    match node:
        case Not(part):
            return _node(part, not holds)
        case And(parts) if holds:
            return _all(parts)
        case And(parts):
            return _joined("or", [_node(part, False) for part in parts])
        case Or(parts):
            return _joined("or" if holds else "and", [_node(part, holds) for part in parts])
        case Compare("id", "==", wanted) | Compare("id", "!=", wanted):
            return _id_equal([wanted], holds == (node.op == "=="))
        case OneOf("id", values):
            return _id_equal(values, holds)
        case Compare("id" | "uri") | OneOf("uri") | Contains("id" | "uri") | Exists("id" | "uri"):
            return None
        case Compare(field, "==" | "!=" as op, wanted):
            return _equal(field, [wanted], holds == (op == "=="))
        case OneOf(field, values):
            return _equal(field, values, holds)
        case Compare(field, op, wanted):
            return _ordered(field, op, wanted, holds)
        case Contains(field, wanted):
            return _contains(field, wanted, holds)
        case Exists(field):
            return _tokens([kind_token(field, kind) for kind in KINDS], holds)


def _all(parts: Sequence[Node]) -> Wider | None:
    """All of the parts. Bounds of one field become one range, which has few intervals, where each
    bound alone has many."""
    ranges: dict[str, Range] = {}
    others: list[Node] = []
    for part in parts:
        match part:
            case Compare(field, "<" | "<=" | ">" | ">=" as op, wanted) if field not in WORDS:
                if (range := _range_of(op, wanted)) is not None:
                    low, high = ranges.get(field, EVERYWHERE)
                    ranges[field] = max(low, range[0]), min(high, range[1])
                    continue
        others.append(part)
    bounded = [_within(field, range) for field, range in ranges.items()]
    return _joined("and", bounded + [_node(part, True) for part in others])


def _id_equal(values: Sequence[LiteralValue], holds: bool) -> Wider | None:
    if not holds or any(isinstance(value, date) for value in values):
        return None
    return InBuckets(tuple(bucket_of(canonical(value)) for value in values))


def _equal(field: str, values: Sequence[LiteralValue], holds: bool) -> Wider | None:
    """Equal to one of the values."""
    plain = [value_token(field, canonical(v)) for v in values if not isinstance(v, date)]
    parts = [_on_date(field, v, holds) for v in values if isinstance(v, date)]
    if plain:
        parts.append(_tokens(plain, holds))
    return _joined("or" if holds else "and", parts)


def _on_date(field: str, wanted: date, holds: bool) -> Wider | None:
    low, high = _moments(wanted)
    if holds:  # a list may hold it
        return _tokens([*_intervals(field, low, high), kind_token(field, "list")])
    outside = [*_intervals(field, -math.inf, low), *_intervals(field, high, math.inf)]
    return _joined("or", [_tokens(outside), _tokens([kind_token(field, MOMENT)], False)])


def _ordered(field: str, op: str, wanted: LiteralValue, holds: bool) -> Wider | None:
    if isinstance(wanted, str):
        return _tokens([kind_token(field, "text")]) if holds else None
    range = _range_of(op if holds else OPPOSITE[op], wanted)
    if range is None:
        return NoRecord() if holds else None
    if holds:
        return _within(field, range)
    comparable = kind_token(field, MOMENT if isinstance(wanted, date) else "number")
    return _joined("or", [_within(field, range), _tokens([comparable], False)])


def _range_of(op: str, wanted: LiteralValue) -> Range | None:
    """The numbers that compare so; None for what no number compares with."""
    if isinstance(wanted, str):
        return None
    if isinstance(wanted, date):
        low, high = _moments(wanted)
    else:
        number = as_number(wanted)
        if number is None:
            return None
        low = high = number
    ranges = {"<": (-math.inf, low), "<=": (-math.inf, high)}
    return (ranges | {">": (high, math.inf), ">=": (low, math.inf)})[op]


def _within(field: str, range: Range) -> Wider | None:
    return _tokens(_intervals(field, *range)) if range[0] <= range[1] else NoRecord()


def _contains(field: str, wanted: LiteralValue, holds: bool) -> Wider | None:
    if isinstance(wanted, date):
        kinds = [kind_token(field, "text"), kind_token(field, "list")]
        return _tokens(kinds) if holds else None
    element = value_token(field, canonical(wanted))
    if holds:
        return _tokens([element, kind_token(field, "text")])
    # These have the token of their value, but contain nothing.
    others = [kind_token(field, "number"), kind_token(field, "date"), kind_token(field, "other")]
    return _joined("or", [_tokens([element], False), _tokens(others)])


def _moments(wanted: date) -> tuple[float, float]:
    """From when to when, in seconds since 1970."""
    start = as_number(wanted)
    assert start is not None
    return start, start if isinstance(wanted, datetime) else start + DAY


def _intervals(field: str, low: float, high: float) -> list[str]:
    return [range_token(field, interval) for interval in intervals_within(low, high)]


def _joined(word: Literal["and", "or"], parts: Iterable[Wider | None]) -> Wider | None:
    """The parts with `and` or `or` between them, where None is true."""
    parts = list(parts)
    known = [part for part in parts if part is not None]
    if not known or (word == "or" and len(known) < len(parts)):
        return None
    return known[0] if len(known) == 1 else Joined(word, tuple(known))


def _tokens(tokens: Sequence[str], holds: bool = True) -> Wider:
    """Any of the tokens, or none of them."""
    return AnyToken(tuple(tokens)) if holds else NoToken(tuple(tokens))
