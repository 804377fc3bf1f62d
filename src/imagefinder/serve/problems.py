"""Errors on the wire: RFC 9457 problem details, in words that may leave the server."""

import json
import logging
import math
from collections.abc import Mapping
from copy import copy
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from imagefinder.errors import (
    CollectionInUseError,
    FetchError,
    FilterError,
    ImageError,
    ImageFinderError,
    ImageNotFoundError,
    MissingExtraError,
    ModelError,
    StoreError,
    UsageError,
)
from imagefinder.serve.jobs import ClientGoneError, NoAnswerError
from imagefinder.serve.problem_schema import ERRORS, MEDIA_TYPE, title_of
from imagefinder.serve.scrub import cut, printable, scrub

__all__ = [
    "CLIENT_GONE",
    "ERRORS",
    "OverloadedError",
    "install",
    "no_room",
    "of_error",
    "of_failure",
    "problem",
    "public_text",
]

log = logging.getLogger("imagefinder.serve")

MOST_FAULTS = 20  # of one request that is not valid
RETRY_STORE = "5"  # seconds
CLIENT_GONE = 499  # nginx's: the client hung up before there was an answer

INTERNAL = "Internal error; give the request id to the operator"
NO_FILE = "Send it as a file, which with curl is image=@FILE"
UNAVAILABLE = "The collection cannot be used at the moment; try again later"

# What the client can act on: these errors' texts go out, scrubbed, with a code for programs.
_SHOWN: Mapping[type, int] = {
    UsageError: 400,
    FilterError: 400,
    ImageNotFoundError: 404,
    ImageError: 422,
    FetchError: 422,
    ModelError: 422,  # the model cannot do what is asked, such as to embed words
    MissingExtraError: 501,
}
_CODES: Mapping[type, str] = {
    UsageError: "usage",
    FilterError: "filter",
    ImageNotFoundError: "not-found",
    ImageError: "image",
    FetchError: "fetch",
    ModelError: "model",
    MissingExtraError: "missing-extra",
}
# What the operator can act on: their texts name files of the server and go to the log alone.
_HIDDEN: Mapping[type, int] = {
    StoreError: 503,
    CollectionInUseError: 503,
    NoAnswerError: 503,  # of the model
    ImageFinderError: 500,
}
_WORDS = {
    404: "There is nothing at this path",
    405: "This path does not take the method {method}",
}


