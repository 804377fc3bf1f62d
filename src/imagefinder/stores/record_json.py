"""An image record as one line of JSON, the form in which every store keeps it."""

import json
import math
from dataclasses import fields
from datetime import datetime

from imagefinder.errors import CollectionDamagedError
from imagefinder.types import ImageRecord, MetadataValue

__all__ = ["from_json", "to_json"]

_NAMES = tuple(field.name for field in fields(ImageRecord) if field.name != "metadata")


def to_json(record: ImageRecord) -> str:
    """ASCII, so that no text is beyond a store. What is missing is left out, and numbers that are
    not finite count as missing. Sequences come back as lists."""
    values: dict[str, object] = {}
    for name in _NAMES:
        value = getattr(record, name)
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        values[name] = value.isoformat() if isinstance(value, datetime) else value
    if record.metadata:
        values["metadata"] = {key: _finite(value) for key, value in record.metadata.items()}
    return json.dumps(values, separators=(",", ":"), allow_nan=False)


def from_json(text: str) -> ImageRecord:
    """Raises CollectionDamagedError for what `to_json` did not write."""
    try:
        values = json.loads(text)
        if "date" in values:
            values["date"] = datetime.fromisoformat(values["date"])
        return ImageRecord(**values)
    except (ValueError, TypeError) as error:
        raise CollectionDamagedError(
            f"a stored record cannot be read ({error}); restore a backup, or index again"
        ) from error


def _finite(value: MetadataValue) -> MetadataValue:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return [each for each in value if not isinstance(each, float) or math.isfinite(each)]
