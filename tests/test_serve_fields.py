"""GET /v1/fields: what filters can name, and what stands in it."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from imagefinder import ImageRecord, Upload
from imagefinder.filters import OWN_FIELDS, parse_filter
from imagefinder.serve import fields as fields_module
from imagefinder.serve.fields import OWN, described
from imagefinder.types import Metadata
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import NAMES, Served, served

CATS = 6


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as service:
        yield service


def fields(service: Served) -> dict:
    answer = service.client.get("/v1/fields")
    assert answer.status_code == 200, answer.text
    return answer.json()


def field(answer: dict, name: str) -> dict:
    (found,) = (one for one in answer["fields"] if one["name"] == name)
    return found


def record(number: int, metadata: Metadata, **facts: object) -> ImageRecord:
    known = {"width": 100 + number, "height": 80, "format": "png", "size": 1000 * number} | facts
    return ImageRecord(f"{number}.png", f"p/{number}.png", "00", metadata=metadata, **known)


def column(*values: object) -> dict:
    """What is said of a field with these values, one an image; None where it has none."""
    records = [record(n, {} if v is None else {"it": v}) for n, v in enumerate(values)]
    found = [f for f in described(len(records), records).fields if f.name == "it"]
    return found[0].model_dump() if found else {}


def test_the_fields_of_a_collection(service: Served) -> None:
    service.finder.add(
        [
            Upload(encoded(picture(50 + n), "JPEG"), f"cat-{n}.jpg", metadata={"label": "cat"})
            for n in range(CATS)
        ]
    )
    found = fields(service)
    assert found["images"] == found["sampled"] == len(NAMES) + CATS
    assert [one["name"] for one in found["fields"]] == [*OWN_FIELDS, "label"]
    assert field(found, "format") == {
        "name": "format",
        "type": "text",
        "count": len(NAMES) + CATS,
        "values": [{"value": "jpeg", "count": CATS}, {"value": "png", "count": len(NAMES)}],
        "min": None,
        "max": None,
    }
    assert field(found, "width") == {
        "name": "width",
        "type": "number",
        "count": len(NAMES) + CATS,
        "values": [],
        "min": 40,
        "max": 40,
    }
    assert field(found, "label")["values"] == [{"value": "cat", "count": CATS}]
    assert field(found, "label")["count"] == CATS
    for name in ("id", "uri"):  # of which every image has another one
        assert (field(found, name)["values"], field(found, name)["type"]) == ([], "text")
    assert field(found, "date")["count"] == 0
    assert field(found, "date")["type"] == "date"


def test_they_are_looked_for_again_once_something_changes(service: Served) -> None:
    before = fields(service)
    assert fields(service) == before
    service.client.patch("/v1/images/bird.png", json={"metadata": {"label": "bird"}})
    assert field(fields(service), "label")["values"] == [{"value": "bird", "count": 1}]
    service.client.patch("/v1/images/bird.png", json={"metadata": {"label": None}})
    assert fields(service) == before
    service.client.delete("/v1/images/bird.png")
    assert fields(service)["images"] == len(NAMES) - 1
    service.finder.add([Upload(encoded(picture(60), "PNG"), "a.png", metadata={"n": 1})])
    assert field(fields(service), "n")["max"] == 1


def test_records_are_not_read_again_while_nothing_changes(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fields(service)
    monkeypatch.setattr(fields_module, "described", None)
    assert fields(service) == before


def test_of_a_large_collection_some_are_looked_at(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fields_module, "SAMPLE", 3)
    found = fields(service)
    assert (found["images"], found["sampled"]) == (len(NAMES), 3)
    assert field(found, "format")["count"] == 3


def test_a_collection_without_images(service: Served) -> None:
    for id in NAMES:
        service.client.delete(f"/v1/images/{id}")
    found = fields(service)
    assert (found["images"], found["sampled"]) == (0, 0)
    assert [one["name"] for one in found["fields"]] == list(OWN_FIELDS)
    assert {one["count"] for one in found["fields"]} == {0}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["cat", "dog", None], "text"),
        ([1, 2.5, None], "number"),
        ([True, False], "bool"),
        (["2024-05-06", "2023-01-01T10:30"], "date"),
        ([["a"], ["b", "c"]], "list"),
        (["2024-05-06", "soon"], "text"),
        ([1, "many"], "text"),
        ([True, 2], "text"),
        (["a", ["a", "b"]], "list"),
        ([float("nan"), 1], "number"),
    ],
)
def test_the_type_of_a_field(values: list, kind: str) -> None:
    assert column(*values)["type"] == kind


def test_the_bounds_of_numbers_and_dates() -> None:
    numbers = column(3, -1.5, float("nan"), float("inf"), None, 2)
    assert (numbers["min"], numbers["max"], numbers["count"]) == (-1.5, 3, 3)
    assert numbers["values"] == []
    days = column("2024-05-06", "2023-01-01T10:30", "2023-01-01")
    assert (days["min"], days["max"]) == ("2023-01-01", "2024-05-06")
    taken = [record(n, {}, date=datetime(2020 + n, 5, 6, 7, 8, 9)) for n in range(3)]
    (date,) = (f for f in described(3, taken).fields if f.name == "date")
    assert (date.min, date.max) == ("2020-05-06T07:08:09", "2022-05-06T07:08:09")


def values(column: dict) -> list[tuple[object, int]]:
    return [(one["value"], one["count"]) for one in column["values"]]


def test_the_commonest_values_come_first() -> None:
    assert values(column("b", "a", "c", "b", "a", "b")) == [("b", 3), ("a", 2), ("c", 1)]
    assert values(column(True, False, True)) == [(True, 2), (False, 1)]
    assert values(column(["a", "b", "a"], ["b"])) == [("b", 2), ("a", 1)]
    assert values(column([1, True], ["1"])) == [("1", 2), ("true", 1)]
    many = [f"{n % 60:02}" for n in range(100)]
    assert values(column(*many)) == [(f"{n:02}", 2) for n in range(40)] + [
        (f"{n:02}", 1) for n in range(40, 50)
    ]


def test_values_that_are_no_help_are_left_out() -> None:
    assert column(*(f"caption {n}" for n in range(51)))["values"] == []
    assert len(column(*(f"caption {n}" for n in range(50)))["values"]) == 50
    assert values(column("x" * 101, "x" * 100)) == [("x" * 100, 1)]


def test_what_is_missing_everywhere_is_no_field() -> None:
    assert column(None, None) == {}
    assert column(float("nan")) == {}


def test_an_own_field_hides_a_column_of_its_name() -> None:
    found = described(1, [record(1, {"format": 7, "id": 3, "other": "x"})]).fields
    assert [one.name for one in found] == [*OWN_FIELDS, "other"]
    assert found[3].values[0].value == "png"
    assert set(OWN) == set(OWN_FIELDS)


def test_a_table_of_many_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields_module, "MOST_FIELDS", 2)
    records = [record(0, {"a": 1, "b": 1, "c": 1}), record(1, {"c": 1, "b": 1, "d": 1})]
    assert [f.name for f in described(2, records).fields][len(OWN) :] == ["b", "c"]


@pytest.mark.parametrize("value", ["cat", "1", 2, True, "true", ["x", 3]])
def test_a_filter_with_a_value_finds_the_images_that_it_counts(value: object) -> None:
    records = [record(0, {"it": value}), record(1, {"it": "other"}), record(2, {})]
    (found,) = (f for f in described(3, records).fields if f.name == "it")
    for one in found.values:
        holds = parse_filter(f'it == "{one.value}"').matches
        assert sum(map(holds, records)) == one.count
