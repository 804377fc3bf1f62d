"""HTTP with one service: its address, the key, patience, and its errors as ours."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from itertools import count
from random import uniform
from threading import Event
from typing import Any, TypeAlias, TypeVar

import httpx

from imagefinder._version import __version__
from imagefinder.client.address import base_url, is_own_machine
from imagefinder.client.network import gone
from imagefinder.client.patience import USUAL, Patience, Trouble, Troubles
from imagefinder.client.problems import busy, error_of, no_service
from imagefinder.errors import CollectionError, ImageNotFoundError, UsageError

T = TypeVar("T")

Answer: TypeAlias = Mapping[str, Any]  # JSON; whoever reads it raises on what does not fit
Field: TypeAlias = tuple[str, "str | tuple[str, bytes, str]"]  # a value, or a file
Form: TypeAlias = list[Field]
Params: TypeAlias = Sequence[tuple[str, str]]

BUSY = frozenset({429, 502, 503, 504})  # a proxy says 502 and 504 while the service restarts
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between attempts, where the service names none
TIMEOUT = httpx.Timeout(60.0, connect=10.0, pool=None)  # the service itself gives up after 30 s
LIMITS = httpx.Limits(
    max_connections=None,
    max_keepalive_connections=16,
    keepalive_expiry=3.0,  # servers close idle connections after 5 s, often while one is reused
)


class AgainError(Exception):
    """Another attempt may succeed, after `wait` seconds where the service says so; `problem` is
    what to raise when there is none."""

    def __init__(self, trouble: Trouble, problem: CollectionError, wait: float = 0.0) -> None:
        super().__init__(trouble.value)
        self.trouble, self.problem, self.wait = trouble, problem, wait


class Connection:
    """A service. Safe to use from several threads."""

    def __init__(self, where: str, api_key: str | None) -> None:
        self.url = base_url(where)
        self._answered, self._closed, self._troubles = False, Event(), Troubles()
        headers = {"User-Agent": f"imagefinder/{__version__}", "Accept": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {checked_key(api_key)}"
        try:
            self._client = httpx.Client(
                base_url=f"{self.url}/",
                headers=headers,
                timeout=TIMEOUT,
                limits=LIMITS,
                trust_env=not is_own_machine(httpx.URL(self.url).host),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"{self.url}: not a valid address ({error})") from error

    def get(
        self,
        path: str,
        read: Callable[[Answer], T],
        params: Params = (),
        patience: Patience = USUAL,
    ) -> T:
        """What `read` makes of the answer."""
        try:
            response = self.request("GET", path, params=params, patience=patience)
        except ImageNotFoundError:  # no list is of one image, so it is the path that is missing
            raise no_service(self.url) from None
        return self._read(response, read)

    def post(
        self, path: str, form: Form, read: Callable[[Answer], T], patience: Patience = USUAL
    ) -> T:
        """What `read` makes of the answer to a form."""
        response = self.request("POST", path, form=form, patience=patience)
        return self._read(response, read)

    def patch(self, path: str, body: Mapping[str, object], read: Callable[[Answer], T]) -> T:
        """What `read` makes of the answer to a JSON object."""
        return self._read(self.request("PATCH", path, body=body), read)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        form: Form | None = None,
        body: Mapping[str, object] | None = None,
        patience: Patience = USUAL,
    ) -> httpx.Response:
        """A good answer. Raises what error_of makes of a bad one, and CollectionError."""
        sent = [*params, *(form or ())]
        filter = next((str(value) for name, value in sent if name == "filter"), "")
        request = self._client.build_request(
            method,
            path,
            params=list(params) or None,
            files=None if form is None else list(encoded(form)),
            json=body,
        )
        request.read()  # so that it can be sent again
        mine = Troubles()
        for attempt in count():
            self._check_open()
            try:
                return self._ask(request, filter)
            except AgainError as again:
                wait = max(again.wait, min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * uniform(0.5, 1))
                spent = max(mine.meet(again.trouble), self._troubles.meet(again.trouble))
                if spent + wait > patience.limit(again.trouble):
                    raise again.problem from again
                self._wait(wait, patience.stop, again.problem)
        raise AssertionError("unreachable")

    def _ask(self, request: httpx.Request, filter: str) -> httpx.Response:
        """A good answer at once. Raises AgainError where another attempt may help."""
        try:
            response = self._client.send(request)
        except httpx.RequestError as error:
            problem = gone(error, self.url, known=self._answered)
            if not self._answered or isinstance(error, httpx.TimeoutException):
                raise problem from error
            raise AgainError(Trouble.GONE, problem) from error
        self._answered = True
        self._troubles.end(Trouble.GONE)
        if response.status_code in BUSY:
            raise AgainError(Trouble.BUSY, busy(response, self.url), retry_after(response))
        self._troubles.end(Trouble.BUSY)
        if response.is_success:
            return response
        raise error_of(response, self.url, filter)

    def close(self) -> None:
        """Ends waits and connections."""
        self._closed.set()
        self._client.close()

    def _read(self, response: httpx.Response, read: Callable[[Answer], T]) -> T:
        try:
            return read(response.json())
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise no_service(self.url) from error

    def _wait(self, seconds: float, stop: Event | None, problem: CollectionError) -> None:
        """Raises the problem once `stop` is set."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if stop is not None and stop.is_set():
                raise problem
            if self._closed.wait(min(left, 0.1)):
                self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise CollectionError(f"{self.url}: the collection is closed; open it again")


def checked_key(key: str) -> str:
    """The key as a header can carry it. Raises UsageError, which does not show it."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UsageError("the API key is empty, or has letters that no key has")
    return key


def encoded(form: Form) -> Iterator[tuple[str, tuple[str | None, bytes, str | None]]]:
    """All of it as parts of a multipart body: only these keep their order."""
    for name, value in form:
        if isinstance(value, str):  # a lone half of a letter could not be sent
            yield name, (None, value.encode("utf-8", "replace"), None)
        else:
            yield name, value


def retry_after(response: httpx.Response) -> float:
    """Seconds; the header holds a number of them or a date."""
    header = response.headers.get("Retry-After", "").strip()
    if header.isdecimal():
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return 0.0
