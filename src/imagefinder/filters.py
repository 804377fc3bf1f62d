"""Which images a search may answer with: the filter language, and what it means for one record.

    label == "cat" and width >= 800 and not format in ["gif", "png"]

A condition is true or false, never unknown: on a missing value every comparison is false, and `!=`
is exactly the negation of `==`, so `label != "cat"` keeps the images without a label. A store may
therefore search with any wider condition and let `Filter.matches` decide.
"""

import math
import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias

from imagefinder.filter_grammar import (
    And,
    Compare,
    Contains,
    Exists,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    parse,
)
from imagefinder.filter_tokens import LiteralValue
from imagefinder.types import ImageRecord, MetadataValue, Scalar

__all__ = [
    "OWN_FIELDS",
    "And",
    "Compare",
    "Contains",
    "Exists",
    "FieldValue",
    "Filter",
    "LiteralValue",
    "Node",
    "Not",
    "OneOf",
    "Operator",
    "Or",
    "as_number",
    "canonical",
    "field_value",
    "parse_filter",
]

FieldValue: TypeAlias = MetadataValue | datetime

OWN_FIELDS = (
    "id", "width", "height", "format", "size", "date", "camera", "uri", "latitude", "longitude",
)  # fmt: skip

DAY = 86_400.0  # seconds


def parse_filter(expression: str) -> "Filter":
    """Raises FilterError, which names the problem and its column."""
    return Filter(expression, parse(expression))


def _as_stored(uri: str) -> str:
    return uri


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. `locate` turns a stored uri into the one that the user sees, and is applied
    before `uri` is compared."""

    expression: str
    root: Node
    locate: Callable[[str], str] = _as_stored

    def matches(self, record: ImageRecord) -> bool:
        return self._holds(self.root, record)

    def _holds(self, node: Node, record: ImageRecord) -> bool:  # noqa: PLR0911 - one a node
        match node:
            case And(parts):
                return all(self._holds(part, record) for part in parts)
            case Or(parts):
                return any(self._holds(part, record) for part in parts)
            case Not(part):
                return not self._holds(part, record)
            case Compare(field, "!=", wanted):
                return not _equals(self._value(record, field), wanted)
            case Compare(field, "==", wanted):
                return _equals(self._value(record, field), wanted)
            case Compare(field, op, wanted):
                return _ordered(self._value(record, field), op, wanted)
            case OneOf(field, values):
                value = self._value(record, field)
                return any(_equals(value, wanted) for wanted in values)
            case Contains(field, wanted):
                return _contains(self._value(record, field), wanted)
            case Exists(field):
                return not _missing(self._value(record, field))

    def _value(self, record: ImageRecord, field: str) -> FieldValue:
        return self.locate(record.uri) if field == "uri" else field_value(record, field)


def field_value(record: ImageRecord, field: str) -> FieldValue:
    """A field of the record: its own by OWN_FIELDS, else the metadata column; None if missing."""
    if field in OWN_FIELDS:
        value: FieldValue = getattr(record, field)
        return value
    return record.metadata.get(field)


def canonical(value: Scalar | date) -> str:
    """The text by which `==` compares: 1, 1.0 and "1" are one, true and "true" too, and so are
    the composed and the decomposed form of a letter (file names from macOS are decomposed)."""
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def as_number(value: FieldValue | date) -> float | None:
    """What `<` compares, for the index of a store: a number itself, and a date, or text in the
    form of one, in seconds since 1970 of its wall-clock time (a day: of its first moment). None
    for all else, truth values and numbers that are not finite among it."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _finite(value)
    return _moment(value)


def _finite(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:  # an int of more than 308 digits
        return None
    return number if math.isfinite(number) else None


_ISO_DATE = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1)


def _moment(value: FieldValue | date) -> float | None:
    """Seconds since 1970 of a date or of text in ISO form; a time zone is left out of account,
    because cameras write none."""
    if isinstance(value, str):
        if not _ISO_DATE.fullmatch(value):
            return None
        try:
            value = datetime.fromisoformat(value)
        except ValueError:  # 2024-13-01
            return None
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - _EPOCH) / timedelta(seconds=1)
    if isinstance(value, date):
        return (value - _EPOCH.date()) / timedelta(seconds=1)
    return None


def _missing(value: FieldValue) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _is_list(value: FieldValue) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _equals(value: FieldValue, wanted: LiteralValue) -> bool:
    if _missing(value):
        return False
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_equals(element, wanted) for element in value)
    if isinstance(wanted, date):
        return _ordered(value, ">=", wanted) and _ordered(value, "<=", wanted)
    assert value is not None
    return canonical(value) == canonical(wanted)


_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _ordered(value: FieldValue, op: Operator, wanted: LiteralValue) -> bool:
    """Numbers with numbers, dates with dates, text with text by code point; else false."""
    if isinstance(wanted, str):
        return isinstance(value, str) and _ORDERS[op](canonical(value), canonical(wanted))
    if isinstance(wanted, date):
        moment, limit = _moment(value), _moment(wanted)
        if moment is not None and not isinstance(wanted, datetime):
            moment -= moment % DAY  # a day without a time stands for all of it
    else:
        moment = None if isinstance(value, str | date) else as_number(value)
        limit = as_number(wanted)
    return moment is not None and limit is not None and _ORDERS[op](moment, limit)


def _contains(value: FieldValue, wanted: LiteralValue) -> bool:
    if isinstance(value, str):
        return canonical(wanted) in canonical(value)
    return _is_list(value) and _equals(value, wanted)
