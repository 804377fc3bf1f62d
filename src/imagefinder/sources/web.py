"""Images over HTTP(S): polite to hosts, patient with faults, and never without a bound."""

import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx

from imagefinder._version import __version__
from imagefinder.errors import FetchError

MAX_REDIRECTS = 5
MIN_RATE = 10_000  # bytes a second; a transfer may take `timeout` and the time for this rate
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds between attempts
HEADERS = {
    "User-Agent": f"imagefinder/{__version__}",
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",  # images are compressed already
}
RETRIED = frozenset({429, 500, 502, 503, 504})
_WORDS = (
    (socket.gaierror, "host not found"),
    (ssl.SSLError, "TLS failed"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection reset"),
)


class Web:
    """An HTTP client that follows redirects, tries again, and bounds size, time and connections."""

    def __init__(
        self,
        max_bytes: int,
        timeout: float,
        retries: int,
        per_host: int,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._max_bytes, self._timeout, self._retries = max_bytes, timeout, retries
        self._gates = _Gates(per_host)
        self._closed = threading.Event()
        self._client = httpx.Client(
            headers=HEADERS,
            timeout=httpx.Timeout(timeout, pool=None),  # the gates do what the pool would wait for
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            transport=transport,
        )

    def read(self, url: str) -> bytes:
        for attempt in range(self._retries + 1):
            try:
                return self._follow(url)
            except _TransientError as error:
                if attempt == self._retries or error.wait > LONGEST_WAIT:
                    times = f" ({attempt + 1} attempts)" if attempt else ""
                    raise FetchError(f"{error}{times}") from error
                # Jitter, so that many failing at once do not come back at once.
                backoff = FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.0)
                self._sleep(min(max(backoff, error.wait), LONGEST_WAIT))
        raise AssertionError("unreachable")

    def close(self) -> None:
        self._closed.set()
        self._client.close()

    def _follow(self, url: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            try:
                found = self._get(httpx.URL(url))
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                raise FetchError("not a valid URL") from error
            except httpx.HTTPError as error:
                raise self._translated(error) from error
            if isinstance(found, bytes):
                return found
            url = str(found)
        raise FetchError(f"more than {MAX_REDIRECTS} redirects")

    def _get(self, url: httpx.URL) -> bytes | httpx.URL:
        """The content, or the URL that the answer redirects to."""
        gate = self._gates.of(url)
        with gate.slots:
            self._sleep(gate.closed_until - time.monotonic())
            started = time.monotonic()
            with self._client.stream("GET", url) as response:
                if response.next_request is not None:
                    return _checked_redirect(response.next_request.url)
                if response.status_code in RETRIED:
                    wait = _retry_after(response.headers.get("Retry-After", ""))
                    gate.closed_until = max(gate.closed_until, time.monotonic() + min(wait, 60))
                    raise _TransientError(f"HTTP {response.status_code}", wait)
                if response.status_code != httpx.codes.OK:
                    raise FetchError(f"HTTP {response.status_code}")
                return b"".join(self._bounded(response, started))

    def _bounded(self, response: httpx.Response, started: float) -> Iterator[bytes]:
        too_large = FetchError(f"larger than {self._max_bytes / 1e6:g} MB")
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise too_large
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_bytes:
                raise too_large
            if time.monotonic() - started > self._timeout + size / MIN_RATE:
                raise _TransientError(self._timed_out())
            if self._closed.is_set():
                raise FetchError("stopped")
            yield chunk

    def _translated(self, error: httpx.HTTPError) -> FetchError:
        """In words, and transient where another attempt may help."""
        for cause in _causes(error):
            if isinstance(cause, OSError) and (translated := _network_error(cause)):
                return translated
        if isinstance(error, httpx.TimeoutException):
            return _TransientError(self._timed_out())
        if isinstance(error, httpx.RemoteProtocolError):
            return _TransientError("connection closed before the end")
        if isinstance(error, httpx.TransportError):
            return _TransientError(f"connection failed ({type(error).__name__})")
        return FetchError(f"not proper HTTP ({type(error).__name__})")

    def _timed_out(self) -> str:
        return f"timed out after {self._timeout:g} s"

    def _sleep(self, seconds: float) -> None:
        if self._closed.wait(max(seconds, 0)):
            raise FetchError("stopped")


class _TransientError(FetchError):
    """Another attempt may succeed, after `wait` seconds where the server said so."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        if wait > LONGEST_WAIT:
            reason = f"{reason}, the server asks to wait {wait:.0f} s"
        super().__init__(reason)
        self.wait = wait


class _Gate:
    """What bounds the connections to one host; all wait while it asked for a pause."""

    def __init__(self, limit: int) -> None:
        self.slots = threading.BoundedSemaphore(limit)
        self.closed_until = 0.0  # time.monotonic()


class _Gates:
    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._gates: dict[tuple[str, int | None], _Gate] = {}

    def of(self, url: httpx.URL) -> _Gate:
        with self._lock:
            return self._gates.setdefault((url.host, url.port), _Gate(self._limit))


def _checked_redirect(url: httpx.URL) -> httpx.URL:
    if url.scheme not in ("http", "https"):
        raise FetchError(f"redirected to {url.scheme[:20]}://, which is not followed")
    return url


def _retry_after(header: str) -> float:
    """Seconds; the header holds a number of them or a date."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _network_error(cause: OSError) -> FetchError | None:
    if isinstance(cause, TimeoutError):
        return None  # told with its limit
    if isinstance(cause, ssl.SSLCertVerificationError):
        return FetchError(f"TLS certificate not valid: {cause.verify_message}")
    if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
        return FetchError("host not found")
    words = next((words for kind, words in _WORDS if isinstance(cause, kind)), None)
    return _TransientError(words or f"connection failed: {cause.strerror or cause}".lower())
