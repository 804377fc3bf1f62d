"""What a service answers when something is wrong -> the exceptions of the library."""

import json
import re
from collections.abc import Mapping

import httpx

from imagefinder.client.address import KEY_GOES
from imagefinder.errors import (
    CollectionError,
    FetchError,
    FilterError,
    ImageError,
    ImageFinderError,
    ImageNotFoundError,
    ModelError,
    UsageError,
)

BY_CODE: Mapping[str, type[ImageFinderError]] = {
    "fetch": FetchError,
    "image": ImageError,
    "model": ModelError,
    "not-found": ImageNotFoundError,
    "usage": UsageError,
}
BY_STATUS: Mapping[int, type[ImageFinderError]] = {
    400: UsageError,
    404: ImageNotFoundError,
    408: ImageError,  # this and the next: the body is too large for the service, or for the line
    413: ImageError,
    415: ImageError,
    422: ImageError,
}


class ForbiddenError(CollectionError):
    """The service knows who asks, and does not do it."""


def error_of(response: httpx.Response, url: str, filter: str = "") -> ImageFinderError:
    """The exception that says what the answer says. `url` is the service's, `filter` what was sent
    as one."""
    status, problem = response.status_code, details(response)
    if status in (401, 403):
        return refused(status, str(problem.get("detail") or ""), url)
    if status == 421:
        return CollectionError(f"{url}: the service does not go by this name; see --allowed-host")
    if problem:
        return told(status, problem, url, filter)
    if response.is_redirect:
        target = response.headers.get("Location", "elsewhere").partition("?")[0]
        return CollectionError(f"{url}: it redirects to {target}; use the address that it names")
    if status == 413:  # a proxy's
        return ImageError("the request is larger than the service takes")
    return failed(url, status, problem) if response.is_server_error else no_service(url)


def refused(status: int, detail: str, url: str) -> CollectionError:
    """It is a matter of keys."""
    if status == 401:
        return CollectionError(f"{url}: {detail or 'it wants an API key'}; {KEY_GOES}")
    remedy = f"; {KEY_GOES}" if "key" in detail.lower() else ""
    return ForbiddenError(f"{url}: {detail or 'it does not allow this'}{remedy}")


def told(status: int, problem: Mapping[str, object], url: str, filter: str) -> ImageFinderError:
    """What the service itself says."""
    detail = str(problem.get("detail") or "")
    if isinstance(column := problem.get("column"), int):
        return FilterError(re.sub(r"^filter, column \d+: ", "", detail), filter, column)
    if "errors" in problem:  # fields of the request
        return UsageError(detail)
    kind = BY_CODE.get(str(problem.get("code"))) or BY_STATUS.get(status)
    return kind(detail) if kind else failed(url, status, problem)


def details(response: httpx.Response) -> Mapping[str, object]:
    """The problem details (RFC 9457), empty where the answer holds none."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = json.loads(response.content)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def busy(response: httpx.Response, url: str) -> CollectionError:
    """It may work later."""
    detail = str(details(response).get("detail") or f"HTTP {response.status_code}")
    remedy = "" if "again" in detail else "; try again later"
    return CollectionError(f"{url}: {detail}{remedy}")


def failed(url: str, status: int, problem: Mapping[str, object]) -> CollectionError:
    """An error of the service's own."""
    detail, id = problem.get("detail") or "no more is known", problem.get("request_id")
    told = f" (request {id})" if id else ""
    return CollectionError(f"{url}: the service failed with HTTP {status}: {detail}{told}")


def no_service(url: str) -> CollectionError:
    """Something else answers."""
    return CollectionError(
        f"{url}: what answers there is no ImageFinder service, or one of another version;"
        " check the address"
    )
