"""An exception that nobody caught becomes an answer, inside of what logs and decorates answers."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefinder.serve import problems
from imagefinder.serve.jobs import ClientGoneError

log = logging.getLogger("imagefinder.serve")


class Failures:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except (ClientDisconnect, ClientGoneError):
            log.debug("the client has gone")
        except Exception as error:  # noqa: BLE001 - the last one to see it
            answer = problems.of_failure(error)
            if not started:  # else the server hangs up in the middle of the answer
                await answer(scope, receive, send)
