"""What a person asked for, from the values that their browser sent. None of them is trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagefinder.errors import UsageError

NOT_HERE = "The image is not here any more; give it again"


@dataclass(frozen=True, slots=True)
class Question:
    """The query's bytes, as they were uploaded, and the options."""

    image: bytes
    k: int
    ignore_duplicate: bool


def question_of(
    image: object, k: object, ignore_duplicate: object, *, most: int, uploads: Path
) -> Question:
    """`image` is Gradio's word for a file in the folder of uploads. Raises UsageError."""
    if isinstance(k, bool) or not isinstance(k, int | float) or not 1 <= k <= most:
        raise UsageError(f"The number of similar images must be between 1 and {most}")
    path = image.get("path") if isinstance(image, Mapping) else None
    if not isinstance(path, str):
        raise UsageError("Give the image as a file")
    return Question(read_upload(path, uploads), int(k), bool(ignore_duplicate))


def read_upload(path: str, uploads: Path) -> bytes:
    """Raises UsageError for a file elsewhere, too, as if there were none."""
    if not is_upload(path, uploads):
        raise UsageError(NOT_HERE)
    try:
        return Path(path).read_bytes()
    except OSError:
        raise UsageError(NOT_HERE) from None


def is_upload(path: str, uploads: Path) -> bool:
    """Whether it is in the folder, links and dots followed. An address on the web never is."""
    try:
        return Path(path).resolve().is_relative_to(uploads.resolve())
    except (OSError, ValueError):  # a loop of links, a zero byte
        return False
