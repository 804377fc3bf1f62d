"""Errors of the reference routes, in the forms that their clients know."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, JsonValue
from starlette.exceptions import HTTPException

from imagefinder.errors import ImageFinderError
from imagefinder.serve import problem_schema
from imagefinder.serve.problems import no_room, of_error, public_text
from imagefinder.serve.scrub import scrub
from imagefinder.serve.wire import example

NOT_VALID = "Image not valid"
MAX_FAULTS = 20  # of one request, told
OWN = (400, 500, 501, 503)  # what the routes themselves answer, beside 422


class ReferenceRoute(APIRoute):
    """What is wrong with a request, or with the work on it, is told in the route's own form. What
    the middlewares say, and that the service is busy, is a problem as on every route."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return self._not_valid(error)
            except ImageFinderError as error:
                return self._failed(error)
            except HTTPException as error:
                if error.status_code != 400 or no_room(error):
                    raise
                return self._told(400, scrub(str(error.detail)))

        return answered

    @staticmethod
    def detail(status: int, text: str) -> JsonValue:
        """An error in the route's form."""
        return text

    def _not_valid(self, error: RequestValidationError) -> Response:
        """What is missing is told as FastAPI does, what is there and wrong as any other error."""
        faults = [Fault.of(fault) for fault in error.errors()[:MAX_FAULTS]]
        if any(fault.type == "missing" for fault in faults):
            return JSONResponse({"detail": [fault.model_dump() for fault in faults]}, 422)
        return self._told(400, "; ".join(f"{fault.field}: {fault.msg}" for fault in faults))

    def _failed(self, error: ImageFinderError) -> Response:
        problem = of_error(error)  # which logs what the operator has to know
        status = problem.status_code if problem.status_code >= 500 else 400
        headers = {name: value for name, value in problem.headers.items() if name == "retry-after"}
        return self._told(status, public_text(error), headers)

    def _told(
        self, status: int, text: str, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        return JSONResponse({"detail": self.detail(status, text)}, status, headers)


class ClosestRoute(ReferenceRoute):
    @staticmethod
    def detail(status: int, text: str) -> JsonValue:
        return NOT_VALID if status == 400 else text


class PredictRoute(ReferenceRoute):
    @staticmethod
    def detail(status: int, text: str) -> JsonValue:
        return {"error": text}


class Fault(BaseModel):
    type: str
    loc: list[int | str]
    msg: str

    @property
    def field(self) -> str:
        """Its name; the place of an error in JSON is a number behind it."""
        return next(part for part in reversed(self.loc) if isinstance(part, str))

    @classmethod
    def of(cls, fault: Mapping[str, Any]) -> "Fault":
        """Without the input, which may be a file, or huge."""
        message = scrub(fault["msg"].removeprefix("Value error, "), 300)
        if message.startswith("Expected UploadFile"):
            message = "Input should be a file"
        return cls(type=fault["type"], loc=list(fault["loc"]), msg=message)


class Missing(BaseModel):
    model_config = example(
        {"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required"}]}
    )

    detail: list[Fault]


class PlainError(BaseModel):
    model_config = example({"detail": NOT_VALID})

    detail: str


class PredictError(BaseModel):
    model_config = example(
        {"detail": {"error": "nb_similar_images: Input should be a valid integer"}}
    )

    detail: dict[str, str]


def errors(form: type[BaseModel]) -> problem_schema.Described:
    """What a route may answer, for its description: problems, and errors in its own form."""
    described = problem_schema.errors(501, body=True)
    for status in OWN:
        described[status] = {**described[status], "model": form}
    described[400] |= {"description": "The image, or another value, is not valid."}
    described[422] = {"description": "A field is missing.", "model": Missing}
    return described


def missing(*where: str) -> RequestValidationError:
    return RequestValidationError([{"type": "missing", "loc": where, "msg": "Field required"}])
