"""Security headers on every answer; a route that sets one of them itself keeps its own."""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagefinder.serve.protect.paths import ASSETS, DOCS, PAGE, PAGE_FILES, route_path

_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
}
# Swagger UI and ReDoc make style elements as they go, show images as data and blobs, and ReDoc
# searches in a worker. Scripts are theirs, and those inside the page by their hash.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self';"
    " worker-src blob:; child-src blob:;"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# The page's own files and nothing else; blobs are pictures that the user gave, or that were
# fetched with a key, and data is a picture of the query in an answer.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; media-src 'self' blob:;"
    " base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_PICTURE = re.compile(r"/v1/images/.+/(?:thumbnail|content)", re.DOTALL)


class SecurityHeaders:
    def __init__(self, app: ASGIApp, shared: bool) -> None:
        """`shared`: pages of some other sites may show the pictures."""
        self._app, self._shared = app, shared
        self._everywhere = _raw(_EVERYWHERE)
        self._picture = _raw({**_EVERYWHERE, "cross-origin-resource-policy": "cross-origin"})
        self._assets = _raw({**_EVERYWHERE, "cache-control": "no-cache"})  # asked for by ETag
        self._page = _raw({**_EVERYWHERE, "content-security-policy": _PAGE_POLICY})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = route_path(scope)
        if path in DOCS:
            await self._app(scope, receive, _DocsPage(send).send)
            return
        headers = self._for(path)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message, headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _for(self, path: str) -> "_Headers":
        if path.startswith((ASSETS, PAGE_FILES)):
            return self._assets
        if path == PAGE:
            return self._page
        return self._picture if self._shared and _PICTURE.fullmatch(path) else self._everywhere


class _DocsPage:
    """Holds the start of the answer back until the page is there to take the hashes of."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start is not None:
            policy = _docs_policy(message.get("body", b""))
            start, self._start = self._start, None
            _add(start, _raw({**_EVERYWHERE, "content-security-policy": policy}))
            await self._send(start)
        await self._send(message)


def _docs_policy(page: bytes) -> str:
    digests = [b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    return _DOCS_POLICY.format(hashes="".join(f" 'sha256-{digest}'" for digest in digests))


_Headers = Sequence[tuple[bytes, bytes]]


def _raw(headers: dict[str, str]) -> _Headers:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _add(start: Message, headers: _Headers) -> None:
    own = list(start.get("headers", []))
    names = {name.lower() for name, _ in own}
    start["headers"] = own + [pair for pair in headers if pair[0] not in names]
