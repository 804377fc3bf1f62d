"""What a service knows under some ids."""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from imagefinder.arrays import Embedding
from imagefinder.client import wire
from imagefinder.client.connection import Connection
from imagefinder.client.paths import can_be_id
from imagefinder.client.patience import USUAL, Patience
from imagefinder.types import ImageRecord

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
