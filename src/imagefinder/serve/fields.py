"""What filters can name: the fields of the images, and what stands in them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from threading import Lock
from typing import Literal, TypeAlias

from imagefinder.filters import OWN_FIELDS, FieldValue, as_number, canonical, field_value
from imagefinder.local import LocalFinder
from imagefinder.serve.records import existing
from imagefinder.serve.wire import FieldsAnswer, WireField, WireFieldValue
from imagefinder.types import ImageRecord

Kind: TypeAlias = Literal["text", "number", "date", "bool", "list"]
Bound: TypeAlias = int | float | str | None

SAMPLE = 1000  # images looked at; read in 25 ms
MOST_VALUES = 50  # of a field
MOST_FIELDS = 200  # of metadata; a table may have any number of columns
LONGEST = 100  # letters of a value; longer ones are no help while typing

OWN: dict[str, Kind] = {
    "id": "text",
    "width": "number",
    "height": "number",
    "format": "text",
    "size": "number",
    "date": "date",
    "camera": "text",
    "uri": "text",
    "latitude": "number",
    "longitude": "number",
}
UNIQUE = {"id", "uri"}  # every image has another one


class Fields:
    """Found in a random sample, and kept until the collection changes."""

    def __init__(self, finder: LocalFinder) -> None:
        self._finder = finder
        self._lock = Lock()
        self._known: tuple[int, FieldsAnswer] | None = None

    def look(self) -> FieldsAnswer:
        """The fields, the record's own first, then those that most images have."""
        collection = self._finder.collection
        changes = collection.changes
        with self._lock:  # who comes at the same time waits for the same answer
            if self._known is None or self._known[0] != changes:
                sample = existing(self._finder, collection.ledger.random_ids(SAMPLE))
                self._known = changes, described(len(self._finder), list(sample))
            return self._known[1]


def described(images: int, sample: Sequence[ImageRecord]) -> FieldsAnswer:
    """Every field of the sample."""
    columns = Counter(chain.from_iterable(record.metadata for record in sample))
    others = sorted(set(columns) - set(OWN_FIELDS), key=lambda name: (-columns[name], name))
    fields = [field(name, sample) for name in (*OWN_FIELDS, *others[:MOST_FIELDS])]
    return FieldsAnswer(
        images=images,
        sampled=len(sample),
        fields=[one for one in fields if one.count or one.name in OWN],
    )


def field(name: str, sample: Sequence[ImageRecord]) -> WireField:
    """One field."""
    values = [field_value(record, name) for record in sample]
    there = [(value, kind) for value in values if (kind := kind_of(value)) is not None]
    kind = OWN.get(name) or common({kind for _, kind in there})
    given = [value for value, _ in there]
    low, high = bounds(given) if kind in {"number", "date"} else (None, None)
    listed = name not in UNIQUE and kind in {"text", "bool", "list"}
    return WireField(
        name=name,
        type=kind,
        count=len(given),
        values=commonest(given, kind) if listed else [],
        min=low,
        max=high,
    )


def kind_of(value: FieldValue) -> Kind | None:
    """What a filter takes a value for; None where it is missing."""
    match value:
        case bool():
            return "bool"
        case str() | datetime():
            return "text" if as_number(value) is None else "date"
        case int() | float():
            return None if as_number(value) is None else "number"
        case None:
            return None
    return "list"


def common(kinds: set[Kind]) -> Kind:
    """What a column is called whose values may differ in kind."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "list" if "list" in kinds else "text"


def bounds(values: Sequence[FieldValue]) -> tuple[Bound, Bound]:
    """The least and the greatest, dates as text in ISO form."""
    if not values:
        return None, None
    ordered = sorted(values, key=lambda value: as_number(value) or 0)
    return shown(ordered[0]), shown(ordered[-1])


def shown(value: FieldValue) -> Bound:
    if isinstance(value, datetime):
        return value.isoformat()
    assert isinstance(value, int | float | str)
    return value


def commonest(values: Sequence[FieldValue], kind: Kind) -> list[WireFieldValue]:
    """The values that most images have; none where each has another one."""
    counts = Counter(chain.from_iterable(map(words, values)))
    if len(counts) > MOST_VALUES and len(counts) == len(values):
        return []
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    short = [(word, count) for word, count in best if len(word) <= LONGEST][:MOST_VALUES]
    return [
        WireFieldValue(value=word == "true" if kind == "bool" else word, count=count)
        for word, count in short
    ]


def words(value: FieldValue) -> Iterator[str]:
    """What `==` and `contains` compare with, each once."""
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    yield from {canonical(each) for each in many if each is not None}
