"""API keys: who may read, and who may change the collection."""

from collections.abc import Sequence
from hashlib import sha256
from secrets import compare_digest

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imagefinder.errors import UsageError
from imagefinder.serve.options import Access, Key
from imagefinder.serve.problems import problem
from imagefinder.serve.protect.paths import guards_itself, is_open, is_writing

_CHALLENGE = 'Bearer realm="imagefinder"'


class KeyRing:
    """The keys of a service. Raises UsageError for secrets that cannot be told apart."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._known = [(key, _digest(_secret(key))) for key in keys]
        if len({digest for _, digest in self._known}) < len(keys):
            raise UsageError("two API keys have the same secret; give each its own")

    def match(self, secret: bytes) -> Key | None:
        """Compares with all keys, and digests only: the time tells neither which nor how long."""
        digest, found = _digest(secret), None
        for key, known in self._known:
            if compare_digest(digest, known):
                found = key
        return found


class Keys:
    """Without keys everyone may do everything, except what `read_only` rules out.

    `denied` answers a request that has no key, or none that counts.
    """

    def __init__(
        self, app: ASGIApp, keys: Sequence[Key], read_only: bool, denied: ASGIApp | None = None
    ) -> None:
        self._app, self._read_only = app, read_only
        self._denied = denied or unauthorized
        self._keys, self._ring = keys, KeyRing(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        presented = _presented(scope)
        key = self._ring.match(next(iter(presented))) if len(presented) == 1 else None
        scope.setdefault("state", {})["key"] = key
        if is_open(scope):
            app = self._app
        elif self._keys and key is None and (presented or not guards_itself(scope)):
            app = self._denied
        elif is_writing(scope) and self._read_only:
            app = problem(403, "The collection is served read-only")
        elif is_writing(scope) and key is not None and key.access is not Access.WRITE:
            app = problem(403, "This API key may read, and not change the collection")
        else:
            app = self._app
        await app(scope, receive, send)


async def unauthorized(scope: Scope, receive: Receive, send: Send) -> None:
    presented = _presented(scope)
    if not presented:
        challenge, detail = _CHALLENGE, "This needs an API key: 'Authorization: Bearer KEY'"
    elif len(presented) > 1:
        challenge, detail = _CHALLENGE, "The request has several API keys; send one"
    else:
        challenge, detail = f'{_CHALLENGE}, error="invalid_token"', "The API key is not valid"
    headers = {"WWW-Authenticate": challenge}
    await problem(401, detail, headers=headers)(scope, receive, send)


def _presented(scope: Scope) -> set[bytes]:
    """Every key of the request. A proxy's `Authorization: Basic` is none."""
    headers = Headers(scope=scope)
    found = headers.getlist("X-API-Key")
    for value in headers.getlist("Authorization"):
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer":
            found.append(rest)
    # The bytes as they were sent. White space is what HTTP calls so: 0xa0 may end a letter.
    return {key.strip(" \t").encode("latin-1") for key in found if key.strip(" \t")}


def _secret(key: Key) -> bytes:
    if not key.secret or key.secret != key.secret.strip() or not key.secret.isprintable():
        raise UsageError(f"the API key {key.name!r} is empty, or has spaces around it")
    return key.secret.encode()


def _digest(secret: bytes) -> bytes:
    return sha256(secret).digest()
