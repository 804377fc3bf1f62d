"""The filter language: what parses, what it means for a record, and what a mistake is told."""

import json
import math
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagefinder.errors import FilterError, UsageError
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
    field_value,
    parse_filter,
)
from imagefinder.types import ImageRecord

RECORD = ImageRecord(
    id="pets/cat 1.jpg",
    uri="pets/cat 1.jpg",
    sha256="0" * 64,
    width=1024,
    height=768,
    format="jpeg",
    size=250_000,
    date=datetime(2024, 5, 1, 23, 59, 59, 500_000),
    camera="Canon EOS R5",
    latitude=-33.5,
    metadata={
        "label": "cat",
        "year": "2020",
        "rank": 1,
        "score": 0.5,
        "whole": 2.0,
        "huge": 9_007_199_254_740_993,
        "good": True,
        "none": None,
        "nan": math.nan,
        "inf": math.inf,
        "empty": "",
        "tags": ["pet", "Big", 3, True],
        "nothing": [],
        "taken": "2024-05-01T10:30:00+02:00",
        "day": "2024-05-01",
        "compact": "20240501",
        "wrong-day": "2024-13-01",
        "my column": "x",
        "größe": 7,
        "हिन्दी": "नमस्ते",
        "a.b": 1,
        "cafe": "cafe\u0301",
    },
)


def test_the_tree():
    root = parse_filter(
        'label == "cat" and width >= 800 and not format in ["gif", "png"] or exists(a-b.c)'
    ).root
    assert root == Or(
        (
            And(
                (
                    Compare("label", "==", "cat"),
                    Compare("width", ">=", 800),
                    Not(OneOf("format", ("gif", "png"))),
                )
            ),
            Exists("a-b.c"),
        )
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("800", 800),
        ("-1", -1),
        ("+1", 1),
        ("0.50", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("2024-02-29", date(2024, 2, 29)),
        ("2024-05-01T10:30", datetime(2024, 5, 1, 10, 30)),
        ("2024-05-01T10:30:15.25", datetime(2024, 5, 1, 10, 30, 15, 250_000)),
        ('"a \\"b\\" \'c\'"', "a \"b\" 'c'"),
        ("'a \\'b\\' \"c\"'", "a 'b' \"c\""),
        (r'"C:\\photos\n"', "C:\\photos\n"),
        ('"2024-05-01"', "2024-05-01"),
        ('"日本 😀"', "日本 😀"),
        (json.dumps("日本 😀 /\b"), "日本 😀 /\b"),
        ('""', ""),
    ],
)
def test_values(written: str, value: LiteralValue):
    node = parse_filter(f"column == {written}").root
    assert isinstance(node, Compare)
    assert node.value == value
    assert type(node.value) is type(value)


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ('format not in ["gif"]', 'not format in ["gif"]'),
        ('label not contains "a"', 'not label contains "a"'),
        ("a==1 AND NOT b==2 OR c IN [3]", "((a == 1) and (not b == 2)) or (c in [3])"),
        ("a == 1 or b == 2 and c == 3", "a == 1 or (b == 2 and c == 3)"),
        ("not a == 1 and b == 2", "(not a == 1) and b == 2"),
        ("`label`=='x'", 'label == "x"'),
        ("a in [1, 2,]", "a in [1,2]"),
        ("\n a\t==\u00a01 ", "a == 1"),
        ("width>-5", "width > -5"),
        ("EXISTS(a)", "exists( a )"),
    ],
)
def test_spellings_of_one_tree(written: str, same: str):
    assert parse_filter(written).root == parse_filter(same).root


