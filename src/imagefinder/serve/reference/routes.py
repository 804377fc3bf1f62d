"""The routes of the services that came before this one, for their clients, in their own forms."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Annotated, TypeAlias

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue, ValidationError
from pydantic.json_schema import SkipJsonSchema

from imagefinder._version import __version__
from imagefinder.errors import UsageError
from imagefinder.local import LocalFinder
from imagefinder.same import first_without
from imagefinder.serve import problem_schema
from imagefinder.serve.forms import FORMS, kind_of_body, picture_form
from imagefinder.serve.records import image_path
from imagefinder.serve.reference.errors import (
    ClosestRoute,
    PlainError,
    PredictError,
    PredictRoute,
    ReferenceRoute,
    errors,
    missing,
)
from imagefinder.serve.reference.query_dir import read_below
from imagefinder.serve.routes.images import name_of
from imagefinder.serve.service import Service
from imagefinder.serve.wire import Score, example
from imagefinder.sources.address import is_http
from imagefinder.types import Hit

CLOSEST = 3
JSON = "application/json"
DEFAULT = "resnet50"  # what clients that name no model have always got
FIELDS = ("id", "name", "score")
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,15}")
EXACT = 2**53  # whole numbers up to here are the same to every reader of JSON

# A GIF of one pixel, an image that is text: the examples of the description can be sent as they are
PIXEL = "GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
URL = "https://www.python.org/static/img/python-logo.png"

LINKED: JsonValue = {
    "id": 461828,
    "score": 0.91,
    "image": "http://localhost:8000/v1/images/461828/thumbnail",
}

WireId: TypeAlias = int | str
ENCODING: dict[str, JsonValue] = {"file": {"contentType": "image/*"}}
IMAGE = File(description="An encoded image.", examples=[PIXEL])
Picture = Annotated[UploadFile, IMAGE]


class PathQuery(BaseModel):
    model_config = example({"image_path": "cat.jpg"})

    image_path: str = Field(description="A file below the directory that the operator allows.")


class UrlQuery(BaseModel):
    model_config = example({"url": URL})

    url: str


class ReferenceIds(BaseModel):
    model_config = example({"ids": [461828, 165352, 224667]})

    ids: list[WireId]


class ReferenceHit(BaseModel):
    id: WireId
    score: Score
    image: str = Field(description="Where the picture is.")


class ReferenceHealth(BaseModel):
    model_config = example(
        {"name": "ImageFinder", "api_version": __version__, "model_version": "efficientnet-lite0"}
    )

    name: str
    api_version: str
    model_version: str = Field(description="The model whose embeddings are searched.")


def routes(service: Service) -> APIRouter:
    """All of them; new clients have `/v1`."""
    router = APIRouter(tags=["reference"])
    router.include_router(closest_img_ids(service))
    router.include_router(predict(service))
    router.include_router(others(service))
    router.include_router(health(service))
    return router


# the routes


def closest_img_ids(service: Service) -> APIRouter:
    router = APIRouter(route_class=ClosestRoute, responses=errors(PlainError))
    options = service.options

    @router.post(
        "/closest_img_ids",
        summary="Closest ids",
        response_model=Annotated[list[WireId], Field(examples=[[461828, 165352, 224667]])],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    FORMS[0]: {"schema": {"required": ["file"]}, "encoding": ENCODING},
                    JSON: {"schema": PathQuery.model_json_schema()},
                },
            }
        },
    )
    async def closest_img_ids(
        request: Request, file: Annotated[UploadFile | SkipJsonSchema[None], IMAGE] = None
    ) -> list[WireId]:
        """The ids of the 3 closest images. `{"image_path": ...}` names an image of the server,
        below the directory that the operator allows."""
        if kind_of_body(request) == JSON:
            path = (await path_query(request)).image_path
            read = partial(read_below, options.query_dir, path, options.max_body_bytes)
        elif file is None:
            raise missing("body", "file")
        else:
            read = partial(bytes, await file.read())
        return [wire_id(hit.id) for hit in await closest(service, request, read)]

    return router


def predict(service: Service) -> APIRouter:
    router = APIRouter(route_class=PredictRoute, responses=errors(PredictError))

    @router.post("/predict", include_in_schema=False)
    @router.post(
        "/predict/",
        summary="Closest images of a model",
        response_model=None,
        responses={200: {"content": {JSON: PREDICTION}}},
        openapi_extra=picture_form(
            {"nb_similar_images": 2, "retrieved_ref": "id,score"}, field="file"
        ),
    )
    async def predict(
        request: Request,
        file: Picture,
        model_name: Annotated[
            str, Form(description="The model; none: `resnet50` where that is an alias, else ours.")
        ] = "",
        image_model_name: Annotated[
            str, Form(description="Another name for `model_name`, which comes first.")
        ] = "",
        nb_similar_images: Annotated[int, Form(ge=1, le=service.options.max_results)] = CLOSEST,
        retrieved_ref: Annotated[
            str, Form(description="What to tell of each image: any of these.")
        ] = ",".join(FIELDS),
        ignore_duplicate: Annotated[
            bool, Form(description="Leave out images with the same bytes as the query.")
        ] = True,
    ) -> Response:
        """The closest images, best first; the number asked for is in the name of their list."""
        model = model_of(service, model_name or image_model_name)
        fields, space = fields_of(retrieved_ref), service.space(model)
        search = partial(unlike, service.finder) if ignore_duplicate else service.finder.search
        searching = partial(search, await file.read(), nb_similar_images, space=space)
        hits = await service.work(request, searching, embeds=space)
        service.succeeded()
        similar = [{field: value_of(hit, field) for field in fields} for hit in hits]
        return JSONResponse(
            {"pretrained_model": model, f"top_{nb_similar_images}_similar_images": similar}
        )

    return router


def others(service: Service) -> APIRouter:
    """Those whose errors are FastAPI's own."""
    router = APIRouter(route_class=ReferenceRoute)
    kind = "content" if service.options.serve_content else "thumbnail"

    @router.post(
        "/similarity-search",
        summary="Closest ids",
        response_model=ReferenceIds,
        responses=errors(PlainError),
        openapi_extra=picture_form({}, field="file"),
    )
    async def similarity_search(request: Request, file: Picture) -> ReferenceIds:
        """The ids of the 3 closest images."""
        hits = await closest(service, request, partial(bytes, await file.read()))
        return ReferenceIds(ids=[wire_id(hit.id) for hit in hits])

    @router.post(
        "/search-by-url",
        summary="Closest images of a URL",
        response_model=Annotated[list[ReferenceHit], Field(examples=[[LINKED]])],
        responses=errors(PlainError),
        openapi_extra={"requestBody": {"content": {JSON: {"example": {"url": URL}}}}},
    )
    async def search_by_url(
        request: Request,
        url: Annotated[str | SkipJsonSchema[None], Query(examples=[URL])] = None,
        body: UrlQuery | None = None,
    ) -> list[ReferenceHit]:
        """The 3 images closest to the one at a URL, which is in the query or in the body."""
        address = url or (body.url if body else None)
        if address is None:
            raise missing("query", "url")
        data = await service.fetch(address)
        return [
            ReferenceHit(id=wire_id(hit.id), score=hit.score, image=link(request, hit.id, kind))
            for hit in await closest(service, request, partial(bytes, data))
        ]

    @router.post(
        "/image_finder",
        summary="Closest ids with their similarity",
        response_model=Annotated[
            dict[str, float], Field(examples=[{"461828": 0.91, "165352": 0.88, "224667": 0.87}])
        ],
        responses=errors(PlainError),
        openapi_extra=picture_form({}, field="file"),
    )
    async def image_finder(request: Request, file: Picture) -> dict[str, float]:
        """The ids of the 3 closest images with their cosine similarity, best first."""
        hits = await closest(service, request, partial(bytes, await file.read()))
        return {hit.id: hit.score for hit in hits}

    return router


