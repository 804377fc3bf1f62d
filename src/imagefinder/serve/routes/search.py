"""POST /v1/search, POST /v1/embed"""

from collections.abc import Sequence
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile

from imagefinder.errors import FetchError
from imagefinder.query import Query
from imagefinder.results_page import data_url, thumbnail
from imagefinder.serve.forms import (
    check_parts,
    embeds_picture,
    filled,
    form,
    picture_form,
    query_of,
    read_files,
)
from imagefinder.serve.hits_page import hits_page, wants_page
from imagefinder.serve.problem_schema import Described, errors
from imagefinder.serve.records import json_of, wire_hit
from imagefinder.serve.service import Service
from imagefinder.serve.wire import EmbedAnswer, SearchAnswer

Files = Annotated[list[UploadFile], File(description="An encoded image, or several.")]
Urls = Annotated[list[str], Form(description="The http(s) address of an image.")]
Ids = Annotated[list[str], Form(description="The id of an image of the collection.")]
Texts = Annotated[list[str], Form(description="Words, for models with a text side.")]

PAGE: Described = {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


def routes(service: Service) -> APIRouter:
    """Searching, and embedding without searching."""
    router = APIRouter(prefix="/v1", tags=["search"], dependencies=[Depends(form)])
    finder, options = service.finder, service.options

    @router.post(
        "/search",
        summary="Search",
        response_model=SearchAnswer,
        responses={**PAGE, **errors(404, body=True)},
        openapi_extra=picture_form(
            {"id": ["big-cat-06"], "k": 5, "filter": 'label in ["big cat", "horse"]'}
        ),
    )
    async def search(
        request: Request,
        image: Files = [],
        url: Urls = [],
        id: Ids = [],
        text: Texts = [],
        k: Annotated[int, Form(ge=1, le=options.max_results, description="How many hits.")] = 3,
        filter: Annotated[
            str, Form(description="Only images for which this holds, such as `width >= 800`.")
        ] = "",
        box: Annotated[
            list[str],
            Form(
                description="x,y,width,height as fractions (0 to 1) of the upright image, one for"
                " each of the images, urls and ids, in this order; empty for the whole of it."
                " Such as `0.1,0.2,0.5,0.5`.",
            ),
        ] = [],
        weights: Annotated[
            str,
            Form(
                description="A number for each part, negative ones search away from it; in the"
                " order images, urls, ids, texts. Such as `1,-0.5`.",
            ),
        ] = "",
        exact: Annotated[bool, Form(description="Compare with every image.")] = False,
        exclude_same: Annotated[
            bool,
            Form(
                description="Leave out the images that the query names, and those that look the"
                " same: a cosine similarity of 0.99 and more."
            ),
        ] = False,
        space: Annotated[
            str,
            Form(
                description="The space to search in, of `/v1/models`; of several, with commas, the"
                " rankings are fused."
            ),
        ] = "",
        preview: Annotated[
            bool,
            Form(
                description="With a small picture of each image and url of the query, for clients"
                " that cannot show these themselves."
            ),
        ] = False,
    ) -> Response:
        """The images that look most like the query, best first.

        The query is any number of images, URLs, ids and texts: the weighted mean of their
        embeddings is searched for. A browser (`Accept: text/html`) gets a page of pictures."""
        start = perf_counter()
        spaces = service.spaces(space)
        files = [data for _, data in await read_files(image)]
        check_parts(len(files) + len(filled(url)) + len(filled(id)) + len(filled(text)))
        fetched = whole(await service.fetch_all(request, filled(url)))
        query = query_of(files + fetched, filled(id), filled(text), box, weights)

        def answer() -> Response:
            hits = finder.search(
                query,
                k,
                filter=filter or None,
                exact=exact,
                exclude_same=exclude_same,
                space=spaces,
            )
            if files:
                service.succeeded()
            if wants_page(request):
                return hits_page(request, files + fetched, hits, options.serve_content)
            found = SearchAnswer(
                model=",".join(spaces),
                took_ms=round((perf_counter() - start) * 1000, 2),
                hits=[wire_hit(request, hit) for hit in hits],
            )
            if preview:
                with service.cores:
                    found.previews = [data_url(thumbnail(data)) for data in files + fetched]
            return json_of(found)

        return await service.work(
            request, answer, embeds=spaces[0] if embeds_picture(query) else None
        )

    @router.post(
        "/embed",
        summary="Embed",
        response_model=EmbedAnswer,
        responses=errors(404, body=True),
        openapi_extra=picture_form({"box": ["0.1,0.2,0.5,0.5"]}),
    )
    async def embed(
        request: Request,
        image: Files = [],
        id: Ids = [],
        text: Texts = [],
        box: Annotated[list[str], Form(description="As for a search.")] = [],
        space: Annotated[str, Form(description="The space whose model embeds.")] = "",
    ) -> Response:
        """The embedding of each image, id and text, in this order."""
        model = service.space(space)
        files = [data for _, data in await read_files(image)]
        query = query_of(files, filled(id), filled(text), box, "")

        def answer() -> Response:
            rows = [finder.embed(Query((part,)), space=model).tolist() for part in query.parts]
            return json_of(EmbedAnswer(model=model, dim=len(rows[0]), embeddings=rows))

        return await service.work(request, answer, embeds=model if embeds_picture(query) else None)

    return router


def whole(fetched: Sequence[bytes | FetchError]) -> list[bytes]:
    """A query with a part missing is another query. Raises the first FetchError."""
    for item in fetched:
        if isinstance(item, FetchError):
            raise item
    return [item for item in fetched if isinstance(item, bytes)]
