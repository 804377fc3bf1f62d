"""How problem details look in the OpenAPI description."""

from http import HTTPStatus
from typing import TypeAlias

MEDIA_TYPE = "application/problem+json"
NAME = "Problem"  # in the description's components

Described: TypeAlias = dict[int | str, dict[str, object]]  # by status, as FastAPI takes it

SCHEMA: dict[str, object] = {
    "type": "object",
    "title": NAME,
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what helps."},
        "request_id": {"type": "string", "description": "What the operator finds it by."},
        "code": {
            "type": "string",
            "description": "Of what kind: usage, filter, not-found, image, fetch, model,"
            " missing-extra.",
        },
        "column": {"type": "integer", "description": "Where a filter cannot be read, from 1."},
        "errors": {
            "type": "array",
            "description": "What is not valid in the request.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_DESCRIPTIONS = {
    400: "The request makes no sense, such as a filter that cannot be read.",
    401: "No API key, or none that is known.",
    403: "The key or the server does not allow it.",
    404: "There is no such image, or space.",
    405: "The path does not take this method.",
    408: "The body took too long to arrive.",
    409: "Something else has to end before.",
    413: "The request is too large.",
    415: "The request's media type is not supported.",
    421: "The service does not go by this host name.",
    422: "The request or an image in it is not valid.",
    429: "Too many requests; `Retry-After` says when to try again.",
    500: "An error of the service.",
    501: "The service lacks an optional part.",
    503: "Too busy, or not ready; `Retry-After` says when to try again.",
}
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # in every Python alike
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


def title_of(status: int) -> str:
    """What a problem of this status is called."""
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _described(status: int) -> dict[str, object]:
    schema = {"$ref": f"#/components/schemas/{NAME}"}
    example = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": _DESCRIPTIONS[status].replace("`", ""),
        "request_id": "2acffe2e7da749ef90c9daca53d8e662",
    }
    found: dict[str, object] = {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }
    if status in _HEADERS:
        found["headers"] = {_HEADERS[status]: {"schema": {"type": "string"}}}
    return found


ERRORS: Described = {status: _described(status) for status in _DESCRIPTIONS}

_ANY_ROUTE = (401, 421, 429, 500, 503)
_ANY_BODY = (400, 403, 408, 413, 415, 422)  # of requests that have one


def errors(*statuses: int, body: bool = False) -> Described:
    """What a route may answer: these, what all may, and what comes with a request's `body`."""
    wanted = {*statuses, *_ANY_ROUTE, *(_ANY_BODY if body else ())}
    return {status: ERRORS[status] for status in sorted(wanted)}