def health(service: Service) -> APIRouter:
    router = APIRouter(responses=problem_schema.errors())

    @router.get("/health", summary="Name and versions", response_model=ReferenceHealth)
    async def health() -> ReferenceHealth:
        """What answers here."""
        return ReferenceHealth(
            name="ImageFinder", api_version=__version__, model_version=service.space(None)
        )

    return router


PREDICTION: dict[str, JsonValue] = {
    "schema": {
        "type": "object",
        "required": ["pretrained_model"],
        "properties": {"pretrained_model": {"type": "string"}},
        "additionalProperties": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": ["integer", "string"]},
                    "name": {"type": "string"},
                    "score": {"type": "number"},
                },
                "additionalProperties": False,
            },
        },
    },
    "example": {
        "pretrained_model": "efficientnet-lite0",
        "top_2_similar_images": [{"id": 461828, "score": 0.91}, {"id": 165352, "score": 0.88}],
    },
}


# from the request


async def path_query(request: Request) -> PathQuery:
    """The JSON body. Raises RequestValidationError."""
    try:
        return PathQuery.model_validate_json(await request.body())
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error


def model_of(service: Service, name: str) -> str:
    """The model's name as the client knows it."""
    if not name:
        served = {*service.options.model_aliases, *service.finder.collection.spaces()}
        name = DEFAULT if DEFAULT in served else service.space(None)
    return name


def fields_of(text: str) -> list[str]:
    """Raises UsageError."""
    names = [name for part in text.split(",") if (name := part.strip())]
    unknown = next((name for name in names if name not in FIELDS), None)
    if unknown is not None or not names:
        problem = f"there is no {unknown!r}" if names else "nothing is asked for"
        raise UsageError(f"retrieved_ref: {problem}; there are: {', '.join(FIELDS)}")
    return names


# searching


async def closest(service: Service, request: Request, read: Callable[[], bytes]) -> list[Hit]:
    space = service.space(None)
    search = service.finder.search
    hits = await service.work(request, lambda: search(read(), CLOSEST, space=space), embeds=space)
    service.succeeded()
    return hits


def unlike(finder: LocalFinder, data: bytes, count: int, *, space: str) -> list[Hit]:
    """The closest images that have not the same bytes."""
    content = sha256(data).hexdigest()

    def copies(hits: Sequence[Hit]) -> set[str]:
        contents = finder.contents([hit.id for hit in hits])
        return {id for id, known in contents.items() if known == content}

    return first_without(copies, partial(finder.search, data, space=space), count)


# into the answer


def wire_id(id: str) -> WireId:
    """A number where the client cannot take it for another one."""
    return int(id) if WHOLE.fullmatch(id) and abs(int(id)) <= EXACT else id


def value_of(hit: Hit, field: str) -> WireId | float:
    match field:
        case "id":
            return wire_id(hit.id)
        case "name":
            return name_of(hit.uri) if is_http(hit.uri) else hit.uri.rpartition("/")[2]
        case _:
            return hit.score


def link(request: Request, id: str, kind: str) -> str:
    """An absolute URL: these clients are programs that open it as it is."""
    base = request.base_url
    origin = f"{base.scheme}://{base.netloc}" if base.netloc else ""
    return origin + image_path(request, id, kind)
