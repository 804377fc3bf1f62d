"""A page of another site may not make a browser work for it, least of all change a collection."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.serve.problems import problem
from imagefinder.serve.protect.hosts import parse
from imagefinder.serve.protect.paths import SAFE_METHODS

_OWN = frozenset({"same-origin", "none"})  # none: typed in, or a bookmark
_PORTS = {"http": "80", "https": "443"}


class CrossSite:
    """Browsers say where a request comes from, and pages cannot lie about it. Requests that say
    nothing pass: they are no browser's. What browsers only read is left to CORS and CORP."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in SAFE_METHODS or self._may_pass(Headers(scope=scope)):
            await self._app(scope, receive, send)
        else:
            detail = "Pages of other sites may not do this; the operator can allow their origin"
            await problem(403, detail)(scope, receive, send)

    def _may_pass(self, headers: Headers) -> bool:
        origins, sites = headers.getlist("Origin"), headers.getlist("Sec-Fetch-Site")
        if origins and all("*" in self._origins or one in self._origins for one in origins):
            return True
        if sites:  # better than the origin: right behind a proxy that changes Host, too
            return all(site in _OWN for site in sites)
        host = headers.get("Host", "")
        return all(_is_same(origin, host) for origin in origins)


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin, such as `https://example.org`, is the host's. TLS may end before us, so
    the scheme tells nothing but the port that is left out."""
    scheme, _, netloc = origin.partition("://")
    theirs, ours = parse(netloc), parse(host)
    if theirs is None or ours is None or scheme not in _PORTS:
        return False
    default = _PORTS[scheme]
    return (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)
