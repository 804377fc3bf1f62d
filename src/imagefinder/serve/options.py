"""What an operator decides; the command line fills it in from options and the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from imagefinder.errors import UsageError

MEGABYTE = 1_000_000
SHORTEST_SECRET = 16  # letters of an API key


class Access(StrEnum):
    """What a key is good for."""

    READ = "read"
    WRITE = "write"  # and reading


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `name` stands for it in logs and metrics."""

    name: str
    secret: str = field(repr=False)
    access: Access = Access.READ


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Everything that `create_app` can be told. The defaults are for one's own machine."""

    # who may do what
    keys: tuple[Key, ...] = ()  # none: everyone who reaches the service may do everything
    read_only: bool = False  # nobody changes the collection over HTTP
    rate_limit: str | None = None  # "120/minute", for each key or address
    allowed_hosts: tuple[str, ...] = ()  # what the Host header may be; none: anything
    cors_origins: tuple[str, ...] = ()
    # how much
    max_body_bytes: int = 50 * MEGABYTE
    body_seconds: float = 30.0  # for a request's body to arrive
    max_megapixels: float = 100.0
    max_side: int = 30_000  # pixels
    request_seconds: float = 30.0  # for the work on one request
    max_waiting: int = 32  # requests that wait for a place; one more is answered 503
    max_results: int = 1000  # k, and images on a page
    # fetching by URL
    fetch_urls: bool = True
    fetch_bytes: int = 50 * MEGABYTE
    fetch_seconds: float = 10.0
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()  # private ones that may be fetched
    # what is shown
    serve_content: bool = False
    full_paths: bool = False
    # the reference routes
    query_dir: Path | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict)


def parse_keys(text: str) -> tuple[Key, ...]:
    """Keys, one a line: `read:SECRET`, `write:SECRET`, with a name for the logs
    `write:SECRET:NAME`; lines that begin with # are comments. Raises UsageError without a secret.
    """
    lines = [line.strip() for line in text.splitlines()]
    named = [line for line in lines if line and not line.startswith("#")]
    return tuple(parse_key(line, number) for number, line in enumerate(named, 1))


def parse_key(line: str, number: int) -> Key:
    """One line."""
    access, _, rest = line.partition(":")
    secret, _, name = rest.partition(":")
    if access.lower() not in tuple(Access) or not secret:
        raise UsageError(f"API key {number}: write it as read:SECRET or write:SECRET")
    if len(secret) < SHORTEST_SECRET:
        raise UsageError(
            f"API key {number}: {len(secret)} letters can be guessed, take {SHORTEST_SECRET} or"
            " more, as python3 -c 'import secrets; print(secrets.token_urlsafe())' makes them"
        )
    return Key(name or f"{access.lower()}-{number}", secret, Access(access.lower()))
