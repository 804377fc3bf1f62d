"""Gradio's page on its way to the browser: without what names other hosts, and with a policy that
forbids them."""

import re
from base64 import b64encode
from hashlib import sha256

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What previews of other sites would show, and the script for pages that hold this one in a frame,
# which nobody may.
_UNWANTED = re.compile(
    rb"<meta\s+(?:property=\"og:|name=\"twitter:)[^>]*>\s*"
    rb"|<script>(?:(?!</script>).)*iframeResizer\.contentWindow(?:(?!</script>).)*</script>\s*",
    re.DOTALL,
)
# Gradio looks for it at the root; the icon stands in its place.
_MANIFEST = re.compile(rb"<link rel=\"manifest\"[^>]*>")
_ICON = b'<link rel="icon" href="../page/icon.svg" type="image/svg+xml">'
# The address as the browser knows it: a proxy may have called us by another one.
_CONFIG = re.compile(rb"(<script>window\.gradio_config = .*?;)(</script>)", re.DOTALL)
_ROOT = rb'\1window.gradio_config.root = new URL(".", location.href).href.replace(/\\/$/, "");\2'
# How to call the app from programs, also for who has not logged in yet; programs have /v1.
_API = re.compile(rb"(<script>window\.gradio_api_info = ).*?(;</script>)", re.DOTALL)
_NO_API = rb'\1{"named_endpoints": {}, "unnamed_endpoints": {}}\2'
# What the service refuses by itself Gradio would call an error, and no more. The page asks for a
# key again when the service has forgotten it.
_TELLING = b"""<script>
(() => {
  const ask = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await ask(...asked);
    if (answer.status === 401) location.reload();
    if (answer.headers.get("content-type") === "application/problem+json") {
      const words = document.createElement("p");
      words.className = "refused";
      words.role = "alert";
      words.textContent = (await answer.clone().json()).detail;
      document.querySelector(".refused")?.remove();
      document.body.append(words);
      setTimeout(() => words.remove(), 10_000);
    }
    return answer;
  };
})();
</script>
</head>"""
_INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
# Gradio makes style elements as it goes; pictures are in answers (data) or were just given (blob).
_POLICY = (
    "default-src 'none'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; media-src blob:;"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


def cleaned(page: bytes) -> bytes:
    """The page as it is wanted here."""
    page = _MANIFEST.sub(_ICON, _UNWANTED.sub(b"", page))
    page = _CONFIG.sub(_ROOT, _API.sub(_NO_API, page))
    return page.replace(b"</head>", _TELLING, 1)


def policy(page: bytes) -> str:
    """The content security policy of the page: its scripts are the service's files, and those
    inside of it by their hash."""
    digests = [b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(page)]
    return _POLICY.format(hashes="".join(f" 'sha256-{digest}'" for digest in digests))


class CleanPage:
    """Holds the answer back until it is whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send(start, body, send)

        await self._app(scope, receive, hold)

    async def _send(self, start: Message, body: bytes, send: Send) -> None:
        page, headers = cleaned(body), MutableHeaders(raw=list(start["headers"]))
        headers["Content-Length"] = str(len(page))
        headers["Content-Security-Policy"] = policy(page)
        await send({**start, "headers": headers.raw})
        await send({"type": "http.response.body", "body": page})
