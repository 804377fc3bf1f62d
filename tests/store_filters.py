"""Records with every kind of value, and of gap, and filters that ask for them."""

import json
from datetime import datetime

from imagefinder.types import ImageRecord

ODD_TEXTS = [
    '"', "'", "\\", "\\'", "a'b\\", "%", "100%", "line\nbreak", "a=b", "😀", "", " ", "null",
    "x' or width >= 0 or 'x", "tokens", "é", "e\u0301", "y" * 5000,
]  # fmt: skip


def _record(id: str, **values: object) -> ImageRecord:
    own = {"uri": f"photos/{id}.jpg", "sha256": "0" * 64, "width": 640, "height": 480}
    own |= {"format": "jpeg", "size": 1000, **values}
    return ImageRecord(id, **own)  # type: ignore[arg-type]


RECORDS = [
    _record("plain"),
    _record("cat", width=800, format="png", metadata={"label": "cat", "price": 5, "ok": True}),
    _record("dog", width=801, camera="Canon", metadata={"label": "dog", "price": 5.0, "ok": False}),
    _record("cats", metadata={"label": ["cat", "kitten"], "price": "5"}),
    _record("numbers", metadata={"label": [1, 2.5, True], "price": [5, 6]}),
    _record("empty", metadata={"label": [], "price": None, "ok": None}),
    _record("small", width=1, height=1, size=0, metadata={"price": -0.0}),
    _record("negative", metadata={"price": -17.25, "label": "-5"}),
    _record("tiny", metadata={"price": 5e-324}),
    _record("huge", width=2**53, size=2**53 + 1, metadata={"price": 1e308}),
    _record("integers", size=2**53, metadata={"price": 10**400, "big": 2**53 + 1}),
    _record("near", metadata={"price": 5.0000000001, "big": 2**53}),
    _record("nan", metadata={"price": float("nan"), "label": float("inf")}),
    _record("dated", date=datetime(2024, 5, 1), metadata={"taken": "2024-05-01"}),
    _record("noon", date=datetime(2024, 5, 1, 12, 30), metadata={"taken": "2024-05-01T12:30:00"}),
    _record(
        "late",
        date=datetime(2024, 5, 1, 23, 59, 59, 999_999),
        metadata={"taken": "2024-05-01T23:59:59.999999"},
    ),
    _record("next", date=datetime(2024, 5, 2), metadata={"taken": "2024-05-02T00:00:00Z"}),
    _record("old", date=datetime(1901, 1, 1), metadata={"taken": ["2024-05-01", "x"]}),
    _record("seconds", metadata={"taken": 1714521600}),
    _record("no date", metadata={"taken": "2024-13-01"}),
    _record("south", latitude=-33.5, longitude=151.2),
    _record("north", latitude=59.0, longitude=-0.0),
    _record("shadow", metadata={"width": 5, "format": "gif", "uri": "x", "id": "y"}),
    _record("fields", metadata={"a=b": "c", "a": "b=c", "ü": 1, "with space": 2, "'": 3}),
    _record("2024-05-01", metadata={"taken": "yesterday", "label": "2024-05-01T00:00:00"}),
    *(_record(f"odd{n}", metadata={"text": text, "n": n}) for n, text in enumerate(ODD_TEXTS)),
]

