"""The middlewares in their order."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect.access_log import AccessLog
from imagefinder.serve.protect.body import Body
from imagefinder.serve.protect.cross_site import CrossSite
from imagefinder.serve.protect.failures import Failures
from imagefinder.serve.protect.headers import SecurityHeaders
from imagefinder.serve.protect.hosts import Hosts
from imagefinder.serve.protect.keys import Keys, unauthorized
from imagefinder.serve.protect.request_id import HEADER, RequestId


def protected(app: ASGIApp, options: ServeOptions) -> ASGIApp:
    """The application behind everything that guards it: `app.add_middleware(protected, ...)`.

    From the inside out. A body is read by those only who passed all else. Requests are counted
    once it is known whose they are; those that have no valid key are counted by address, so that
    nobody tries keys at will. Failures answers for all of these. CORS stands before the keys,
    because a browser asks its permission without them, and around Failures, because a page that
    may ask may also read what went wrong. For a wrong host there is nothing, not even that. The
    headers, the log line and the id are on every answer whoever gives it, and the id is outermost:
    the log line has it.
    """
    origins = [origin.lower().removesuffix("/") for origin in options.cors_origins]
    limited = _Limited(options.rate_limit)
    guarded: ASGIApp = limited(Body(app, options.max_body_bytes, options.body_seconds))
    guarded = Keys(guarded, options.keys, options.read_only, denied=limited(unauthorized))
    guarded = Failures(CrossSite(guarded, origins))
    if origins:
        guarded = _cors(guarded, origins)
    guarded = Hosts(guarded, options.allowed_hosts)
    guarded = SecurityHeaders(guarded, shared=bool(origins))
    return _HttpOnly(RequestId(AccessLog(guarded)), app)


class _HttpOnly:
    """The one place that looks at the scope's type; all middlewares are for HTTP."""

    def __init__(self, guarded: ASGIApp, app: ASGIApp) -> None:
        self._guarded, self._app = guarded, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:  # a websocket: there is none here, and it would come in unguarded
            await send({"type": "websocket.close", "code": 1008})


class _Limited:
    """Puts one limit, with one count, around several applications."""

    def __init__(self, limit: str | None) -> None:
        self._limit = limit
        if limit is not None:
            from imagefinder.serve.protect.rate import Limiter

            self._limiter = Limiter(limit)

    def __call__(self, app: ASGIApp) -> ASGIApp:
        if self._limit is None:
            return app
        from imagefinder.serve.protect.rate import RateLimit

        return RateLimit(app, self._limiter)


def _cors(app: ASGIApp, origins: list[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
        allow_headers=("Authorization", "X-API-Key", "Content-Type", HEADER),
        expose_headers=(HEADER, "Retry-After", "ETag"),
    )
