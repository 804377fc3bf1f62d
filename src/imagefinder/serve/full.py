"""Refuses work while there is too much of it, before the request's body is read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.serve.problems import overloaded
from imagefinder.serve.service import RETRY_AFTER, Service


class Full:
    """Behind the guards, before the routes: taking a form apart costs more than all the rest of a
    refusal. What passes may still be refused, once it has come whole."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and self._service.is_full:
            self._service.metrics.rejected.inc()
            await overloaded(RETRY_AFTER)(scope, receive, send)
        else:
            await self._app(scope, receive, send)
