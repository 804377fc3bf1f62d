"""Where a service is: `http://host:port`, with a path below it or none."""

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from imagefinder.errors import UsageError
from imagefinder.sources.address import redact

KEY_GOES = "a key goes into IMAGEFINDER_API_KEY (in Python: api_key=)"


def base_url(where: str) -> str:
    """The address without a slash at its end. Raises UsageError, which shows no secret."""
    try:
        parts = urlsplit(where)
        host, netloc, _ = parts.hostname, parts.netloc, parts.port
    except ValueError as error:
        raise UsageError(f"{redact(where)}: not a valid address ({error})") from None
    user, at, place = netloc.rpartition("@")
    shown = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    if at or user:
        raise UsageError(f"{shown}: no user or password belongs into the address; {KEY_GOES}")
    if not host or parts.query or parts.fragment:
        raise UsageError(f"{shown}: not the address of a service; it is http://host:port")
    return shown


def is_own_machine(host: str) -> bool:
    """Whether no proxy can stand between."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
