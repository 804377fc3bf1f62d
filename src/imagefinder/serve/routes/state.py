"""What is in the collection, and how the service is."""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from imagefinder._version import __version__
from imagefinder.serve.metrics import CONTENT_TYPE_LATEST
from imagefinder.serve.options import Access, ServeOptions
from imagefinder.serve.probe import Probe
from imagefinder.serve.problem_schema import ERRORS, Described, errors
from imagefinder.serve.problems import problem
from imagefinder.serve.records import json_of
from imagefinder.serve.service import Service
from imagefinder.serve.wire import (
    FieldsAnswer,
    MapAnswer,
    SkippedAnswer,
    StatusAnswer,
    WireSkipped,
)

RETRY_AFTER = {"Retry-After": "5"}
FIGURES: Described = {
    200: {
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "imagefinder_requests…"}
        }
    }
}


def routes(service: Service) -> APIRouter:
    """The collection: counts, skipped images, fields, map."""
    router = APIRouter(prefix="/v1", tags=["collection"], responses=errors())
    finder, options = service.finder, service.options

    @router.get("/status", summary="Status", response_model=StatusAnswer)
    async def status(request: Request) -> StatusAnswer:
        """Counts, model and size."""
        state = await service.work(request, finder.status)
        return StatusAnswer(
            collection=service.name,
            model=state.model,
            dim=state.dim,
            images=state.images,
            skipped=state.skipped,
            spaces=list(state.spaces),
            disk_bytes=state.disk_bytes,
            version=__version__,
            read_only=options.read_only,
            writable=may_write(request, options),
            serves_content=options.serve_content,
            fetches_urls=options.fetch_urls,
            max_results=options.max_results,
            max_upload_bytes=options.max_body_bytes,
        )

    @router.get("/skipped", summary="Skipped images", response_model=SkippedAnswer)
    async def skipped(request: Request) -> SkippedAnswer:
        """The images that could not be indexed, with the reasons."""
        found = await service.work(request, partial(finder.skipped))
        return SkippedAnswer(
            skipped=[WireSkipped(id=s.id, uri=s.uri, reason=s.reason) for s in found]
        )

    @router.get("/fields", summary="Fields", response_model=FieldsAnswer)
    async def fields(request: Request) -> Response:
        """What filters can name, and what stands in it, found in up to 1,000 images picked at
        random."""
        return await service.work(request, lambda: json_of(service.fields.look()))

    @router.get("/map", summary="Map", response_model=MapAnswer)
    async def map(request: Request) -> Response:
        """The images in two dimensions, like beside like. It is drawn in the background, which
        takes seconds: while `drawing`, the answer has the last map, or an empty one."""

        def answer() -> Response:
            drawn, drawing = service.map.look()
            return json_of(
                MapAnswer(
                    model=finder.space(),
                    method=drawn.method if drawn else None,
                    images=len(finder),
                    drawing=drawing,
                    ids=list(drawn.ids) if drawn else [],
                    x=list(drawn.x) if drawn else [],
                    y=list(drawn.y) if drawn else [],
                )
            )

        return await service.work(request, answer)

    return router


def may_write(request: Request, options: ServeOptions) -> bool:
    """Whether whoever sent this may change the collection."""
    key = getattr(request.state, "key", None)
    allowed = key is not None and key.access is Access.WRITE
    return not options.read_only and (allowed or not options.keys)


def watching(service: Service, probe: Probe) -> APIRouter:
    """For load balancers and monitoring; none of it needs the model or waits in a queue."""
    router = APIRouter(tags=["health"], responses={421: ERRORS[421]})

    @router.get("/ping", summary="Ping", response_model=str, responses=example("pong"))
    async def ping() -> JSONResponse:
        """`"pong"`"""
        return JSONResponse("pong")

    @router.get("/healthz", summary="Alive?", responses=example({"status": "alive"}))
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Ready?",
        response_model=dict[str, str],
        responses={**example({"status": "ready"}), 503: ERRORS[503]},
    )
    async def readyz() -> Response:
        """A real embedding and a real search succeeded lately."""
        if probe.ready:
            return JSONResponse({"status": "ready"})
        return problem(503, probe.reason, headers=RETRY_AFTER)

    @router.get(
        "/metrics",
        summary="Metrics",
        response_class=Response,
        responses={**FIGURES, **errors()},
    )
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def example(answer: object) -> Described:
    """What the answer looks like."""
    return {200: {"content": {"application/json": {"example": answer}}}}
