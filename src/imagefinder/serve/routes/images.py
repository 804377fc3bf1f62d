"""/v1/images: the collection's images, and new ones."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Annotated
from urllib.parse import unquote, urlsplit

from fastapi import (
    APIRouter,
    Depends,
    File,
    Form,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
)
from pydantic.json_schema import SkipJsonSchema
from starlette.convertors import Convertor, register_url_convertor

from imagefinder.errors import ImageNotFoundError, UsageError
from imagefinder.serve.forms import filled, form, merge_patch, picture_form, read_files
from imagefinder.serve.metadata import check_size, metadata_of
from imagefinder.serve.pictures import Pictures
from imagefinder.serve.problem_schema import Described, errors
from imagefinder.serve.problems import public_text
from imagefinder.serve.records import existing, wire_record
from imagefinder.serve.scrub import scrub
from imagefinder.serve.service import Service
from imagefinder.serve.wire import (
    AddAnswer,
    ImagesAnswer,
    MetadataChange,
    WireRecord,
    WireSkippedUpload,
)
from imagefinder.sources.address import is_http
from imagefinder.types import NO_METADATA, UPLOADS, Metadata, Upload

MAX_UPLOADS = 256  # of one request

PICTURE: Described = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
    304: {"description": "The client has it already (`If-None-Match`)."},
}
Id = Annotated[
    str,
    Path(
        description="Of an image of the collection. Slashes may stay as they are.",
        openapi_examples={"demo": {"value": "big-cat-06"}},
    ),
]


class AnyText(Convertor[str]):
    """Of an id there may be slashes in the path, even line breaks."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", AnyText())


