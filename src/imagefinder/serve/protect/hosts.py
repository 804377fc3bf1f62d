"""Only for the hosts that the service goes by: against pages that rebind their name to it."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.errors import UsageError
from imagefinder.serve.problems import problem
from imagefinder.serve.protect.paths import HEALTH, route_path

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{0,5}))?")


class Hosts:
    """`example.org`, `[::1]`, `*.example.org` for all below it, `*` for any; ports do not count.

    Health checks pass: an orchestrator makes them by the address, and they tell nothing.
    """

    def __init__(self, app: ASGIApp, allowed: Sequence[str]) -> None:
        self._app, self._any = app, not allowed or "*" in allowed
        self._below = tuple(name[1:].lower() for name in allowed if name.startswith("*."))
        exact = [name for name in allowed if name != "*" and not name.startswith("*.")]
        self._exact = {_host_of_option(name) for name in exact}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._any or route_path(scope) in HEALTH:
            await self._app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("Host")
        parsed = parse(hosts[0]) if len(hosts) == 1 else None
        if parsed is None:
            await problem(400, "The request needs one Host header")(scope, receive, send)
        elif parsed[0] in self._exact or parsed[0].endswith(self._below):
            await self._app(scope, receive, send)
        else:
            await problem(421, "The service does not go by this host name")(scope, receive, send)


def parse(netloc: str) -> tuple[str, str] | None:
    """Host, in one form for all ways to write it, and port, maybe empty; None where it is none."""
    found = _HOST.fullmatch(netloc)
    if found is None:
        return None
    host = found["host"].lower().removesuffix(".")
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return (host, found["port"] or "") if host else None


def _host_of_option(name: str) -> str:
    parsed = parse(name) or parse(f"[{name}]")  # `::1` is what people write
    if parsed is None:
        raise UsageError(f"allowed host {name!r}: not a host name; write example.org or [::1]")
    return parsed[0]
