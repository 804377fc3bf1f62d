"""Metadata that comes over the wire."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from imagefinder.errors import UsageError
from imagefinder.types import Metadata, MetadataValue, is_text

MAX_METADATA = 65_536  # bytes of JSON, of one image
# JSON knows no NaN and no infinity, though some programs write them.
FINITE = ConfigDict(allow_inf_nan=False)


def in_words(value: object, check: ValidatorFunctionWrapHandler) -> MetadataValue:
    """One sentence for a value that is nothing of what it may be, instead of one for each."""
    try:
        checked: MetadataValue = check(value)
    except ValidationError:
        raise ValueError("must be text, a number, true, false, null, or a list of these") from None
    for part in checked if isinstance(checked, (list, tuple)) else [checked]:
        if isinstance(part, str):
            whole(part)
    return checked


def whole(text: str) -> str:
    """JSON can hold half a letter, which nothing can store."""
    if not is_text(text):
        raise ValueError("must be valid text")
    return text


NewMetadata = dict[
    Annotated[str, AfterValidator(whole)], Annotated[MetadataValue, WrapValidator(in_words)]
]

_METADATA = TypeAdapter(NewMetadata, config=FINITE)


def metadata_of(text: str) -> Metadata:
    """A JSON object. Raises UsageError."""
    check_size(text)
    try:
        return _METADATA.validate_json(text or "{}")
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, ("metadata", *fault["loc"])))
        message = fault["msg"].removeprefix("Value error, ")
        raise UsageError(f"{where}: {message}; give a JSON object") from None


def check_size(text: str) -> None:
    """Raises UsageError."""
    if len(text.encode()) > MAX_METADATA:
        raise UsageError(f"metadata: longer than {MAX_METADATA} bytes")
