"""Gradio's own server with the manners of this service: its keys, bounds and headers."""

import asyncio
import re
import secrets

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefinder.serve.gradio.app import MOST, gradio_app, looks
from imagefinder.serve.gradio.gate import FILE, FILES, PAGE, SEARCHES, UPLOAD, Gate, has_key
from imagefinder.serve.gradio.page import CleanPage
from imagefinder.serve.gradio.question import is_upload
from imagefinder.serve.gradio.searching import runner_of, thumbnail_of
from imagefinder.serve.gradio.uploads import Uploads
from imagefinder.serve.problems import problem
from imagefinder.serve.protect.body import Body
from imagefinder.serve.protect.keys import unauthorized
from imagefinder.serve.protect.paths import GRADIO
from imagefinder.serve.service import Service

QUESTION_BYTES = 100_000  # the options and the name of an upload; 600 are usual
KEPT = b"private, max-age=86400"  # by browsers: the names of files change with what is in them
LOG_IN = "<p>Any user name, with an API key of this service for the password.</p>"

# Gradio would believe the first ones, allow other sites by Origin what only our own options allow,
# and compress pictures, which are compressed.
_IGNORED = re.compile(rb"x-forwarded-.*|x-gradio-.*|origin|accept-encoding")
_SAME_SITE = re.compile(rb"SameSite=\w+", re.IGNORECASE)


class GradioServer:
    """Gradio's server of the service's collection; `close` it at the end."""

    def __init__(self, service: Service, uploads: Uploads) -> None:
        options = service.options
        self._gate, self._uploads = Gate(options.keys), uploads
        self._app = gradio_server(service, self._gate)
        self._cookies = tuple(
            f"access-token{way}-{self._app.cookie_id}" for way in ("", "-unsecure")
        )
        self._ticket = secrets.token_urlsafe()  # for those whose key came in a header
        self._app.tokens[self._ticket] = "key"
        self._page = CleanPage(self._app)
        self._search = Body(self._app, QUESTION_BYTES, options.body_seconds)

    async def answer(self, asked: str, scope: Scope, receive: Receive, send: Send) -> None:
        """The request `asked`, as the gate calls it."""
        if not self._gate.lets_in(asked, scope, self._cookies, self._app.tokens):
            await unauthorized(scope, receive, send)
        elif asked.startswith(FILE) and not is_upload(
            asked.removeprefix(FILE), self._uploads.folder
        ):
            await problem(404, "There is no such upload, or not any more")(scope, receive, send)
        else:
            if asked == UPLOAD:
                await asyncio.to_thread(self._uploads.make_room)
            app = self._app_for(asked)
            await app(self._seen_by_gradio(scope), receive, mannered(asked, send))

    def close(self) -> None:
        """Remove what was uploaded."""
        self._uploads.remove()

    def _app_for(self, asked: str) -> ASGIApp:
        return self._page if asked == PAGE else self._search if asked in SEARCHES else self._app

    def _seen_by_gradio(self, scope: Scope) -> Scope:
        headers = [pair for pair in scope["headers"] if not _IGNORED.fullmatch(pair[0])]
        if has_key(scope):
            headers = [pair for pair in headers if pair[0] != b"cookie"]
            headers.append((b"cookie", f"{self._cookies[0]}={self._ticket}".encode()))
        return {**scope, "headers": headers}


def gradio_server(service: Service, gate: Gate) -> App:
    """With the log-in where the service has keys."""
    blocks = gradio_app(
        service.finder,
        name=service.name,
        most=min(MOST, service.options.max_results),
        thumbnail=thumbnail_of(service),
        run=runner_of(service),
    )
    blocks.state_session_capacity = 100  # Gradio would remember the options of 10,000 visitors
    around = gr.mount_gradio_app(
        FastAPI(),
        blocks,
        GRADIO,
        auth=gate.log_in if gate.has_keys else None,
        auth_message=LOG_IN,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        **looks(),
    )
    mount = around.routes[-1]
    assert isinstance(mount, Mount)
    assert isinstance(mount.app, App)
    return mount.app


def mannered(asked: str, send: Send) -> Send:
    """The answer with its proper status and headers."""

    async def send_mannered(message: Message) -> None:
        if message["type"] == "http.response.start":
            if asked in SEARCHES and message["status"] == 500:
                message["status"] = 400  # ours are words in the answer; this is Gradio's
            headers = [
                (name, _SAME_SITE.sub(b"SameSite=Lax", value) if name == b"set-cookie" else value)
                for name, value in message["headers"]
            ]
            if asked.startswith(FILES) and message["status"] == 200:
                headers.append((b"cache-control", KEPT))
            message["headers"] = headers
        await send(message)

    return send_mannered
