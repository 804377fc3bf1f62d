"""Object stores and whatever else fsspec reads: s3://, gs://, memory://, zip://, sftp://, ..."""

import errno
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imagefinder.errors import FetchError, MissingExtraError, SourceError

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

EXTRAS = {"s3": "s3", "s3a": "s3"}  # the others are named by fsspec's own words
# s3fs tries 5 times what its client tries 5 times, with 15 s for an answer: a server that is silent
# would hold an image for more than 6 minutes. So it is 1.5, and faults are still tried again.
S3_ATTEMPTS, S3_CLIENT_ATTEMPTS = 2, 3
S3_CONNECTIONS = 50  # at most; its client has 10, fewer than threads that may read
_WORDS = {  # by the names of botocore's errors
    "NoCredentialsError": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
    " FSSPEC_S3_ANON=true where anybody may read",
    "PartialCredentialsError": "half of the credentials is missing; set AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY",
    "EndpointConnectionError": "connection failed",
    "ConnectionClosedError": "connection closed before the end",
    "ConnectTimeoutError": "timed out",
    "ReadTimeoutError": "timed out",
}


def open_store(url: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of a URL, and the path within it. Opens no connection yet, with most.

    Raises SourceError in words without the URL, MissingExtraError."""
    from fsspec.core import url_to_fs  # 0.1 s

    protocol = protocol_of(url)
    try:
        # A cached listing would hide what was added since, and grow with the bucket.
        filesystem, path = url_to_fs(url, use_listings_cache=False, **_options(url))
    except ImportError as error:
        if protocol in EXTRAS:
            raise MissingExtraError(f"an {protocol}:// address", EXTRAS[protocol]) from error
        raise SourceError(f"a {protocol}:// address needs a driver: {error}") from error
    except ValueError as error:
        if is_known(protocol):
            raise SourceError("not a valid address") from error
        raise SourceError(f"{protocol}:// is no known kind of address") from error
    except Exception as error:  # drivers raise what they like, some connect right here
        raise SourceError(reason(error)) from error
    if protocol in EXTRAS:
        filesystem.retries = S3_ATTEMPTS
    return filesystem, path


def protocol_of(url: str) -> str:
    """`s3` of `s3://bucket/a.jpg`, `zip` of `zip::s3://bucket/a.zip`."""
    return url.partition(":")[0].lower()


def without_secrets(url: str) -> str:
    """Of a URL that names a place: no user, and no parameters, which may hold keys."""
    before, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return before + mark + host.rpartition("@")[2] + (slash + path).partition("?")[0]


def is_known(protocol: str) -> bool:
    return protocol in ("http", "https", "file") or protocol in _known_protocols()


def read(filesystem: "AbstractFileSystem", path: str, max_bytes: int) -> bytes:
    """All of an object, in one request with most drivers. Raises FetchError."""
    data = read_part(filesystem, path, 0, max_bytes + 1)
    if len(data) > max_bytes:
        raise FetchError(f"larger than {max_bytes / 1e6:g} MB")
    return data


def read_part(filesystem: "AbstractFileSystem", path: str, start: int, size: int) -> bytes:
    """`size` bytes from `start` on, fewer where the object ends. Raises FetchError."""
    try:
        data = filesystem.cat_file(path, start=start, end=start + size)
    except FileNotFoundError as error:
        raise FetchError("no such object") from error
    except Exception as error:  # each driver has its own errors
        if _is_beyond_end(error):
            return b""
        raise FetchError(reason(error)) from error
    if not isinstance(data, bytes):
        raise FetchError("not a file of bytes")
    return data


def pieces(filesystem: "AbstractFileSystem", path: str, size: int) -> Iterator[bytes]:
    """An object in pieces of so many bytes. Raises FetchError."""
    try:
        with filesystem.open(path, "rb", block_size=size) as file:
            while piece := file.read(size):
                yield piece
    except FileNotFoundError as error:
        raise FetchError("no such object") from error
    except Exception as error:  # each driver has its own errors
        raise FetchError(reason(error)) from error


def mtime_ns(info: Mapping[str, object]) -> int | None:
    """When the object was written; each driver has a name and a type of its own for it."""
    names = ("LastModified", "last_modified", "mtime", "modified", "updated", "created")
    value = next((info[name] for name in names if info.get(name) is not None), None)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return round(value * 1e9) if isinstance(value, int | float) else None


def reason(error: Exception) -> str:
    """A driver's error in one line. Its text is not trusted to be free of secrets or short."""
    if isinstance(error, PermissionError):
        return "access denied"
    if isinstance(error, TimeoutError):
        return "timed out"
    if words := _WORDS.get(type(error).__name__):
        return words
    text = str(error).strip().partition("\n")[0]
    if not text or "://" in text or "@" in text:
        return f"cannot be read ({type(error).__name__})"
    return f"cannot be read: {text[:200]}"


def _options(url: str) -> dict[str, object]:
    """What the drivers of a URL, which may be a chain such as `zip://a::s3://b`, are told."""
    links = {protocol_of(link) for link in url.split("::")}
    options: dict[str, object] = {}
    for protocol in links & set(EXTRAS):
        from fsspec.config import conf

        config = {
            "retries": {"total_max_attempts": S3_CLIENT_ATTEMPTS, "mode": "standard"},
            "max_pool_connections": S3_CONNECTIONS,
        }
        config |= conf.get("s3", {}).get("config_kwargs", {})  # what the user says is said last
        options[protocol] = {"config_kwargs": config}
    return options


def _is_beyond_end(error: Exception) -> bool:
    """Whether a store refuses a range because nothing is there: an empty object has none."""
    cause = error.__cause__
    status = getattr(cause, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 416 or (isinstance(error, OSError) and error.errno == errno.ERANGE)


def _known_protocols() -> list[str]:
    from fsspec import available_protocols

    return list(available_protocols())