TRUE = """
label == "cat"
label != "dog"
label in ["dog", "cat"]
label contains "at"
label contains ""
label > "bat" and label < "cau"
not label == "dog"
label == "dog" or label == "cat"
label == "dog" or not (label == "dog" and width > 0)
year == 2020
year == "2020"
year contains 20
year >= "2019"
rank == 1
rank == 1.0
rank == "1"
rank in ["0", 1.0]
whole == 2
whole == "2"
score < 0.6 and score > 0.4
good == true
good == "true"
good != false
width == 1024 and width == "1024" and height <= 768 and size > 1e5
latitude < -33 and latitude >= -33.5
format == "jpeg"
format in ["jpeg", "png"]
camera contains "Canon"
camera > "Can" and camera < "Canp"
id == "pets/cat 1.jpg"
uri contains "pets/"
tags == "pet"
tags == 3
tags == true
tags contains "Big"
tags in ["x", "pet"]
date == 2024-05-01
date <= 2024-05-01
date >= 2024-05-01
date < 2024-05-02
date > 2024-04-30
date in [2024-04-01, 2024-05-01]
date > 2024-05-01T23:59:59
date < 2024-05-02T00:00
taken == 2024-05-01
taken == 2024-05-01T10:30
taken > 2024-05-01T10:29 and taken < 2024-05-01T10:31
day == 2024-05-01
day == "2024-05-01"
day <= 2024-05-01 and not day > 2024-05-01 and not day < 2024-05-01
exists(label) and exists(empty) and exists(nothing) and exists(width) and exists(camera)
not exists(none) and not exists(nan) and not exists(inf) and not exists(other)
not exists(longitude)
none != "x"
other != "x"
not other == "x"
not other > 1
nan != 1
empty == ""
huge == 9007199254740993
huge != 9007199254740992
`my column` == "x"
größe == 7
हिन्दी == "नमस्ते"
a.b == 1
cafe == "caf\u00e9"
cafe contains "\u00e9"
caf\u00e9 != 1
"""

FALSE = """
label == "Cat"
label contains "AT"
label > 1
label < 1
label == 2024-05-01
label in []
year > 2019
year < 2021
rank > "0"
rank contains 1
rank >= 2024-05-01
good == 1
good > 0
tags == "big"
tags contains "pe"
tags > 2
nothing == ""
nothing contains ""
date == 2024-05-02
date > 2024-05-01
date < 2024-05-01
date >= 2024-05-02
date == 2024-05-01T23:59:59
taken == 2024-05-01T08:30
compact == 2024-05-01
wrong-day > 2000-01-01
none == ""
none < 1 or none >= 1 or none contains "" or none in ["", 0, false]
other == "" or other < 1 or other >= 1 or other contains "x" or other in [1]
nan < 1 or nan > 1 or nan == 1
inf > 1
longitude > -180 or longitude <= 180
exists(other) or exists(none)
label == "dog" or width < 10
label == "cat" and width < 10
not (label == "cat" or width < 10)
"""


@pytest.mark.parametrize("expression", [line for line in TRUE.splitlines() if line])
def test_true_of_the_record(expression: str):
    assert parse_filter(expression).matches(RECORD)


@pytest.mark.parametrize("expression", [line for line in FALSE.splitlines() if line])
def test_false_of_the_record(expression: str):
    assert not parse_filter(expression).matches(RECORD)


def test_uri_is_compared_as_the_user_sees_it():
    expression = 'uri == "/photos/pets/cat 1.jpg"'
    plain = parse_filter(expression)
    assert not plain.matches(RECORD)
    assert replace(plain, locate=lambda uri: f"/photos/{uri}").matches(RECORD)


def test_own_fields_come_before_metadata():
    record = replace(RECORD, metadata={"width": 5, "sha256": "x"})
    assert field_value(record, "width") == 1024
    assert field_value(record, "sha256") == "x"
    assert field_value(record, "other") is None


