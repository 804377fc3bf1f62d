"""The last map on disk, so that a service that starts again has it at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, TypeAdapter

from imagefinder.arrays import Embeddings
from imagefinder.projection import Method
from imagefinder.stores.media import write_whole

VERSION = 1  # of how maps are drawn: another one, and they are drawn anew

Coordinate = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A map: for each id the place of its image. `basis` tells what it was drawn from."""

    basis: str
    method: Method
    ids: tuple[str, ...]
    x: tuple[Coordinate, ...]
    y: tuple[Coordinate, ...]

    def only(self, ids: Collection[str]) -> "Drawing":
        """Without the images that are not among these."""
        kept = [place for place in zip(self.ids, self.x, self.y, strict=True) if place[0] in ids]
        some, x, y = zip(*kept, strict=True) if kept else ((), (), ())
        return Drawing(self.basis, self.method, some, x, y)


FORM = TypeAdapter(Drawing)


def basis_of(ids: Sequence[str], rows: Embeddings, method: Method) -> str:
    """Another one whenever the map would be. By the embeddings, not by the images' bytes: those of
    an imported image may not be known."""
    digest = sha256(f"{VERSION} {method} {rows.shape}\n".encode())
    for id in ids:
        digest.update(id.encode() + b"\0")
    digest.update(rows.tobytes())
    return digest.hexdigest()


def file_of(cache: Path, space: str) -> Path:
    """Where the map of a space is kept."""
    return cache / f"map-{quote(space, safe='')}.json"


def load(file: Path) -> Drawing | None:
    """None also for a file that is damaged, or of another version."""
    try:
        found = FORM.validate_json(file.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
    return found if len(found.ids) == len(found.x) == len(found.y) else None


def save(file: Path, drawing: Drawing) -> None:
    """All of it or nothing. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, FORM.dump_json(drawing))
