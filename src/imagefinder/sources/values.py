"""What metadata may hold, made of what JSON and Parquet hold."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal

from imagefinder.types import MetadataValue, Scalar


def values_of(value: Mapping[str, object]) -> Iterator[tuple[str, MetadataValue]]:
    """The entries that are a scalar or a list of scalars; None for what no filter could use."""
    for key, inner in value.items():
        if not isinstance(inner, Mapping):
            yield key if key.isascii() else whole(key), _value(inner)


def flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, MetadataValue]]:
    """The same with nested objects as `outer.inner`."""
    for key, inner in value.items():
        name = prefix + (key if key.isascii() else whole(key))
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{name}.")
        else:
            yield name, _value(inner)


def whole(text: str) -> str:
    """Without the halves of letters that JSON can write (`\\ud800`) and nothing can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _value(value: object) -> MetadataValue:
    if not isinstance(value, list | tuple):
        return _scalar(value)
    scalars = [scalar for scalar in map(_scalar, value) if scalar is not None]
    return scalars if scalars and len(scalars) == len(value) else None


def _scalar(value: object) -> Scalar | None:
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value - value != 0:  # infinite or not a number
        return None
    if isinstance(value, str):
        return value if value.isascii() else whole(value)
    if isinstance(value, bool | int | float):
        return value
    return value.isoformat() if isinstance(value, datetime | date) else None
