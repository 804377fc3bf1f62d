"""From the library's values to those of the wire."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from urllib.parse import quote

from fastapi import Request, Response
from pydantic import BaseModel

from imagefinder.arrays import Embedding
from imagefinder.errors import ImageNotFoundError
from imagefinder.filters import parse_filter
from imagefinder.finder import ImageFinder
from imagefinder.serve.wire import WireHit, WireRecord, plain
from imagefinder.types import Hit, ImageRecord


def wire_hit(request: Request, hit: Hit) -> WireHit:
    """A hit with a link to its thumbnail."""
    return WireHit(
        id=hit.id,
        score=hit.score,
        uri=hit.uri,
        metadata=plain(hit.metadata),
        confidence=hit.confidence,
        thumbnail=image_path(request, hit.id, "thumbnail"),
    )


def wire_record(
    request: Request, record: ImageRecord, embedding: Embedding | None = None
) -> WireRecord:
    """A record with a link to its thumbnail."""
    facts = {field.name: getattr(record, field.name) for field in fields(record)}
    facts["metadata"] = plain(record.metadata)
    if embedding is not None:
        facts["embedding"] = embedding.tolist()
    return WireRecord(**facts, thumbnail=image_path(request, record.id, "thumbnail"))


def json_of(answer: BaseModel) -> Response:
    """The answer as it goes out, made where the work is done: a thousand hits would keep the event
    loop from everything else."""
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


def image_path(request: Request, id: str, what: str = "") -> str:
    """Where something of an image is, also behind a proxy that serves below a prefix."""
    prefix = request.scope.get("root_path", "").rstrip("/")
    return f"{prefix}/v1/images/{quote(id)}" + (f"/{what}" if what else "")


def existing(finder: ImageFinder, ids: Iterable[str], filter: str = "") -> Iterator[ImageRecord]:
    """The records of those ids that exist."""
    wanted = parse_filter(filter) if filter else None
    for id in ids:
        try:
            record = finder.get(id)
        except ImageNotFoundError:
            continue
        if wanted is None or wanted.matches(record):
            yield record
