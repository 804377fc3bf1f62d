"""Metadata that comes over the wire."""

from pydantic import ConfigDict, TypeAdapter, ValidationError

from imagefinder.errors import UsageError
from imagefinder.types import Metadata, MetadataValue

MAX_METADATA = 65_536  # bytes of JSON, of one image

# JSON knows no NaN and no infinity, though some programs write them.
METADATA = TypeAdapter(dict[str, MetadataValue], config=ConfigDict(allow_inf_nan=False))


def metadata_of(text: str) -> Metadata:
    """A JSON object of text, numbers, true, false, null and lists of these. Raises UsageError."""
    check_size(text)
    try:
        return METADATA.validate_json(text or "{}")
    except ValidationError:
        raise UsageError(
            "metadata: must be a JSON object whose values are text, numbers, true, false, null,"
            " or lists of these"
        ) from None


def check_size(text: str) -> None:
    """Raises UsageError."""
    if len(text.encode()) > MAX_METADATA:
        raise UsageError(f"metadata: longer than {MAX_METADATA} bytes")
