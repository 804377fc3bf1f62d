"""Which column of a table holds what."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from imagefinder.errors import SourceError

# As compared: lower case, letters and digits only. The first that a table has is taken.
LOCATIONS = (
    *("location", "url", "imageurl", "imgurl", "uri", "imageuri", "imguri", "photourl"),
    *("pictureurl", "cocourl", "contenturl", "path", "imagepath", "imgpath", "filepath"),
    *("photopath", "file", "imagefile", "imgfile", "filename", "imagefilename", "imagename"),
    *("image", "img", "photo", "picture", "src", "link", "href"),
)
IDS = (
    *("id", "imageid", "imgid", "photoid", "pictureid", "itemid"),
    *("key", "uid", "uuid", "guid", "name"),
)
SHOWN = 20  # columns in a message


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns that a user names; None leaves it to their usual names."""

    id: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table. `id` is None where it has none."""

    id: str | None
    location: str


@lru_cache(maxsize=256)  # asked for every row, and most tables have one set of columns
def find_columns(names: tuple[str, ...], wanted: TableColumns, table: str) -> Columns:
    """Raises SourceError, with the columns that there are, when one is missing."""
    location = _named(names, wanted.location, "--location-column", table)
    if location is None:
        location = _usual(names, LOCATIONS)
    if location is None:
        raise SourceError(
            f"{table}: no column of paths or URLs among {_listed(names)}; "
            "say which with --location-column, and --id-column for the ids"
        )
    id = _named(names, wanted.id, "--id-column", table)
    if id is None:
        id = _usual([name for name in names if name != location], IDS)
    return Columns(id, location)


def _named(names: Sequence[str], wanted: str | None, option: str, table: str) -> str | None:
    if wanted is None:
        return None
    for name in names:
        if plain_name(name) == plain_name(wanted):
            return name
    raise SourceError(f"{table}: no column {wanted} ({option}); it has {_listed(names)}")


def _usual(names: Sequence[str], usual: Sequence[str]) -> str | None:
    found = {plain_name(name): name for name in reversed(names)}
    return next((found[name] for name in usual if name in found), None)


def plain_name(name: str) -> str:
    """`Image_URL`, `imageUrl` and `image url` are one name."""
    return "".join(filter(str.isalnum, name)).lower()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown}, ..." if len(names) > SHOWN else shown or "none"
