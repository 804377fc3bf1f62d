"""What of Gradio's server is reached through a service: what its page uses, by those who may.

Gradio has many more routes, which fetch from other hosts, wait in queues without bounds, or keep
histories. At those there is nothing here. A request is `asked` as `GET /path`, the path being below
the app's own.
"""

import re
from collections.abc import Container, Sequence

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from imagefinder.serve.options import Key
from imagefinder.serve.protect.keys import KeyRing

PAGE = "GET /"
UPLOAD = "POST /gradio_api/upload"
SEARCHES = ("POST /gradio_api/run/predict", "POST /gradio_api/run/search")
FILE = "GET /gradio_api/file="  # of an upload
FILES = ("GET /assets/", "GET /static/")  # Gradio's own

# With what the page loads that asks for a key.
_OPEN = re.compile(r"GET /(?:(?:assets|static)/.+|theme\.css|logout)?|POST /login", re.DOTALL)
_NEED_KEY = frozenset({UPLOAD, *SEARCHES, "GET /gradio_api/upload_progress"})
_LONGEST = 8_000  # letters of cookies; ours have less than 200


def leads_somewhere(asked: str) -> bool:
    """Whether there is a route, for anyone."""
    return asked in _NEED_KEY or asked.startswith(FILE) or _OPEN.fullmatch(asked) is not None


def has_key(scope: Scope) -> bool:
    """Whether a header has brought one that counts."""
    return isinstance(scope["state"].get("key"), Key)


class Gate:
    """Without keys everyone may do what there is to do."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.has_keys = bool(keys)
        self._keys = KeyRing(keys)

    def log_in(self, _: str, password: str) -> bool:
        """As Gradio's page asks: with any name, and a key for a password."""
        return self._keys.match(password.strip().encode()) is not None

    def lets_in(
        self, asked: str, scope: Scope, cookies: Sequence[str], tokens: Container[object]
    ) -> bool:
        """Whether who asks may: by a key in a header, or by one of the cookies of these names, with
        a token that was given out at the log-in."""
        if not self.has_keys or has_key(scope) or _OPEN.fullmatch(asked):
            return True
        sent = cookie_parser(Headers(scope=scope).get("cookie", "")[:_LONGEST])
        return any(sent.get(name) in tokens for name in cookies)
