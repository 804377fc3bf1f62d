"""/v1/models and /v1/spaces: the models by which the collection can be searched."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Path, Request

from imagefinder.serve.forms import form, merge_patch
from imagefinder.serve.problem_schema import errors
from imagefinder.serve.service import Service
from imagefinder.serve.wire import ModelsAnswer, SpaceChange, WireModel
from imagefinder.types import Distance, SpaceStatus

Name = Annotated[
    str,
    Path(description="Of a space.", openapi_examples={"demo": {"value": "efficientnet-lite0"}}),
]


def routes(service: Service) -> APIRouter:
    """Listing the spaces, adding one, choosing the one that searches use."""
    router = APIRouter(prefix="/v1", tags=["models"])
    finder = service.finder

    def states() -> ModelsAnswer:
        return ModelsAnswer(
            models=list(map(wire_model, finder.spaces())), filling=service.filling.model
        )

    @router.get("/models", summary="Models", response_model=ModelsAnswer, responses=errors())
    async def models(request: Request) -> ModelsAnswer:
        """The spaces of the collection: the models that searches and embeddings can use."""
        return await service.work(request, states)

    @router.post(
        "/spaces",
        summary="Add a space",
        status_code=202,
        response_model=ModelsAnswer,
        responses=errors(409, body=True),
        dependencies=[Depends(form)],
    )
    async def add_space(
        request: Request,
        model: Annotated[
            str,
            Form(
                description="Of the catalogue, and on the service's machine.",
                examples=["efficientnet-lite0"],
            ),
        ],
        distance: Annotated[
            Distance, Form(description="What it compares by; `cosine` is the usual one.")
        ] = "cosine",
    ) -> ModelsAnswer:
        """Embed every image by another model, in the background: `behind` of its space tells how
        many are left. Searches go on meanwhile. Where the space is there, it is brought up to
        date."""
        # looks for the model's files
        if not await service.work(request, partial(service.filling.start, model, distance)):
            raise HTTPException(409, "the space of a model is being filled already; wait for that")
        return await service.work(request, states)

    @router.patch(
        "/spaces/{name:path}",  # a model of the hub has a slash in its name
        summary="Use a space",
        response_model=ModelsAnswer,
        responses=errors(404, body=True),
        dependencies=[Depends(merge_patch)],
    )
    async def use_space(request: Request, name: Name, change: SpaceChange) -> ModelsAnswer:
        """Searches that name no space use this one from now on."""

        def using() -> ModelsAnswer:
            if name not in finder.collection.spaces():
                raise HTTPException(404, "there is no such space")
            finder.use_space(name)
            return states()

        return await service.work(request, using)

    return router


def wire_model(state: SpaceStatus) -> WireModel:
    """A space as clients see it."""
    return WireModel(
        name=state.name,
        dim=state.dim,
        default=state.in_use,
        text=state.text,
        distance=state.distance,
        images=state.images,
        behind=state.behind,
    )
