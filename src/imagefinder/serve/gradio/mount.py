"""The Gradio app below /gradio of a service. To import Gradio takes seconds, so that waits until
somebody comes."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from imagefinder.serve.gradio.gate import leads_somewhere
from imagefinder.serve.gradio.uploads import Uploads
from imagefinder.serve.problems import problem
from imagefinder.serve.protect.paths import GRADIO, route_path
from imagefinder.serve.service import Service

if TYPE_CHECKING:
    from imagefinder.serve.gradio.server import GradioServer

NOT_INSTALLED = "The Gradio app needs: pip install 'imagefinder[gradio]'"
NOTHING = "There is nothing at this path"


def is_installed() -> bool:
    """Found, and not imported."""
    return find_spec("gradio") is not None


class GradioMount:
    """An ASGI application. `stop` it with the service."""

    path = GRADIO  # by which its requests are counted

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server: GradioServer | None = None
        self._starting = asyncio.Lock()

    def install(self, app: FastAPI) -> None:
        """Below GRADIO, with the way there from the address without a slash."""
        app.add_route(GRADIO, self._slash, include_in_schema=False)
        app.mount(GRADIO, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        asked = f"{method} {route_path(scope)}"
        scope["route"] = self
        if not is_installed():
            await problem(404, NOT_INSTALLED)(scope, receive, send)
        elif not leads_somewhere(asked):
            await problem(404, NOTHING)(scope, receive, send)
        else:
            server = await self._started()
            await server.answer(asked, scope, receive, send)

    async def stop(self) -> None:
        """Remove what people uploaded."""
        if self._server is not None:
            await asyncio.to_thread(self._server.close)

    async def _slash(self, _: Request) -> Response:
        if not is_installed():
            return problem(404, NOT_INSTALLED)
        return RedirectResponse(f"{GRADIO.removeprefix('/')}/")

    async def _started(self) -> "GradioServer":
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.to_thread(asyncio.run, start(self._service))
            return self._server


async def start(service: Service) -> "GradioServer":
    """Import Gradio, and build. Awaits nothing: for a thread with an event loop of its own, without
    which Gradio makes several, and leaves them open."""
    uploads = Uploads()
    try:
        folder = str(uploads.folder)
        with environment(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False"):
            from imagefinder.serve.gradio.server import GradioServer

            return GradioServer(service, uploads)
    except BaseException:
        uploads.remove()
        raise


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """What Gradio takes from there, while it is imported and built."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
