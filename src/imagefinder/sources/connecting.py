"""TCP connections to addresses that were checked, all of them within one time limit."""

import ipaddress
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future

import httpcore

from imagefinder.errors import FetchError
from imagefinder.sources.networks import Address, Network, may_fetch_from

NOT_ALLOWED = "the address is not allowed"
MOST_TRIED = 4  # addresses of one name: a name with hundreds is no list of targets
# A look-up cannot be interrupted, so it may outlive the fetch that gave up on it.
_LOOKUPS = threading.BoundedSemaphore(64)


class Deadline:
    """`seconds` from now on, for everything that one fetch waits for."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self, timeout: float | None = None) -> float | None:
        """Seconds to wait at most, None without a bound. Raises where nothing is left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        shorter = left if timeout is None else min(left, timeout)
        return None if shorter == math.inf else shorter


class CheckedBackend(httpcore.NetworkBackend):
    """Resolves a name once, checks all of its addresses, and connects to none but these.

    There is no second look-up that could answer otherwise (DNS rebinding). One address that is
    not allowed is enough to refuse the name.
    """

    def __init__(self, allowed: Iterable[Network], deadline: Deadline) -> None:
        self._allowed, self._deadline = tuple(allowed), deadline
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port, self._deadline.left(timeout))
        if not all(may_fetch_from(address, self._allowed) for address in addresses):
            raise FetchError(NOT_ALLOWED)
        waiting = addresses[:MOST_TRIED]
        while waiting:
            address, *waiting = waiting
            left = self._deadline.left(timeout)
            share = left and left / (1 + len(waiting))  # some for the next one, if this is silent
            try:
                stream = self._tcp.connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not waiting:
                    raise
            else:
                return _TimedStream(stream, self._deadline)
        raise httpcore.ConnectError("the name has no address")

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise FetchError(NOT_ALLOWED)


class _TimedStream(httpcore.NetworkStream):
    """A stream that ends at the deadline, also where each byte comes in time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout)
        return _TimedStream(
            self._stream.start_tls(ssl_context, server_hostname, left), self._deadline
        )

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int, timeout: float | None) -> list[Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        return list(
            dict.fromkeys(ipaddress.ip_address(text) for text in _found(host, port, timeout))
        )


def _found(host: str, port: int, timeout: float | None) -> list[str]:
    """What the system resolves a name to. Gives up after the timeout, which resolvers do not."""
    if not _LOOKUPS.acquire(timeout=timeout):
        raise httpcore.ConnectTimeout
    answer: Future[list[str]] = Future()
    try:
        threading.Thread(
            target=_look_up, args=(host, port, answer), name="look-up", daemon=True
        ).start()
    except RuntimeError as error:  # the system has no thread left
        _LOOKUPS.release()
        raise httpcore.ConnectError from error
    try:
        return answer.result(timeout)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout from error
    except (OSError, ValueError) as error:
        raise httpcore.ConnectError from error


def _look_up(host: str, port: int, answer: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.set_result([str(address[0]) for *_, address in found])
    except (OSError, ValueError) as error:
        answer.set_exception(error)
    finally:
        _LOOKUPS.release()