def routes(service: Service) -> APIRouter:
    """Listing, showing, adding, changing and removing images."""
    router = APIRouter(prefix="/v1/images", tags=["images"])
    finder, options = service.finder, service.options
    pictures = Pictures(finder, options, service.cores)

    @router.post(
        "",
        summary="Add images",
        status_code=201,
        response_model=AddAnswer,
        responses=errors(body=True),
        dependencies=[Depends(form)],
        openapi_extra=picture_form({"id": ["my-cat"], "metadata": ['{"label": "cat"}']}),
    )
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
                description='A JSON object for each image, or one for all, as `{"label": "cat"}`.'
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
        files, urls = await read_files(image), filled(url)
        labels = labels_of(len(files) + len(urls), id, metadata)
        check_urls(urls)
        fetched = await service.fetch_all(request, urls)
        found = [*files, *zip(map(name_of, urls), fetched, strict=True)]
        uploads, skipped = [], []
        for (name, data), (label, values) in zip(found, labels, strict=True):
            if isinstance(data, bytes):
                uploads.append(Upload(data, name, label, values))
            else:
                skipped.append(WireSkippedUpload(name=name, reason=public_text(data)))
        adding = partial(finder.add, uploads, source=source)
        report = await service.work(request, adding, embeds=finder.space())
        skipped += [WireSkippedUpload(name=s.uri, reason=scrub(s.reason)) for s in report.skipped]
        return AddAnswer(
            added=report.added,
            updated=report.updated,
            unchanged=report.unchanged,
            skipped=skipped,
        )

    @router.get(
        "",
        summary="List images",
        response_model=ImagesAnswer,
        response_model_exclude_unset=True,
        responses=errors(400, 422),
    )
    async def images(
        request: Request,
        after: Annotated[str, Query(description="Begin after this id.")] = "",
        limit: Annotated[int, Query(ge=1, le=options.max_results)] = 100,
        filter: Annotated[
            str, Query(description="Only where this holds, such as `width >= 800`.")
        ] = "",
        id: Annotated[list[str], Query(description="Only these, as far as they exist.")] = [],
        embeddings: Annotated[bool, Query(description="With the embeddings.")] = False,
        sample: Annotated[
            int | SkipJsonSchema[None],
            Query(
                ge=1,
                le=options.max_results,
                description="Instead of a page so many at random, other ones each time. Cannot be"
                " combined with `filter` or `id`.",
            ),
        ] = None,
    ) -> ImagesAnswer:
        """The images in the order of their ids, a page at a time; or some at random."""
        if sample is not None and (filter or id):
            raise HTTPException(
                422,
                "sample picks from all images; leave out filter and id, or list pages without it",
            )

        def page() -> ImagesAnswer:
            if sample is not None:
                found = existing(finder, finder.collection.ledger.random_ids(sample))
            elif id:
                found = existing(finder, sorted({one for one in id if one > after}), filter)
            else:
                found = finder.images(after=after, filter=filter or None)
            most = sample or limit
            records = list(islice(found, most + 1))
            some = records[:most]
            rows = finder.embeddings([record.id for record in some]) if embeddings else {}
            return ImagesAnswer(
                images=[wire_record(request, record, rows.get(record.id)) for record in some],
                next=some[-1].id if len(records) > most else None,
            )

        return await service.work(request, page)

    @router.get(
        "/{id:id}/thumbnail",
        summary="A small picture",
        response_class=Response,
        responses={**PICTURE, **errors(404, 422, 501)},
    )
    async def thumbnail(
        request: Request,
        id: Id,
        size: Annotated[int, Query(ge=16, le=1024, description="Pixels of the longer side.")] = 256,
    ) -> Response:
        """An upright picture: AVIF or WebP where `Accept` names it, else JPEG. Never enlarged."""
        return await service.work(request, partial(pictures.thumbnail, request, id, size))

    @router.get(
        "/{id:id}/content",
        summary="The image's file",
        response_class=Response,
        responses={**PICTURE, **errors(403, 404, 501)},
    )
    async def content(request: Request, id: Id) -> Response:
        """The file as it is, where the operator allows it."""
        return await service.work(request, partial(pictures.content, request, id))

    @router.get(
        "/{id:id}",
        summary="Show an image",
        response_model=WireRecord,
        response_model_exclude_unset=True,
        responses=errors(404),
    )
    async def image(request: Request, id: Id) -> WireRecord:
        """What is known of one image.

        An id that ends in `/thumbnail` or `/content` is found with `GET /v1/images?id=`."""
        return wire_record(request, await service.work(request, partial(finder.get, id)))

    @router.patch(
        "/{id:id}",
        summary="Change metadata",
        response_model=WireRecord,
        response_model_exclude_unset=True,
        responses=errors(404, body=True),
        dependencies=[Depends(merge_patch)],
    )
    async def change(request: Request, id: Id, body: MetadataChange) -> WireRecord:
        """Change values of an image's metadata."""
        check_size(body.model_dump_json())
        changed = partial(finder.update_metadata, id, body.metadata)
        return wire_record(request, await service.work(request, changed))

    @router.delete(
        "/{id:id}", summary="Remove an image", status_code=204, responses=errors(403, 404)
    )
    async def remove(request: Request, id: Id) -> None:
        """Take an image out of the collection; the bytes of an upload are deleted."""
        if not await service.work(request, partial(finder.remove, [id])):
            raise ImageNotFoundError.of(id)

    return router


def labels_of(
    count: int, ids: Sequence[str], metadata: Sequence[str]
) -> list[tuple[str | None, Metadata]]:
    """Id and metadata of each of so many images. Raises UsageError where they do not fit."""
    if not count:
        raise UsageError("no image came; send one as image, or name its url")
    if count > MAX_UPLOADS:
        raise UsageError(f"{count} images in one request, the limit is {MAX_UPLOADS}")
    if not any(ids):
        ids = [""] * count
    if len(ids) != count:
        raise UsageError(f"{len(ids)} ids for {count} images; give one for each, or none")
    if len(metadata) not in (0, 1, count):
        raise UsageError(
            f"{len(metadata)} times metadata for {count} images; give it for each, or once for all"
        )
    values = [metadata_of(text) for text in metadata] or [NO_METADATA]
    if len(values) == 1:
        values *= count
    return [(id or None, value) for id, value in zip(ids, values, strict=True)]


def check_urls(urls: Sequence[str]) -> None:
    """Raises UsageError for what is no URL; one that cannot be had stops only its own image."""
    for url in urls:
        if not is_http(url):
            raise UsageError(f"{url}: only http:// and https:// URLs are fetched")


def name_of(url: str) -> str:
    """What the file at a URL is called."""
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or url
