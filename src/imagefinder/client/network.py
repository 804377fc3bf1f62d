"""Why nothing answers, in words."""

import ssl
from collections.abc import Iterator

import httpx

from imagefinder.errors import CollectionError


def gone(error: httpx.RequestError, url: str, *, known: bool) -> CollectionError:
    """Nothing answers, or not to the end. `known`: it did before."""
    if known:
        return CollectionError(f"{url}: the service does not answer any more ({words(error)})")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        remedy = "" if "TLS" in words(error) else "; start it with: imagefinder serve"
        return CollectionError(f"no service answers at {url} ({words(error)}){remedy}")
    return CollectionError(f"{url}: no proper answer ({words(error)}); check the address")


def words(error: httpx.RequestError) -> str:
    """Why, as far as the network tells."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "TLS failed"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, OSError) and not isinstance(cause, TimeoutError) and cause.strerror:
            return cause.strerror.lower()
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long"
    return "connection closed" if isinstance(error, httpx.RemoteProtocolError) else "network error"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