FILTERS = [
    # equality, and that of numbers, texts and truth
    'label == "cat"', 'label != "cat"', 'not label == "cat"', 'label == "kitten"', "label == 1",
    'label == "1"', "label == 2.5", "label == true", "price == 5", "price != 5", 'price == "5"',
    "price == 5.0", "price == 0", "price == -17.25", "price == 1e308", "ok == true", "ok != true",
    'ok == "false"', "big == 9007199254740993", "big != 9007199254740992", "width == 800",
    'width == "800"', "width != 800", "size == 9007199254740993", "size != 9007199254740992",
    'format == "png"', 'format != "png"', 'camera == "Canon"', 'camera != "Canon"',
    # order
    "price < 5", "price <= 5", "price > 5", "price >= 5", "not price < 5", "not price >= 5",
    "price < 0", "price >= 0", "price > 0", "price <= -17.25", "price < -17.25", "price > 1e307",
    "price >= 5 and price < 5.0000000001", "not (price > 4 and price < 6)",
    "width < 801 and width > 640", "width >= 9007199254740992", "not width <= 640", "width > 1e300",
    "size < 1", "size > 9007199254740992", "latitude < 0", "not latitude < 0", "longitude >= 0",
    "latitude > -33.5 or longitude > 151", 'label < "d"', 'not label < "d"', 'price < "6"',
    "big > 9007199254740992", "missing < 5", "not missing < 5",
    # dates
    "date == 2024-05-01", "date != 2024-05-01", "date <= 2024-05-01", "date < 2024-05-01",
    "date > 2024-05-01", "date >= 2024-05-02", "not date > 2024-05-01", "date < 1950-01-01",
    "date == 2024-05-01T12:30", "date != 2024-05-01T12:30", "date > 2024-05-01T12:30",
    "date in [2024-05-01, 2024-05-02]",
    "taken == 2024-05-01", "taken != 2024-05-01", "taken <= 2024-05-01", "not taken <= 2024-05-01",
    "taken > 2024-05-01", "not taken > 2024-05-01", "taken >= 1714521600",
    "not taken >= 1714521600",
    "taken in [2024-05-01, 1714521600]", "not taken in [2024-05-02, 1]",
    "label == 2024-05-01", "id == 2024-05-01",
    # lists, parts, presence
    'label in ["cat", "dog", 1]', 'not label in ["cat", "dog", 1]', 'id in ["cat", "dog", "nope"]',
    'not id in ["cat", "dog"]', 'label contains "cat"', 'not label contains "cat"',
    'label contains "a"', "label contains 2.5", "price contains 5", "not price contains 5",
    "ok contains true", "not ok contains true", "taken contains 2024-05-01",
    "not taken contains 2024-05-01",
    'uri contains "cat"', 'not uri contains "cat"',
    "exists(label)", "not exists(label)", "exists(price)", "exists(ok)", "exists(date)",
    "not exists(date)", "exists(camera)", "not exists(latitude)", "exists(width)", "exists(id)",
    "not exists(uri)", "exists(missing)", "not exists(missing)", "exists(taken)",
    # ids, uris, own fields before metadata, odd names
    'id == "cat"', 'id != "cat"', 'id < "d"', 'uri == "photos/cat.jpg"', 'uri > "photos/d"',
    'format == "gif"', "width == 5", "`a=b` == \"c\"", 'a == "b=c"', 'a == "c"', "ü == 1",
    "`with space` >= 2", "`'` == 3", "not `a=b` == \"c\"", 'id contains "odd"',
    'not id contains "o"',
    # joined
    'label == "cat" and width >= 800 and not format in ["gif", "jpeg"]',
    'not (label == "cat" or exists(date)) and not (price > 3 or uri contains "o")',
    'not (label == "cat" and price == 5)', 'uri contains "o" or label == "cat"',
    'not (uri contains "o" and label == "cat")', "n >= 3 and n < 7", "n > 7 and n < 3",
    "n > 2 and n >= 3 and n <= 9 and width > 1", 'n > "3" and n < 7',
    "not (n < 3 and n > 1)", "date >= 2024-05-01 and date < 2024-05-02",
    "taken >= 2024-05-01 and taken < 5", "n in [1, 2, 99] or n > 12",
    "not (n > 3) and exists(n)", "not not not n == 4",
    " or ".join(f"n == {n}" for n in range(200)), f"n in [{', '.join(map(str, range(3, 300)))}]",
    f"not n in [{', '.join(map(str, range(3, 300)))}]",
    " or ".join(f"n > {n} and n < {n}.5" for n in range(300)),
    *(f"text == {text}" for text in map(json.dumps, ODD_TEXTS)),
    *(f"text != {text}" for text in map(json.dumps, ODD_TEXTS[:4])),
    *(f"text contains {text}" for text in map(json.dumps, ODD_TEXTS[:9])),
]  # fmt: skip
