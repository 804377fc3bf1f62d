"""Object stores and whatever else fsspec reads: s3://, gs://, memory://, zip://, sftp://, ..."""

from typing import TYPE_CHECKING

from imagefinder.errors import FetchError, MissingExtraError, SourceError
from imagefinder.sources.address import redact, scheme

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

EXTRAS = {"s3": "s3", "s3a": "s3"}  # the others are named by fsspec's own words


def open_store(url: str) -> "tuple[AbstractFileSystem, str]":
    """The file system of a URL, and the path within it. Opens no connection yet, with most."""
    from fsspec.core import url_to_fs  # 0.1 s

    protocol = scheme(url) or ""
    try:
        # A cached listing would hide what was added since, and grow with the bucket.
        filesystem, path = url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        if protocol in EXTRAS:
            raise MissingExtraError(f"{protocol}:// sources", EXTRAS[protocol]) from error
        raise SourceError(f"{protocol}:// sources need a driver: {error}") from error
    except ValueError as error:
        if protocol not in _known_protocols():
            problem = f"{protocol}:// is no known kind of address"
            raise SourceError(f"{redact(url)}: {problem}") from error
        raise SourceError(f"{redact(url)}: not a valid address") from error
    except Exception as error:  # drivers raise what they like, some connect right here
        raise SourceError(f"{redact(url)}: {reason(error)}") from error
    return filesystem, path


def is_known(protocol: str) -> bool:
    return protocol in ("http", "https", "file") or protocol in _known_protocols()


def read(filesystem: "AbstractFileSystem", path: str, max_bytes: int) -> bytes:
    try:
        with filesystem.open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise FetchError("no such object") from error
    except Exception as error:  # each driver has its own errors
        raise FetchError(reason(error)) from error
    if not isinstance(data, bytes):
        raise FetchError("not a file of bytes")
    if len(data) > max_bytes:
        raise FetchError(f"larger than {max_bytes / 1e6:g} MB")
    return data


def read_head(filesystem: "AbstractFileSystem", path: str, size: int) -> bytes:
    try:
        return bytes(filesystem.cat_file(path, start=0, end=size))
    except Exception as error:  # each driver has its own errors
        raise FetchError(reason(error)) from error


def reason(error: Exception) -> str:
    """A driver's error in one line. Its text is not trusted to be free of secrets or short."""
    if isinstance(error, PermissionError):
        return "access denied"
    if isinstance(error, TimeoutError):
        return "timed out"
    text = str(error).strip().partition("\n")[0]
    if not text or "://" in text or "@" in text:
        return f"cannot be read ({type(error).__name__})"
    return f"cannot be read: {text[:200]}"


def _known_protocols() -> list[str]:
    from fsspec import available_protocols

    return list(available_protocols())
