"""/v1/images: the collection's images, and new ones."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Annotated
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import TypeAdapter, ValidationError

from imagefinder.errors import ImageNotFoundError, UsageError
from imagefinder.serve.forms import read_files
from imagefinder.serve.pictures import Pictures
from imagefinder.serve.problems import ERRORS
from imagefinder.serve.records import wire_record
from imagefinder.serve.service import Service
from imagefinder.serve.wire import (
    AddAnswer,
    ImagesAnswer,
    MetadataChange,
    WireRecord,
    WireSkippedUpload,
)
from imagefinder.types import UPLOADS, Metadata, MetadataValue, Upload

MAX_UPLOADS = 256  # of one request
MAX_METADATA = 65_536  # bytes of JSON, of one image

METADATA = TypeAdapter(dict[str, MetadataValue])
PICTURE: dict[int | str, dict[str, object]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has it already (`If-None-Match`)."},
}


def routes(service: Service) -> APIRouter:
    """Listing, showing, adding, changing and removing images."""
    router = APIRouter(prefix="/v1/images", tags=["images"], responses=ERRORS)
    finder, options = service.finder, service.options
    pictures = Pictures(finder, options)

    @router.post("", status_code=201, response_model=AddAnswer)
    async def add(
        request: Request,
        image: Annotated[list[UploadFile], File(description="An encoded image.")] = [],
        url: Annotated[list[str], Form(description="The address of an image.")] = [],
        id: Annotated[
            list[str],
            Form(
                description="An id for each image, then for each url; else it is the file's name."
            ),
        ] = [],
        metadata: Annotated[
            list[str],
            Form(
                description="A JSON object for each image, or one for all.",
                examples=[['{"label": "cat"}']],
            ),
        ] = [],
        source: Annotated[
            str,
            Form(
                max_length=1000,
                description="Who adds: an id's image is replaced only from the source that added"
                " it, and never from the default one.",
            ),
        ] = UPLOADS,
    ) -> AddAnswer:
        """Add images; the collection keeps their bytes. Searches find them once this answers."""
        files = await read_files(image)
        files += [(name_of(address), await service.fetch(address)) for address in url if address]
        uploads = uploads_of(files, id, metadata)
        report = await service.work(request, partial(finder.add, uploads, source=source))
        return AddAnswer(
            added=report.added,
            updated=report.updated,
            unchanged=report.unchanged,
            skipped=[WireSkippedUpload(name=s.uri, reason=s.reason) for s in report.skipped],
        )

    @router.get("", response_model=ImagesAnswer)
    async def images(
        request: Request,
        after: Annotated[str, Query(description="Begin after this id.")] = "",
        limit: Annotated[int, Query(ge=1, le=options.max_results)] = 100,
        filter: Annotated[str | None, Query(description="Only where this holds.")] = None,
        id: Annotated[list[str], Query(description="Only these, as far as they exist.")] = [],
        embeddings: Annotated[bool, Query(description="With the embeddings.")] = False,
    ) -> ImagesAnswer:
        """The images in the order of their ids, a page at a time."""

        def page() -> ImagesAnswer:
            if id:
                known = (
                    finder.get(one) for one in sorted(set(id)) if one > after and one in finder
                )
                records = list(islice(known, limit + 1))
            else:
                found = finder.images(after=after, filter=filter or None)
                records = list(islice(found, limit + 1))
            shown = records[:limit]
            rows = finder.embeddings([record.id for record in shown]) if embeddings else {}
            return ImagesAnswer(
                images=[wire_record(request, record, rows.get(record.id)) for record in shown],
                next=shown[-1].id if len(records) > limit else None,
            )

        return await service.work(request, page)

    @router.get("/{id:path}/thumbnail", responses=PICTURE)
    async def thumbnail(
        request: Request, id: str, size: Annotated[int, Query(ge=16, le=1024)] = 256
    ) -> Response:
        """A small upright picture: AVIF or WebP where `Accept` names it, else JPEG."""
        return await service.work(request, partial(pictures.thumbnail, request, id, size))

    @router.get("/{id:path}/content", responses=PICTURE)
    async def content(request: Request, id: str) -> Response:
        """The image's file as it is, where the operator allows it."""
        return await service.work(request, partial(pictures.content, request, id))

    @router.get("/{id:path}", response_model=WireRecord)
    async def image(request: Request, id: str) -> WireRecord:
        """What is known of one image."""
        return wire_record(request, await service.work(request, partial(finder.get, id)))

    @router.patch("/{id:path}", response_model=WireRecord)
    async def change(request: Request, id: str, body: MetadataChange) -> WireRecord:
        """Change values of an image's metadata."""
        check_size(body.model_dump_json())
        changed = partial(finder.update_metadata, id, body.metadata)
        return wire_record(request, await service.work(request, changed))

    @router.delete("/{id:path}", status_code=204)
    async def remove(request: Request, id: str) -> None:
        """Take an image out of the collection; the bytes of an upload are deleted."""
        if not await service.work(request, partial(finder.remove, [id])):
            raise ImageNotFoundError(f"{id}: no image of the collection has this id")

    return router


def uploads_of(
    files: Sequence[tuple[str, bytes]], ids: Sequence[str], metadata: Sequence[str]
) -> list[Upload]:
    """One for each file. Raises UsageError where ids or metadata do not fit the files."""
    if not files:
        raise UsageError("no image came; send one as image, or name its url")
    if len(files) > MAX_UPLOADS:
        raise UsageError(f"{len(files)} images in one request, the limit is {MAX_UPLOADS}")
    if len(ids) not in (0, len(files)):
        raise UsageError(f"{len(ids)} ids for {len(files)} images; give one for each, or none")
    if len(metadata) not in (0, 1, len(files)):
        raise UsageError(f"{len(metadata)} times metadata for {len(files)} images")
    values = [metadata_of(text) for text in metadata] or [{}]
    if len(values) == 1:
        values *= len(files)
    named: Sequence[str | None] = ids or [None] * len(files)
    return [
        Upload(data, name, id or None, value)
        for (name, data), id, value in zip(files, named, values, strict=True)
    ]


def metadata_of(text: str) -> Metadata:
    """A JSON object of text, numbers, true, false, null and lists of these."""
    check_size(text)
    try:
        return METADATA.validate_json(text or "{}")
    except ValidationError:
        raise UsageError(
            "metadata: must be a JSON object whose values are text, numbers, true, false, null,"
            " or lists of these"
        ) from None


def check_size(text: str) -> None:
    """Raises UsageError."""
    if len(text.encode()) > MAX_METADATA:
        raise UsageError(f"metadata: longer than {MAX_METADATA} bytes")


def name_of(url: str) -> str:
    """What the file at a URL is called."""
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or url
