"""What a service knows of images: under some ids, or all of it."""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from imagefinder.arrays import Embedding
from imagefinder.client import wire
from imagefinder.client.connection import Connection, Params
from imagefinder.client.paths import can_be_id
from imagefinder.client.patience import USUAL, Patience
from imagefinder.errors import FilterError, UsageError
from imagefinder.types import ImageRecord

PAGE = 500  # images asked for at once, where the service takes so many
LOOKUP = 50  # ids asked for at once,
QUERY_BYTES = 6000  # as far as they fit: many proxies take no address above 8 kB


def known(
    connection: Connection,
    ids: Iterable[str],
    *,
    embeddings: bool = False,
    patience: Patience = USUAL,
) -> dict[str, tuple[ImageRecord, Embedding | None]]:
    """The records of those ids that exist, with their embeddings where these are asked for."""
    found = {}
    for portion in portions(id for id in dict.fromkeys(ids) if can_be_id(id)):
        params = [("id", id) for id in portion]
        if embeddings:
            params.append(("embeddings", "true"))
        images, _ = connection.get("v1/images", wire.page, params, patience)
        found.update({record.id: (record, row) for record, row in images if record.id in portion})
    return found


def pages(
    connection: Connection, after: str, params: Params
) -> Iterator[tuple[ImageRecord, Embedding | None]]:
    """Every image after an id, with its embedding where that is asked for."""
    size = [("limit", str(PAGE))]
    next: str | None = after
    while next is not None:
        start = [("after", next)] if next else []
        try:
            page = connection.get("v1/images", wire.page, [*start, *size, *params])
        except FilterError:
            raise
        except UsageError:  # the operator may have set a lower limit
            if not size:
                raise
            size = []
            continue
        yield from page[0]
        next = page[1]


def portions(ids: Iterable[str]) -> Iterator[list[str]]:
    """The ids for one question each."""
    portion: list[str] = []
    size = 0
    for id in ids:
        length = len(quote(id, safe="")) + len("&id=")
        if portion and (len(portion) == LOOKUP or size + length > QUERY_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(id)
        size += length
    if portion:
        yield portion
