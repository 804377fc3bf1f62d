"""The parts of the stores that stand alone: ids, records as JSON, number ranges, wider filters."""

import json
import math
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagefinder.errors import CollectionDamagedError
from imagefinder.filters import (
    And,
    Compare,
    Contains,
    Exists,
    Filter,
    LiteralValue,
    Node,
    Not,
    OneOf,
    Operator,
    Or,
    parse_filter,
)
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.embedded_filter import NOTHING, widened
from imagefinder.stores.embedded_schema import TOKENS
from imagefinder.stores.filter_ranges import intervals_of, intervals_within
from imagefinder.stores.filter_tokens import range_token
from imagefinder.stores.ids import key_of, possible
from imagefinder.stores.record_json import from_json, to_json
from imagefinder.types import MAX_ID_BYTES, ImageRecord, MetadataValue

any_text = st.text(st.characters(exclude_categories=()))  # with lone surrogates
odd_text = st.text("\\\n\x85\u2028a/u0\udce9", max_size=5)
scalars = (
    any_text | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
)
records = st.builds(
    ImageRecord,
    id=any_text, uri=any_text, sha256=any_text, width=st.integers(), height=st.integers(),
    format=any_text, size=st.integers(), mtime=st.none() | st.floats(-1e12, 1e12),
    date=st.none() | st.datetimes(), camera=st.none() | any_text,
    latitude=st.none() | st.floats(-90, 90), longitude=st.none() | st.floats(-180, 180),
    metadata=st.dictionaries(any_text, st.none() | scalars | st.lists(scalars)),
)  # fmt: skip
PLAIN = ImageRecord("a", "a.jpg", "0" * 64, 640, 480, "jpeg", 1000)


@given(records)
def test_a_record_comes_back_from_json_as_it_was(record: ImageRecord) -> None:
    text = to_json(record)
    assert text.isascii()
    assert "\n" not in text
    assert from_json(text) == record


def test_numbers_that_are_none_are_left_out_of_json() -> None:
    odd = {"nan": math.nan, "list": [1, math.inf, "x"], "tuple": ("a", 1)}
    record = replace(PLAIN, mtime=math.nan, latitude=math.inf, metadata=odd)
    text = to_json(record)
    json.loads(text, parse_constant=pytest.fail)
    metadata: dict[str, MetadataValue] = {"nan": None, "list": [1, "x"], "tuple": ["a", 1]}
    assert from_json(text) == replace(PLAIN, metadata=metadata)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"id": "a"}', '{"date": "x"}', '{"x": 1}'])
def test_damaged_json_is_told(text: str) -> None:
    with pytest.raises(CollectionDamagedError, match="a stored record cannot be read"):
        from_json(text)


@given(st.lists(odd_text | any_text, unique=True))
@example(["\n", "\\u000a", "\\", "\\u005c"])
@example(["\n" * 1024, "\t" * 1024, "x" * 1024])
def test_keys_are_one_to_one_and_fit(ids: list[str]) -> None:
    keys = [key_of(id) for id in ids if possible(id)]
    assert len(set(keys)) == len(keys)
    assert all(len(key.encode()) <= MAX_ID_BYTES for key in keys)
    assert not any(char in "\x00\n\x7f\x85\u2028" for key in keys for char in key)


numbers = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.7e9, 5e-324, 1e308, -1e308])


@given(numbers, numbers, numbers)
def test_ranges_hold_what_lies_within(low: float, high: float, number: float) -> None:
    low, high = min(low, high), max(low, high)
    names = intervals_within(low, high)
    assert len(set(names)) == len(names) < 400
    for each in {low, high, min(max(number, low), high)}:
        if math.isfinite(each):
            assert set(intervals_of(each)) & set(names)


def test_ranges_hold_little_else() -> None:
    names = set(intervals_within(3000.0, 3010.0))
    assert not names & set(intervals_of(2999.0))
    assert not names & set(intervals_of(3011.0))
    day = set(intervals_within(1714521600.0, 1714521600.0 + 86400))
    assert not day & set(intervals_of(1714521600.0 - 30_000))
    assert intervals_of(-0.0) == intervals_of(0.0)


