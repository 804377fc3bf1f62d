"""File names for ids: safe on every system, and no two ids share one."""

import re
import unicodedata
from hashlib import blake2b

from imagefinder.sources.names import EXTENSIONS, extension, is_hidden, is_image_name

LONGEST_PART, LONGEST_NAME = 150, 600  # bytes; systems allow 255 and 1,024 or more
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # Windows


class FileNames:
    """Remembers which id has which name; 8 bytes each, and Python's overhead."""

    def __init__(self) -> None:
        self._owners: dict[int, int] = {}

    def keep(self, id: str, file: str) -> None:
        """This id has this file already."""
        self._owners[_key(_stem(file))] = hash(id)

    def stem(self, id: str) -> str:
        """The name for the id, without extension: the id itself where that is safe.

        Folders are separated by `/`. An id that has to be changed, or that differs from an earlier
        one by case only, gets a name that its hash makes unique.
        """
        stem = _stem(id)
        safe = _safe(stem)
        owner = hash(id)
        if safe == stem and self._owners.setdefault(_key(safe), owner) == owner:
            return safe
        return marked(safe, id)


def marked(stem: str, id: str) -> str:
    """The name with a mark that no other id has."""
    return f"{stem}~{blake2b(id.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"


def with_extension(stem: str, id: str, format: str) -> str:
    """The file for content of this format; an extension that the id has is kept where it fits."""
    own = id[len(_stem(id)) :]
    return stem + (own if own.lower() in EXTENSIONS[format] else EXTENSIONS[format][0])


def _stem(id: str) -> str:
    return id[: -len(extension(id))] if is_image_name(id) else id


def _safe(stem: str) -> str:
    parts = unicodedata.normalize("NFC", stem).replace("://", "/").split("/")
    *folders, name = [_safe_part(part) for part in parts if part] or ["_"]
    safe = "/".join([*map(_safe_folder, folders), name])
    if len(safe.encode()) > LONGEST_NAME:
        return _cut(name, LONGEST_PART)
    return safe


def _safe_part(part: str) -> str:
    part = _UNSAFE.sub("_", part).rstrip(". ")  # Windows drops dots and blanks at the end
    part = _cut(part, LONGEST_PART)
    if not part or part[0] in " ." or is_hidden(part) or _RESERVED.fullmatch(part):
        return f"_{part.lstrip(' .')}"
    return part


def _safe_folder(part: str) -> str:
    """A folder `a.jpg` would stand in the way of the file of the id `a`."""
    return part.replace(".", "_") if is_image_name(part) else part


def _cut(text: str, length: int) -> str:
    """At most this many bytes, without half a letter at the end."""
    return text.encode()[:length].decode(errors="ignore")


def _key(stem: str) -> int:
    return hash(unicodedata.normalize("NFC", stem).casefold())
