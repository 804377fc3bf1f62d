"""One log record for each request."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefinder.serve.options import Key
from imagefinder.serve.problems import CLIENT_GONE
from imagefinder.serve.protect.paths import HEALTH, METRICS, route_path
from imagefinder.serve.scrub import cut, printable

log = logging.getLogger("imagefinder.serve")

LONGEST_PATH = 200

_QUIET = HEALTH | {METRICS}  # asked for all the time, by machines


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(receive, send)
        # A mount moves the root path on, so the path is looked at before the router.
        path, started = route_path(scope), time.perf_counter()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            seconds = time.perf_counter() - started
            level = _level(path, exchange.final_status())
            log.log(level, "request", extra=_fields(scope, path, seconds, exchange))


class _Exchange:
    """What went in and out."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.bytes_in = self.bytes_out = 0
        self.status: int | None = None
        self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        elif self.status is None:
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)

    def final_status(self) -> int:
        return CLIENT_GONE if self.gone else self.status or 500


def _level(path: str, status: int) -> int:
    if status >= 500:
        return logging.WARNING
    return logging.DEBUG if path in _QUIET else logging.INFO


def _fields(scope: Scope, path: str, seconds: float, exchange: _Exchange) -> dict[str, object]:
    """Never the query string: it may hold the URL of a private picture, with its signature."""
    state, client = scope.get("state", {}), scope.get("client")
    key, template = state.get("key"), getattr(scope.get("route"), "path", None)
    return {
        "method": cut(printable(scope["method"]), 20),
        "route": template or cut(printable(path[: 2 * LONGEST_PATH]), LONGEST_PATH),
        "status": exchange.final_status(),
        "ms": round(seconds * 1000, 1),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
        "request_id": state.get("request_id"),
        "key": key.name if isinstance(key, Key) else None,
        "client": cut(printable(str(client[0])), 64) if client else None,
    }
