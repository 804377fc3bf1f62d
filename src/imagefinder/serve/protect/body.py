"""Bounds on a request's body: how large, and how long it may take to arrive."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefinder.serve.problems import problem

# After a refusal we go on reading for a while: many clients read no answer before they have sent
# all, and a connection that is closed with bytes unread is reset, the answer with it.
LINGER_SECONDS = 2.0
LINGER_BYTES = 64_000_000


class Body:
    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self._app, self._max_bytes, self._seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        intake = _Intake(receive, send, self._max_bytes, self._seconds)
        if _announced(scope) > self._max_bytes:
            intake.refusal = _too_large(self._max_bytes)
        else:
            try:
                await self._app(scope, intake.receive, intake.send)
            except Exception:
                if intake.refusal is None:
                    raise
        if intake.refusal is not None and not intake.started:
            app = intake.refusal if intake.complete else _Lingering(intake.refusal)
            await app(scope, receive, send)


class _RefusedError(HTTPException):
    """Ends the reading. Frameworks let it through, or answer it, which goes no further."""


class _Intake:
    """One request's body on its way to an application that reads when it likes."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, seconds: float) -> None:
        self._receive, self._send = receive, send
        self._max_bytes, self._seconds = max_bytes, seconds
        self._left = seconds  # of the time that is spent waiting for the client
        self._bytes = 0
        self.complete = False
        self.refusal: Response | None = None
        self.started = False

    async def receive(self) -> Message:
        if self.refusal is not None:
            raise _RefusedError(self.refusal.status_code)
        if self.complete:  # what comes now is that the client goes, some time
            return await self._receive()
        message = await self._in_time()
        self._bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self._bytes > self._max_bytes:
            raise self._refused(_too_large(self._max_bytes))
        return message

    async def send(self, message: Message) -> None:
        if self.refusal is not None and not self.started:
            return  # the application's own words for what ended its reading
        self.started = True
        await self._send(message)

    async def _in_time(self) -> Message:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(self._left):
                return await self._receive()
        except TimeoutError:
            detail = f"The body took longer than {self._seconds:g} s to arrive"
            refusal = problem(408, detail, headers={"Connection": "close"})
            raise self._refused(refusal) from None
        finally:
            self._left -= clock() - started

    def _refused(self, refusal: Response) -> _RefusedError:
        self.refusal = refusal
        return _RefusedError(refusal.status_code)


def _announced(scope: Scope) -> int:
    """The largest Content-Length; 0 where none can be read, for then the bytes are counted."""
    values = Headers(scope=scope).getlist("Content-Length")
    # More than 18 digits are too large as they are, and slow to read from some thousands on.
    return max((int(v[:19]) for v in values if v.isascii() and v.isdigit()), default=0)


def _too_large(limit: int) -> Response:
    detail = f"The request is larger than {limit / 1e6:g} MB"
    return problem(413, detail, headers={"Connection": "close"})


class _Lingering:
    """Answers, and leaves the answer open for the rest of the body."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_unfinished(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "more_body": True}
            await send(message)

        await self._response(scope, receive, send_unfinished)
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if not message.get("more_body", False):
            return
        left -= len(message["body"])