@pytest.mark.parametrize(
    ("expression", "column", "problem"),
    [
        ("", 1, "empty"),
        ("   ", 1, "empty"),
        ("width >=", 9, "expected a value after >="),
        ("width >= ", 9, "expected a value after >="),
        ("width = 5", 7, "use == instead of ="),
        ("width === 5", 7, "use == instead of ==="),
        ("width => 5", 7, "use >= instead of =>"),
        ("width ≥ 5", 7, "use >= instead of ≥"),
        ("a == 1 && b == 2", 8, "use and instead of &&"),
        ("a == 1 || b == 2", 8, "use or instead of ||"),
        ("!a == 1", 1, "use not instead of !"),
        ("label == cat", 10, 'put text in quotes: "cat"'),
        ("label == “cat”", 10, "straight quotes"),
        ("label == null", 10, "exists(label)"),
        ('label == "cat', 10, 'not closed, add "'),
        ("`label == 1", 1, "name is not closed"),
        ("`` == 1", 1, "a name between"),
        (r'uri contains "C:\photos"', 17, r"write \\ for a backslash"),
        (r'label == "\ud800"', 10, "not valid Unicode"),
        ("label == '\ud800'", 10, "not valid Unicode"),
        ("\ud800 == 1", 1, "not valid Unicode"),
        ("label", 6, "exists(label)"),
        ("label and width > 3", 7, "expected ==, !="),
        ('label "cat"', 7, "expected ==, !="),
        ('label like "cat"', 7, "expected ==, !="),
        ("5 < width", 1, "the field comes first"),
        ('"cat" in tags', 1, "the field comes first"),
        ("and == 1", 1, "written `and`"),
        ("width > 5 height > 5", 11, "expected and, or, or the end, found height"),
        ("(width > 5", 11, "expected and, or, or ) for the ( in column 1"),
        ("width > 5)", 10, "no ("),
        ("()", 2, "expected a condition"),
        ("width > 5 and", 14, "expected a condition"),
        ("not", 4, "expected a condition"),
        ("exists label", 8, "exists(field)"),
        ("exists()", 8, "expected a field name"),
        ('exists("label")', 8, "expected a field name"),
        ("exists(label", 13, "expected )"),
        ('format in ("gif")', 11, "expected a list after in"),
        ('format == ["gif"]', 11, "format in [...]"),
        ('format in ["gif" "png"]', 18, "expected , or ]"),
        ('format in ["gif"', 17, "expected , or ]"),
        ("label in [1, cat]", 14, "put text in quotes"),
        ("label in [,]", 11, "expected a value"),
        ("date > 2024-13-01", 8, "no date 2024-13-01"),
        ("date > 2024-02-30T10:30", 8, "no date"),
        ("date > 2024-05", 8, "written 2024-05-01"),
        ("date > 2024/05/01", 8, "written 2024-05-01"),
        ("date > 01.05.2024", 8, "written 2024-05-01"),
        ("date > 2024-05-01T10:30Z", 8, "without a time zone"),
        ('date > "2024-05-01"', 8, "without quotes"),
        ("date == 2024", 9, "'date' is compared with a date"),
        ("date contains 2024-05-01", 15, "'date' is compared with a date"),
        ('size > "big"', 8, "'size' is compared with a number"),
        ('size > "1"', 8, "'size' is compared with a number"),
        ('width == "wide"', 10, "'width' is compared with a number"),
        ("width == true", 10, "'width' is compared with a number"),
        ("width contains 8", 16, "'width' is compared with a number"),
        ("size > 10MB", 8, "10MB is neither a number nor a date"),
        ("3d == 1", 1, "back-quotes"),
        ("id > 5", 6, "put the value in quotes"),
        ("good > true", 8, "true and false"),
        ('format == "JPG"', 11, '"jpeg"'),
        ('format in ["gif", "PNG"]', 19, '"png"'),
        ("a == 1e999", 6, "too large"),
        ("a == " + "9" * 5000, 6, "too large"),
        ("a == 1 # b", 8, "no meaning"),
        ("a == $b", 6, "no meaning"),
        ("(" * 5000, 51, "nested too deep, the limit is 50"),
        ("not " * 2000 + "a == 1", 201, "nested too deep"),
        ("x" * 10_001, 1, "10,001 characters, the limit is 10,000"),
    ],
)
def test_a_mistake_is_explained_at_its_column(expression: str, column: int, problem: str):
    with pytest.raises(FilterError) as caught:
        parse_filter(expression)
    assert problem in caught.value.problem
    assert caught.value.column == column
    assert isinstance(caught.value, UsageError)


def test_as_much_as_the_limits_allow_parses():
    assert parse_filter("(" * 50 + "rank == 1" + ")" * 50).matches(RECORD)
    assert parse_filter(" and ".join(["not (rank == 2)"] * 60)).matches(RECORD)
    many = " or ".join(f"rank == {n}" for n in range(600))
    assert len(many) < 10_000
    assert parse_filter(many).matches(RECORD)


