"""Where a collection on a cluster is:
`milvus://[user:password@]host:port/name[?database=..&tls=1&media=URL&index=..&consistency=..]`."""

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from imagefinder.errors import UsageError

__all__ = ["Address", "Consistency", "IndexChoice", "parse_address"]

Consistency: TypeAlias = Literal["session", "bounded", "strong"]
IndexChoice: TypeAlias = Literal["auto", "hnsw", "ivf_sq8", "diskann"]

FORM = "milvus://[user:password@]host:port/name"
DEFAULT_PORT = 19530
PARAMETERS = ("database", "tls", "media", "index", "consistency")
YES, NO = ("1", "true", "yes"), ("0", "false", "no")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)  # as Milvus names them
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """`token` is what the server lets in: `user:password` or an API key. `media` is the URL of the
    folder for the bytes of uploads. `str()` leaves every secret out."""

    host: str
    name: str
    port: int = DEFAULT_PORT
    token: str | None = field(default=None, repr=False)
    database: str | None = None
    tls: bool = False
    media: str | None = field(default=None, repr=False)
    index: IndexChoice = "auto"
    consistency: Consistency = "session"

    @property
    def server(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The address without user, password and token, for people and logs."""
        given = {
            "database": self.database,
            "tls": "1" if self.tls else None,
            "media": None if self.media is None else _without_secrets(self.media),
            "index": None if self.index == "auto" else self.index,
            "consistency": None if self.consistency == "session" else self.consistency,
        }
        query = urlencode({name: value for name, value in given.items() if value}, safe="/:")
        return f"milvus://{self.server}/{self.name}" + (f"?{query}" if query else "")

    def __str__(self) -> str:
        return self.shown


def parse_address(uri: str, token: str | None = None) -> Address:
    """`token` counts where the URI names neither user nor token. Raises UsageError, which names
    what is wrong, and no secret."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _wrong(uri, f"the host or port cannot be read; write {FORM}") from error
    if parts.scheme.lower() != "milvus":
        raise _wrong(uri, f"not an address of a Milvus collection; write {FORM}")
    if parts.fragment or "#" in uri:
        raise _wrong(uri, "'#' has no meaning here; in a password write it as %23")
    if "@" in parts.path:
        raise _wrong(uri, "'/' in the user or password; write it there as %2F")
    if port == 0:
        raise _wrong(uri, f"the port is 0; leave it out for {DEFAULT_PORT}")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise _wrong(uri, f"no host name or IPv4 address; write {FORM}")
    given = _parameters(uri, parts.query)
    return Address(
        host=host,
        name=_name(uri, parts.path),
        port=DEFAULT_PORT if port is None else port,
        token=_token(uri, parts) or token or None,
        database=_database(uri, given.get("database")),
        tls=_tls(uri, given.get("tls", "0")),
        media=_media(uri, given.get("media")),
        index=_one_of(uri, "index", given.get("index", "auto"), get_args(IndexChoice)),  # type: ignore[arg-type]
        consistency=_one_of(  # type: ignore[arg-type]
            uri, "consistency", given.get("consistency", "session"), get_args(Consistency)
        ),
    )


def _token(uri: str, parts: SplitResult) -> str | None:
    if "@" not in parts.netloc:
        return None
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if not colon:
        return unquote(user)  # an API key
    if not user or not password:
        raise _wrong(uri, "a user and a password belong together; write user:password@host")
    if "%3a" in user.lower():
        raise _wrong(uri, "':' in the user; Milvus has no such users")
    return f"{unquote(user)}:{unquote(password)}"


def _name(uri: str, path: str) -> str:
    name = path.strip("/")
    if not name:
        raise _wrong(uri, f"the collection's name is missing; write {FORM}")
    if not _NAME.fullmatch(name):
        raise _wrong(
            uri,
            f"{quote(name, safe=' /%')!r} cannot be a collection's name; use letters, digits, '-',"
            " '_' and '.', a letter or digit first",
        )
    return name


def _parameters(uri: str, query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    known = ", ".join(PARAMETERS)
    for name, _ in pairs:
        if name not in PARAMETERS and "@" in query:  # it could be the end of a password
            raise _wrong(uri, f"'?' in a password is written %3F; as parameters there are {known}")
        if name not in PARAMETERS:
            raise _wrong(uri, f"{name!r} is no parameter of it; there are {known}")
    given = dict(pairs)
    if len(given) < len(pairs):
        raise _wrong(uri, "a parameter comes twice; give it once")
    return given


def _database(uri: str, database: str | None) -> str | None:
    if not database:
        return None
    if not _DATABASE.fullmatch(database):
        raise _wrong(uri, f"{database!r} cannot be a database's name; use letters, digits and '_'")
    return database


def _media(uri: str, url: str | None) -> str | None:
    try:
        readable = not url or bool(urlsplit(url).scheme)
    except ValueError:  # such as a broken IPv6 host
        readable = False
    if not readable:
        raise _wrong(uri, "media is no URL; write one such as media=s3://bucket/folder")
    return url or None


def _tls(uri: str, value: str) -> bool:
    if value.lower() not in YES + NO:
        raise _wrong(uri, f"tls is {value!r}; write tls=1 or tls=0")
    return value.lower() in YES


def _one_of(uri: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    if value.lower() not in choices:
        raise _wrong(uri, f"{name} is {value!r}; choose {', '.join(choices)}")
    return value.lower()


def _without_secrets(url: str) -> str:
    """No user, and no parameters, which may hold keys."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}{parts.path}"


def _wrong(uri: str, problem: str) -> UsageError:
    """Not with `redact`: in what cannot be parsed a secret may stand anywhere before an @."""
    shown = re.sub(r"//.*@", "//", uri, flags=re.DOTALL).partition("?")[0].partition("#")[0]
    return UsageError(f"{shown}: {problem}")