def test_what_no_index_helps_with_is_left_to_the_filter() -> None:
    long = Or(tuple(Compare(f"f{n}", "<", n) for n in range(500)))
    for node in (Compare("uri", "==", "x"), Contains("id", "x"), long, Not(Exists("uri"))):
        assert widened(node) is None
    both = And((Contains("uri", "x"), Compare("label", "==", "cat")))
    assert widened(both) == widened(Compare("label", "==", "cat")) is not None
    assert widened(Or((Contains("uri", "x"), Compare("label", "==", "cat")))) is None


def test_two_bounds_of_a_field_are_one_range() -> None:
    both = parse_filter('size >= 1000 and label == "cat" and size < 1010').root
    names = intervals_within(1000, 1010)
    tokens = ",".join(f"'{range_token('size', name)}'" for name in names)
    label = widened(parse_filter('label == "cat"').root)
    assert widened(both) == f"({TOKENS} contain_any ({tokens}) and {label})"


def test_a_range_without_a_number_matches_nothing() -> None:
    assert widened(parse_filter("size > 5 and size < 3").root) == NOTHING


FIELDS = [
    "label",
    "price",
    "taken",
    "width",
    "size",
    "date",
    "camera",
    "latitude",
    "id",
    "uri",
    "no",
]
VALUES: list[LiteralValue] = [
    "cat", "a", "5", "", "2024-05-01", 5, 5.0, 0, -1, 2**53, 2**53 + 1, 0.1, True, False,
    date(2024, 5, 1), datetime(2024, 5, 1), datetime(2024, 5, 1, 12), 1714521600,
]  # fmt: skip
stored = st.none() | st.sampled_from(
    [*(v for v in VALUES if not isinstance(v, date)), math.nan, 10**400, "2024-05-01T12:00:00"]
)
some_records = st.lists(
    st.builds(
        ImageRecord,
        id=st.sampled_from(["cat", "a", "5", "2024-05-01", "é", "e\u0301"]),
        uri=st.just("cat"), sha256=st.just(""), width=st.sampled_from([0, 5, 2**53, 2**53 + 1]),
        height=st.just(1), format=st.just("a"), size=st.sampled_from([0, 5, 6]),
        date=st.none() | st.sampled_from([datetime(2024, 5, 1), datetime(2024, 5, 1, 12)]),
        camera=st.none() | st.sampled_from(["cat", "2024-05-01"]),
        latitude=st.none() | st.sampled_from([0.0, -0.0, 5.0, math.nan]),
        metadata=st.dictionaries(
            st.sampled_from(["label", "price", "taken", "width"]),
            stored | st.lists(stored.filter(lambda value: value is not None), max_size=3),
        ),
    ),
    min_size=1, max_size=6, unique_by=lambda record: record.id,
)  # fmt: skip
fields, literals = st.sampled_from(FIELDS), st.sampled_from(VALUES)
operators: st.SearchStrategy[Operator] = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
leaves: st.SearchStrategy[Node] = (
    st.builds(Compare, fields, operators, literals)
    | st.builds(OneOf, fields, st.lists(literals, min_size=1, max_size=3).map(tuple))
    | st.builds(Contains, fields, literals)
    | st.builds(Exists, fields)
)
nodes = st.recursive(
    leaves,
    lambda node: (
        st.builds(Not, node)
        | st.builds(And, st.lists(node, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(node, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_records, st.lists(nodes, min_size=8, max_size=8))
def test_no_filter_loses_a_match(
    tmp_path_factory: pytest.TempPathFactory, found: list[ImageRecord], roots: list[Node]
) -> None:
    store = _emptied(tmp_path_factory)
    rows = np.eye(8, dtype=np.float32)[: len(found)]
    store.upsert(found, rows)
    for root in roots:
        filter = Filter("", root)
        hits = store.search(rows[:1], 10, filter=filter)[0]
        wanted = {each.id for each in found if filter.matches(each)}
        assert {hit.record.id for hit in hits} == wanted, widened(root)


_stores: list[EmbeddedStore] = []  # one for all examples: making one takes longer than using it


def _emptied(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedStore:
    if not _stores:
        _stores.append(EmbeddedStore.create(Path(tmp_path_factory.mktemp("store")) / "space", 8))
    _stores[0].delete([record.id for record, _ in list(_stores[0].scan())])
    return _stores[0]


@pytest.fixture(scope="module", autouse=True)
def _closed() -> "object":
    yield
    while _stores:
        _stores.pop().close()