def test_as_number():
    noon = datetime(1970, 1, 2, 12)
    assert as_number(3) == 3.0
    assert as_number(-0.5) == -0.5
    assert as_number(noon) == as_number("1970-01-02T12:00") == 129_600.0
    assert as_number("1970-01-02 12:00:00.5") == 129_600.5
    assert as_number("1970-01-02T12:00:00-07:00") == 129_600.0
    assert as_number(date(1970, 1, 2)) == as_number("1970-01-02") == 86_400.0
    nothing = (True, None, math.nan, -math.inf, 10**400, "3", "20240501", "2024-02-30", ["1"], "")
    assert [as_number(value) for value in nothing] == [None] * len(nothing)


def test_canonical():
    assert [canonical(value) for value in (1, 1.0, "1", -0.0, 0.1)] == ["1", "1", "1", "0", "0.1"]
    assert [canonical(value) for value in (True, False, "True")] == ["true", "false", "True"]
    assert canonical(1e22) == canonical(10**22)
    assert canonical("e\u0301") == "\u00e9"
    assert canonical(date(2024, 5, 1)) == "2024-05-01"


FIELDS = st.sampled_from(["label", "a.b", "my column", "`", "größe", "not", "x-1"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
ORDERED = WORDS | NUMBERS | TIMES | st.dates()
LITERALS = ORDERED | st.booleans()
LEAVES = (
    st.builds(Compare, FIELDS, st.sampled_from(["==", "!="]), LITERALS)
    | st.builds(Compare, FIELDS, st.sampled_from(["<", "<=", ">", ">="]), ORDERED)
    | st.builds(OneOf, FIELDS, st.lists(LITERALS, max_size=3).map(tuple))
    | st.builds(Contains, FIELDS, LITERALS)
    | st.builds(Exists, FIELDS)
)
TREES = st.recursive(
    LEAVES,
    lambda parts: (
        st.builds(Not, parts)
        | st.builds(And, st.lists(parts, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(parts, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def written(node: Node) -> str:
    """An expression whose tree is `node`: everything in brackets."""
    match node:
        case And(parts) | Or(parts):
            word = " and " if isinstance(node, And) else " or "
            return word.join(f"({written(part)})" for part in parts)
        case Not(part):
            return f"not ({written(part)})"
        case Exists(field):
            return f"exists({name(field)})"
        case Compare(field, op, value):
            return f"{name(field)} {op} {literal(value)}"
        case Contains(field, value):
            return f"{name(field)} contains {literal(value)}"
        case OneOf(field, values):
            return f"{name(field)} in [{', '.join(map(literal, values))}]"


def name(field: str) -> str:
    return "`" + field.replace("`", "``") + "`"


def literal(value: LiteralValue) -> str:
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)


@given(TREES)
def test_what_is_written_is_read_back(tree: Node):
    assert parse_filter(written(tree)).root == tree


@given(st.text(st.sampled_from("aé 1.-\"'`\\()[],=<>!&#T:\n") | st.characters(), max_size=30))
@example("a" * 20_000)
@example("not " * 60)
def test_any_text_is_read_or_explained(text: str):
    column = 1
    try:
        parse_filter(text).matches(RECORD)
    except FilterError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


@given(LITERALS, LITERALS)
def test_unequal_is_exactly_not_equal(value: LiteralValue, other: LiteralValue):
    if type(value) is date:
        value = value.isoformat()
    if isinstance(value, datetime):
        record = replace(RECORD, date=value)
        equal, unequal = (Compare("date", op, other) for op in ("==", "!="))
    else:
        record = replace(RECORD, metadata={"x": value})
        equal, unequal = (Compare("x", op, other) for op in ("==", "!="))
    plain = parse_filter("a == 1")
    assert replace(plain, root=equal).matches(record) is not replace(plain, root=unequal).matches(
        record
    )


@given(TIMES, st.dates(date(1, 1, 2), date(9999, 12, 30)))
def test_a_day_is_all_of_its_moments(moment: datetime, day: date):
    record = replace(RECORD, date=moment)
    for expression, true in (
        (f"date < {day}", moment.date() < day),
        (f"date <= {day}", moment.date() <= day),
        (f"date == {day}", moment.date() == day),
        (f"date >= {day}", moment.date() >= day),
        (f"date > {day}", moment.date() > day),
        (f"date < {day + timedelta(days=1)}", moment.date() <= day),
    ):
        assert parse_filter(expression).matches(record) is true
