"""What is in the collection, and how the service is."""

from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from imagefinder._version import __version__
from imagefinder.serve.metrics import CONTENT_TYPE_LATEST
from imagefinder.serve.probe import Probe
from imagefinder.serve.problem_schema import ERRORS, Described, errors
from imagefinder.serve.problems import problem
from imagefinder.serve.service import Service
from imagefinder.serve.wire import (
    ModelsAnswer,
    SkippedAnswer,
    StatusAnswer,
    WireModel,
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
    """The collection: counts, models, skipped images."""
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
        )

    @router.get("/models", summary="Models", response_model=ModelsAnswer)
    async def models(request: Request) -> ModelsAnswer:
        """The models that searches and embeddings can use."""
        state = await service.work(request, finder.status)
        return ModelsAnswer(models=[WireModel(name=state.model, dim=state.dim, default=True)])

    @router.get("/skipped", summary="Skipped images", response_model=SkippedAnswer)
    async def skipped(request: Request) -> SkippedAnswer:
        """The images that could not be indexed, with the reasons."""
        found = await service.work(request, partial(finder.skipped))
        return SkippedAnswer(
            skipped=[WireSkipped(id=s.id, uri=s.uri, reason=s.reason) for s in found]
        )

    return router


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
