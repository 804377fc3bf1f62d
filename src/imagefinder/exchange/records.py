"""Image records as columns of a file, and columns as image records."""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from imagefinder.errors import TransferError
from imagefinder.exchange.columns import Roles, is_nameless
from imagefinder.exchange.contents import Columns
from imagefinder.types import MAX_ID_BYTES, ImageRecord, MetadataValue, Scalar

FACTS = ("sha256", "width", "height", "format", "size", "mtime", "date", "camera", "latitude",
         "longitude")  # fmt: skip
OWN_COLUMNS = ("id", "uri", *FACTS)
MODEL_COLUMN = "embedding_model"
_TAKEN = {*OWN_COLUMNS, MODEL_COLUMN, "embedding", "metadata"}
_PREFIX = "metadata."  # before a metadata column whose name would be taken for another


T = TypeVar("T")


def facts_of(record: ImageRecord) -> dict[str, str | int | float | datetime | None]:
    """The record's own fields, OWN_COLUMNS in this order."""
    return {name: getattr(record, name) for name in OWN_COLUMNS}


def metadata_of(record: ImageRecord) -> dict[str, MetadataValue]:
    """The record's metadata under names that clash with no other column, without missing values."""
    metadata: dict[str, MetadataValue] = {}
    for name, value in record.metadata.items():
        known = plain(value)
        if known is not None:
            taken = name in _TAKEN or name.startswith(_PREFIX) or is_nameless(name)
            metadata[_PREFIX + name if taken else name] = known
    return metadata


def to_json(record: ImageRecord) -> str:
    """One line with everything, for formats that have no columns of their own."""
    columns = {name: value for name, value in facts_of(record).items() if value is not None}
    return json.dumps(columns | metadata_of(record), ensure_ascii=False, default=_iso)


def _iso(value: object) -> str:
    assert isinstance(value, date)
    return value.isoformat()


def record_of(columns: Columns, roles: Roles) -> ImageRecord:
    """The record in a row. What is not known of the image is 0 or empty. A column that has the
    name of a fact but not its form (`size`: "large") is metadata like every other."""
    rest = {name: value for name, value in columns.items() if not is_nameless(name)}

    def take(name: str, convert: Callable[[object], T | None]) -> T | None:
        known = convert(rest.get(name))
        if known is not None or rest.get(name) == "":
            del rest[name]
        return known

    id = _id(columns.get(roles.id))
    uri = _text(columns.get(roles.uri)) if roles.uri else None
    rest.pop(roles.id, None)
    rest.pop(roles.uri or "", None)
    rest.pop(MODEL_COLUMN, None)
    return ImageRecord(
        id=id,
        uri=uri or "",
        sha256=take("sha256", _sha256) or "",
        width=take("width", _count) or 0,
        height=take("height", _count) or 0,
        format=take("format", _text) or "",
        size=take("size", _count) or 0,
        mtime=take("mtime", _number),
        date=take("date", _date),
        camera=take("camera", _text),
        latitude=take("latitude", _number),
        longitude=take("longitude", _number),
        metadata=_metadata(rest),
    )


def _metadata(columns: Columns) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for name, value in columns.items():
        inner = _object(value) if name == "metadata" else None
        if inner is not None:
            metadata |= _metadata(inner)
            continue
        known = plain(value)
        if known is not None:
            metadata[name.removeprefix(_PREFIX)] = known
    return metadata


def _object(value: object) -> Mapping[str, object] | None:
    """A JSON object, in text or read already."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def plain(value: object) -> MetadataValue:
    """A value as metadata can hold it: numpy's and Arrow's scalars as Python's, dates as ISO text,
    what is nested as JSON text. None for None, NaN and the infinite."""
    if hasattr(value, "tolist"):  # a scalar or an array of numpy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [part for part in map(_scalar, value) if part is not None]
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str)


def _scalar(value: object) -> Scalar | None:
    known = plain(value)
    if known is None or isinstance(known, str | int | float | bool):
        return known
    return json.dumps(known, ensure_ascii=False)


def _id(value: object) -> str:
    """Text or a whole number, as text."""
    id = plain(value)
    if isinstance(id, float) and id.is_integer():  # pandas makes floats of integers with gaps
        id = int(id)
    if id is None or id == "":
        raise TransferError("the id is missing")
    if isinstance(id, bool) or not isinstance(id, str | int):
        raise TransferError(f"the id {id!r} is neither text nor a whole number")
    text = str(id)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_ID_BYTES:
        raise TransferError(f"the id has {size:,} bytes, the limit is {MAX_ID_BYTES:,}")
    return text


def _text(value: object) -> str | None:
    known = plain(value)
    return known if isinstance(known, str) and known else None


def _sha256(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else None


def _number(value: object) -> float | None:
    """A finite number, in text too: CSV has nothing else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    known = plain(value)
    if isinstance(known, bool) or not isinstance(known, int | float):
        return None
    return float(known)


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and number >= 0 else None


def _date(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.replace(tzinfo=None) if isinstance(value, datetime) else None
