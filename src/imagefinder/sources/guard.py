"""Fetching for strangers: http(s) only, from public addresses only, and never for long."""

import ipaddress
import math
import re
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import httpcore
import httpx

from imagefinder.errors import FetchError
from imagefinder.sources.connecting import NOT_ALLOWED, CheckedBackend, Deadline
from imagefinder.sources.networks import Network
from imagefinder.sources.web import Web

# Reasons that strangers are told. They say nothing about the network that the service is in.
NOT_HTTP = "only http:// and https:// URLs are fetched"
NOT_FETCHED = "the URL cannot be fetched"
COMPRESSED = "the server sends it compressed, which is not read"

MAX_URL = 8000  # bytes of path and query: they go out in one piece, so sending cannot be drawn out
MAX_NAME = 253
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
)


class GuardedFetcher:
    """Reads http(s) URLs that came over HTTP, from any number of threads at once.

    `seconds` bounds a fetch as a whole: name look-up, redirects, a server that drips. `allowed`
    are networks that may be fetched from though they are not public. Each fetch has connections
    and cookies of its own, so that strangers share nothing and nothing grows.
    """

    def __init__(self, *, max_bytes: int, seconds: float, allowed: Sequence[Network] = ()) -> None:
        self._max_bytes, self._seconds, self._allowed = max_bytes, seconds, tuple(allowed)
        self._tls = httpx.create_ssl_context()  # 20 ms, so not for each fetch
        self._closed = threading.Event()

    def read(self, url: str) -> bytes:
        """The content. Raises FetchError with a reason that may be shown to anybody."""
        if self._closed.is_set():
            raise FetchError("stopped")
        transport = guarded_transport(self._allowed, seconds=self._seconds, tls=self._tls)
        web = Web(self._max_bytes, self._seconds, retries=0, per_host=1, transport=transport)
        try:
            return web.read(url)
        finally:
            web.close()

    def close(self) -> None:
        """Begins no fetch any more; one that is under way ends within its time."""
        self._closed.set()


def guarded_transport(
    allowed: Iterable[Network] = (),
    *,
    seconds: float = math.inf,
    tls: ssl.SSLContext | None = None,
) -> httpx.BaseTransport:
    """An httpx transport to public addresses and the `allowed` networks, on any port.

    Every request is checked, so redirects are. All that passes has `seconds` from now on.
    Proxies of the environment are not asked: they would resolve the names themselves.
    """
    return _GuardedTransport(allowed, Deadline(seconds), tls or httpx.create_ssl_context())


class _GuardedTransport(httpx.BaseTransport):
    # Not an httpx.HTTPTransport with another pool put in: should that attribute get a new name
    # one day, everything would go past the guard.
    def __init__(self, allowed: Iterable[Network], deadline: Deadline, tls: ssl.SSLContext) -> None:
        self._deadline = deadline
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=None,
            max_keepalive_connections=0,  # what was checked once is checked again
            network_backend=CheckedBackend(allowed, deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _check(request.url)
        with _in_public_words(self._deadline):
            answer = self._pool.handle_request(_core_request(request))
        response = httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, self._deadline),
            extensions=answer.extensions,
        )
        if _is_compressed(response):
            response.close()
            raise FetchError(COMPRESSED)
        return response

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, deadline: Deadline) -> None:
        self._answer, self._deadline = answer, deadline

    def __iter__(self) -> Iterator[bytes]:
        with _in_public_words(self._deadline):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def _check(url: httpx.URL) -> None:
    """Refuses what is not to be fetched by its URL alone.

    httpx.URL is the only parser: what it has read is judged here, and connected to.
    """
    if url.scheme not in ("http", "https"):
        raise FetchError(NOT_HTTP)
    if (
        url.userinfo
        or not _is_plain(url.raw_host.decode("ascii"))
        or not (url.port is None or 0 < url.port < 65536)
        or len(url.raw_path) > MAX_URL
    ):
        raise FetchError(NOT_ALLOWED)


def _is_plain(host: str) -> bool:
    """Whether every parser and resolver reads the host the same way.

    Not so are 0x7f.1 or 2130706433, which some take for names and some for addresses, and any
    letter that a name cannot have: percent signs, backslashes, spaces.
    """
    try:
        return "%" not in str(ipaddress.ip_address(host))  # 127.0.0.1 and ::1, not fe80::1%eth0
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return (
            len(host) <= MAX_NAME
            and all(_LABEL.fullmatch(label) for label in labels)
            and not _NUMBER.fullmatch(labels[-1])
        )


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _is_compressed(response: httpx.Response) -> bool:
    # Nobody asked for it, and httpx unpacks 64 kB to any size before its length can be checked.
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    return response.status_code == httpx.codes.OK and encoding not in ("", "identity")


@contextmanager
def _in_public_words(deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        after = "" if deadline.seconds == math.inf else f" after {deadline.seconds:g} s"
        raise FetchError(f"timed out{after}") from error
    except _FAULTS as error:
        raise FetchError(NOT_FETCHED) from error
