"""Ids in addresses."""

import re
from urllib.parse import quote

from imagefinder.types import MAX_ID_BYTES, is_text


def image_path(id: str, what: str = "") -> str:
    """The route of an image. What a proxy might tidy up is written so that it leaves it alone."""
    path = re.sub(r"(?<=/)/|^/", "%2F", quote(id))
    path = re.sub(r"(?<![^/])\.{1,2}(?![^/])", lambda dots: "%2E" * len(dots[0]), path)
    return f"v1/images/{path}{what}"


def can_be_id(id: str) -> bool:
    """Whether any image can have this id, so that it is worth a question."""
    return bool(id) and is_text(id) and len(id.encode()) <= MAX_ID_BYTES
