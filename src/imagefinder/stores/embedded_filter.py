"""Filters in zvec's own language, as far as it goes.

What comes out lets through every record that the filter lets through, and perhaps more: whoever
searches with it asks `Filter.matches` of each record that comes back. zvec's language has no
`true`, no `not`, and comparisons that are false for nulls; so negations are pushed down to the
comparisons, None stands for "every record", and null is asked for where it belongs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

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
from imagefinder.stores.embedded_schema import BUCKET, NUMBER_FIELDS, TOKENS, bucket_of
from imagefinder.stores.embedded_tokens import KINDS, kind_token, value_token

__all__ = ["widened"]

NOTHING = f"{BUCKET} < 0"
MAX_CONDITIONS = 1000  # zvec takes 4,096
MAX_TOKENS = 32  # in one contain_any; zvec's limit
EXACT_INTEGERS = 2**53  # beyond, different integers are one float
DAY = 86_400.0  # seconds

FLIPPED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def widened(root: Node, columns: Mapping[str, str]) -> str | None:
    """A zvec expression that is true wherever the filter is; None for every record. `columns` says
    which metadata key has which numeric column."""
    expression = _Translation(columns).node(root, True)
    if expression is None or expression.count(" or ") + expression.count(" and ") > MAX_CONDITIONS:
        return None
    return expression


@dataclass(frozen=True, slots=True)
class _Translation:
    """Every method gives an expression for its node, or where `holds` is False for its negation."""

    columns: Mapping[str, str]

    def node(self, node: Node, holds: bool) -> str | None:  # noqa: PLR0911 - one a node
        match node:
            case Not(part):
                return self.node(part, not holds)
            case And(parts):
                return _joined("and" if holds else "or", [self.node(p, holds) for p in parts])
            case Or(parts):
                return _joined("or" if holds else "and", [self.node(p, holds) for p in parts])
            case Compare(field, "==" | "!=" as op, wanted):
                return self.equal(field, [wanted], holds == (op == "=="))
            case OneOf(field, values):
                return self.equal(field, values, holds)
            case Compare(field, op, wanted):
                return self.ordered(field, op, wanted, holds)
            case Contains(field, wanted):
                return self.contains(field, wanted, holds)
            case Exists(field):
                return self.exists(field, holds)

    def equal(self, field: str, values: Sequence[LiteralValue], holds: bool) -> str | None:
        """Equal to one of the values."""
        if field == "id":
            if not holds or any(isinstance(value, date) for value in values):
                return None
            return _joined("or", [f"{BUCKET} = {bucket_of(canonical(v))}" for v in values])
        if field == "uri":
            return None
        if field in NUMBER_FIELDS:
            each = [_number_equal(field, value, holds) for value in values]
        else:
            plain = [value for value in values if not isinstance(value, date)]
            each = [self._day_equal(field, v, holds) for v in values if isinstance(v, date)]
            if plain:
                each.append(_tokens((value_token(field, canonical(v)) for v in plain), holds))
        return _joined("or" if holds else "and", each)

    def _day_equal(self, field: str, day: date, holds: bool) -> str | None:
        if not holds:
            return None
        in_list = _tokens([kind_token(field, "list")])
        column = self.columns.get(field)
        as_text = _tokens([kind_token(field, "text")]) if column is None else _within(column, day)
        return _joined("or", [as_text, in_list])

    def ordered(self, field: str, op: str, wanted: LiteralValue, holds: bool) -> str | None:
        if field in ("id", "uri"):
            return None
        if field in NUMBER_FIELDS:
            comparable = isinstance(wanted, date) == (field == "date")
            if not comparable or isinstance(wanted, str | bool):
                return NOTHING if holds else None
            return _compared(field, op, wanted, holds)
        if isinstance(wanted, str):
            return _tokens([kind_token(field, "text")]) if holds else None
        other = "number" if isinstance(wanted, date) else "text"  # kinds that share the column
        column = self.columns.get(field)
        if column is None:
            kinds = [kind_token(field, "number"), kind_token(field, "text")]
            return _tokens(kinds) if holds else None
        compared = _compared(column, op, wanted, holds)
        if holds:
            return compared
        return _joined("or", [compared, _tokens([kind_token(field, other)])])

    def contains(self, field: str, wanted: LiteralValue, holds: bool) -> str | None:
        if field in ("id", "uri"):
            return None
        if field in NUMBER_FIELDS:
            return NOTHING if holds else None
        if isinstance(wanted, date):
            kinds = [kind_token(field, "text"), kind_token(field, "list")]
            return _tokens(kinds) if holds else None
        element = value_token(field, canonical(wanted))
        if holds:
            return _tokens([element, kind_token(field, "text")])
        # A number has the token of its value, but contains nothing.
        others = [kind_token(field, "number"), kind_token(field, "truth")]
        return _joined("or", [_tokens([element], False), _tokens(others)])

    def exists(self, field: str, holds: bool) -> str | None:
        if field in ("id", "uri"):
            return None
        if field in NUMBER_FIELDS:
            return f"{field} is not null" if holds else f"{field} is null"
        return _tokens((kind_token(field, kind) for kind in KINDS), holds)


def _joined(word: str, parts: Iterable[str | None]) -> str | None:
    """The parts with `and` or `or` between them, where None is true."""
    parts = list(parts)
    known = [part for part in parts if part is not None]
    if not known or (word == "or" and len(known) < len(parts)):
        return None
    return known[0] if len(known) == 1 else "(" + f" {word} ".join(known) + ")"


def _tokens(tokens: Iterable[str], holds: bool = True) -> str | None:
    """Any of the tokens, or none of them."""
    words = [f"'{token}'" for token in tokens]
    lists = [",".join(words[i : i + MAX_TOKENS]) for i in range(0, len(words), MAX_TOKENS)]
    if holds:
        return _joined("or", [f"{TOKENS} contain_any ({words})" for words in lists])
    return _joined("and", [f"{TOKENS} not contain_any ({words})" for words in lists])


def _number_equal(field: str, wanted: LiteralValue, holds: bool) -> str | None:
    """A field that holds numbers, or dates, equal to one."""
    if isinstance(wanted, date):
        if field != "date":
            return NOTHING if holds else None
        if holds:
            return _within(field, wanted)
        return _joined("or", [*_outside(field, wanted), f"{field} is null"])
    number = None if isinstance(wanted, str) else as_number(wanted)
    if number is None or field == "date":  # equal as texts, perhaps
        return f"{field} is not null" if holds else None
    if holds:
        return f"{field} = {_literal(number)}"
    if abs(number) >= EXACT_INTEGERS:
        return None
    return f"({field} != {_literal(number)} or {field} is null)"


def _compared(column: str, op: str, wanted: LiteralValue, holds: bool) -> str | None:
    limit = as_number(wanted)
    if limit is None:
        return NOTHING if holds else None
    if op in ("<=", ">") and _is_day(wanted):  # up to its end, after its end
        op, limit = {"<=": "<", ">": ">="}[op], limit + DAY
    if holds:
        return f"{column} {op} {_literal(limit)}"
    return f"({column} {FLIPPED[op]} {_literal(limit)} or {column} is null)"


def _within(column: str, wanted: date) -> str | None:
    return _joined("and", [_compared(column, op, wanted, True) for op in (">=", "<=")])


def _outside(column: str, wanted: date) -> list[str | None]:
    return [_compared(column, op, wanted, True) for op in ("<", ">")]


def _is_day(wanted: LiteralValue) -> bool:
    return isinstance(wanted, date) and not isinstance(wanted, datetime)


def _literal(number: float) -> str:
    return repr(number + 0.0)  # the column holds no -0.0
