"""Which column of a file holds what: ours by their names, those of others by the usual names."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from imagefinder.errors import TransferError

# In order of preference; the first that a file has is taken. The last ones are what pandas makes
# of an index without a name.
ID_NAMES = (
    "id", "image_id", "imageid", "img_id", "key", "name", "image_name", "file", "filename",
    "file_name", "filepath", "file_path", "image_path", "image", "path", "uri", "url", "image_url",
    "ids", "image_ids", "img_ids", "keys", "names", "files", "filenames", "image_paths", "paths",
    "uris", "urls", "__index_level_0__", "index", "unnamed: 0", "",
)  # fmt: skip
URI_NAMES = (
    "uri", "url", "image_url", "path", "image_path", "filepath", "file_path", "file", "filename",
    "file_name", "image", "uris", "urls", "paths", "image_paths", "files", "filenames",
)  # fmt: skip
EMBEDDING_NAMES = (
    "embedding", "embeddings", "features", "feature", "vector", "vectors", "emb", "feats",
)  # fmt: skip
_NO_NAMES = {"", "unnamed: 0", "__index_level_0__"}

# A column for each number: 0, f0, dim_0, feature-12; the prefix is the same in all.
_NUMBERED = re.compile(r"(|d|dim|e|emb|embedding|f|feat|feature|v|vec|vector|x)[_\-. ]?(\d{1,5})")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that are no metadata. `uri` may be the same as `id`; None where there is none."""

    id: str
    uri: str | None


def find_roles(names: Sequence[str]) -> Roles:
    id = first_of(ID_NAMES, names)
    if id is None:
        raise TransferError(
            f"no column of ids among {listed(names)}; call one of them id, or give a file of ids"
        )
    return Roles(id, first_of(URI_NAMES, names))


def find_embedding(names: Sequence[str]) -> str | None:
    return first_of(EMBEDDING_NAMES, names)


def find_dimensions(names: Sequence[str]) -> list[str]:
    """The columns that hold one number of the embedding each, in order; empty if there are none."""
    series: dict[str, dict[int, str]] = {}
    for name in names:
        numbered = _NUMBERED.fullmatch(name.strip().lower())
        if numbered:
            series.setdefault(numbered[1], {})[int(numbered[2])] = name
    best: list[str] = []
    for columns in series.values():
        start = min(columns)
        whole = sorted(columns) == list(range(start, start + len(columns))) and start in (0, 1)
        if whole and len(columns) > max(len(best), 1):
            best = [columns[number] for number in sorted(columns)]
    return best


def first_of(wanted: Iterable[str], names: Sequence[str]) -> str | None:
    """The first wanted name that is there, as it is written there; letter case counts last."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    exact = set(names)
    for name in wanted:
        if name in exact:
            return name
        if name in lower:
            return lower[name]
    return None


def is_nameless(name: str) -> bool:
    """Whether a column is what pandas makes of row numbers: no one's metadata."""
    return name.strip().lower() in _NO_NAMES


def listed(names: Sequence[str], limit: int = 12) -> str:
    """The names for a message."""
    shown = ", ".join(name or '""' for name in names[:limit])
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{shown}{more}" if names else "no columns"


def without(columns: Mapping[str, T], names: Iterable[str]) -> dict[str, T]:
    left_out = set(names)
    return {name: value for name, value in columns.items() if name not in left_out}