class OverloadedError(Exception):
    """The service has more to do than it takes on; `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"overloaded; try again in {retry_after:g} s")


def problem(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> Response:
    """A response that learns its `request_id` when it is sent; an ASGI application by itself.

    The detail goes out as it is: `scrub` what is not our own words. A member may be `type`.
    """
    first = {"type": "about:blank", "title": title or title_of(status), "status": status}
    return _Problem({**first, "detail": detail, **members}, status, headers)


def install(app: FastAPI) -> None:
    """Every error that a route raises is answered as a problem."""
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ImageFinderError, _known)
    app.add_exception_handler(OverloadedError, _overloaded)
    app.add_exception_handler(ClientGoneError, _gone)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def of_error(error: ImageFinderError) -> Response:
    """The answer to an error of ours; what the operator has to know is logged."""
    status = _status(error)
    if not _is_shown(error):
        log.error("request failed: %s", type(error).__name__, exc_info=error)
        headers = {"Retry-After": RETRY_STORE} if status == 503 else None
        return problem(status, public_text(error), headers=headers)
    code = next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    if isinstance(error, FilterError):
        return problem(status, public_text(error), code=code, column=error.column)
    if isinstance(error, ModelError):  # may be the client's fault or the model's
        log.warning("refused: %s", error)
    return problem(status, public_text(error), code=code)


def public_text(error: ImageFinderError) -> str:
    """What a client may know of an error."""
    if isinstance(error, FilterError):  # its text draws a caret below the expression
        return scrub(f"filter, column {error.column}: {error.problem}")
    if _is_shown(error):
        return scrub(str(error))
    return UNAVAILABLE if _status(error) == 503 else INTERNAL


def overloaded(retry_after: float) -> Response:
    """The answer to one request too many; `retry_after` is in seconds."""
    seconds = str(max(math.ceil(retry_after), 1))
    detail = f"The service is busy; try again in {seconds} s"
    return problem(503, detail, headers={"Retry-After": seconds})


def no_room(error: HTTPException) -> bool:
    """Whether it is the disk, for which FastAPI blames the request."""
    return isinstance(error.__cause__, OSError)


def of_failure(error: Exception) -> Response:
    """The answer to an error that nobody foresaw; it is logged with its traceback."""
    log.error("request failed: %s", type(error).__name__, exc_info=error)
    return problem(500, INTERNAL)


class _Problem(JSONResponse):
    media_type = MEDIA_TYPE

    def __init__(
        self, members: Mapping[str, object], status: int, headers: Mapping[str, str] | None
    ) -> None:
        self._members = members
        super().__init__(members, status, headers)

    def render(self, content: object) -> bytes:
        # A lone surrogate, which JSON can bring in, leaves as its escape.
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = copy(self)  # one problem may answer several requests at once
        if request_id := scope.get("state", {}).get("request_id"):
            sent.body = self.render({**self._members, "request_id": request_id})
            kept = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
            sent.raw_headers = [*kept, (b"content-length", str(len(sent.body)).encode())]
        await JSONResponse.__call__(sent, scope, receive, send)


def _status(error: ImageFinderError) -> int:
    table = {**_HIDDEN, **_SHOWN}
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def _is_shown(error: ImageFinderError) -> bool:
    return next(kind for kind in type(error).__mro__ if kind in {**_HIDDEN, **_SHOWN}) in _SHOWN


# The handlers take Exception, as starlette declares them, and get what they are installed for.


async def _known(_: Request, error: Exception) -> Response:
    assert isinstance(error, ImageFinderError)
    return of_error(error)


async def _unexpected(_: Request, error: Exception) -> Response:
    return of_failure(error)


async def _overloaded(_: Request, error: Exception) -> Response:
    assert isinstance(error, OverloadedError)
    return overloaded(error.retry_after)


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)  # to nobody


async def _not_valid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    told = [_fault(fault["loc"], fault["msg"]) for fault in faults[:MOST_FAULTS]]
    return problem(422, "; ".join(_sentence(fault) for fault in told[:3]), errors=told)


def _fault(where: tuple[str | int, ...], message: str) -> dict[str, str]:
    """Never the input: it may be a file, or huge."""
    inside = where[1:] if len(where) > 1 else where  # body, query, path, header
    field = ".".join(str(part) for part in inside)
    if "Expected UploadFile" in message:
        message = NO_FILE
    message = scrub(message.removeprefix("Value error, "), 300)
    return {"field": cut(printable(field[:400]), 100), "message": message}


def _sentence(fault: Mapping[str, str]) -> str:
    return f"{fault['field']}: {fault['message']}"


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if no_room(error):
        return of_error(StoreError(f"the body cannot be kept on the disk ({error.__cause__})"))
    status, headers = error.status_code, dict(error.headers or {})
    if status in {204, 304}:
        return Response(status_code=status, headers=headers)
    detail = str(error.detail)
    if status in _WORDS and detail == HTTPStatus(status).phrase:  # the router's own
        detail = _WORDS[status].format(method=cut(printable(request.method), 20))
    if status == 405 and (allowed := _methods(request)):
        headers["Allow"] = ", ".join(allowed)
    return problem(status, scrub(detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """What the path takes. The router's own Allow has the methods of one route of it only."""
    scope, routes = request.scope, request.app.routes
    asked = {"type": "http", "path": scope["path"], "root_path": scope.get("root_path", "")}

    def takes(method: str) -> bool:
        probe = {**asked, "method": method, "headers": []}
        return any(route.matches(probe)[0] is Match.FULL for route in routes)

    taken = [method for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if takes(method)]
    return ["GET", "HEAD", *taken[1:]] if "GET" in taken else taken  # HEAD comes with GET
