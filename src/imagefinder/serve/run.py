"""Running the service: a socket, a collection, a server, until a signal ends it."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from uvicorn.supervisors import ChangeReload

from imagefinder.decode import DecodeLimits
from imagefinder.errors import CollectionNotFoundError, UsageError
from imagefinder.local import LocalFinder, open_finder
from imagefinder.serve.app import create_app
from imagefinder.serve.logs import Style, set_up_logging
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect.hosts import LOOPBACK

log = logging.getLogger("imagefinder.serve")

TALKATIVE = ("uvicorn.error", "httpx", "httpcore")  # their notes say less than ours, or too much
SHUTDOWN_SECONDS = 30  # for requests that run when the service is told to end
UNFINISHED = "demo.unfinished"  # in the cache of a collection that did not get all demo images yet
BACKLOG = 2048  # connections that wait to be accepted
IDLE_SECONDS = 75  # that a connection is kept open: longer than proxies keep theirs


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve and where. `start` is for a collection that does not exist: "refuse", "empty"
    or "demo"."""

    where: str
    options: ServeOptions
    token: str | None = field(default=None, repr=False)  # of a cluster
    model: str | None = None
    device: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8000
    start: str = "refuse"
    trusted_proxies: str = ""  # addresses whose X-Forwarded-* headers are believed, with commas
    root_path: str = ""  # the prefix that a proxy serves it below
    log_style: Style = "json"
    reload: bool = False
    page: str = ""  # the path of what people are to look at


def run(plan: Plan) -> None:
    """Serve until SIGTERM or Ctrl-C; what runs then is finished.

    Raises UsageError for an address that cannot be had, CollectionError.
    """
    if is_loopback(plan.host) or plan.options.allowed_hosts:
        # this machine's own names harm nobody: no page can rebind its name to be one of them
        hosts = (*plan.options.allowed_hosts, *LOOPBACK)
        plan = replace(plan, options=replace(plan.options, allowed_hosts=hosts))
    with bound(plan.host, plan.port) as listening:
        if plan.reload:
            # the supervisor needs a configuration for the folders it watches only
            config = uvicorn.Config("", reload=True, reload_dirs=[package()], log_config=None)
            ChangeReload(config, target=partial(serve, plan), sockets=[listening]).run()
        else:
            serve(plan, [listening])


def serve(plan: Plan, sockets: list[socket.socket]) -> None:
    """In this process, on sockets that listen already."""
    logging.getLogger().handlers.clear()  # the command line's own
    set_up_logging(plan.log_style, sys.stderr)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    finder = opened(plan)
    finder.fetch_models()
    try:
        config = uvicorn.Config(
            create_app(finder, plan.options),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(plan.trusted_proxies),
            forwarded_allow_ips=plan.trusted_proxies or None,
            root_path=plan.root_path,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            ws="none",
        )
        warn(plan)
        url = address_of(sockets[0])
        finder.announce(url)
        server = Server(config, partial(tell, url, plan.page, finder))
        for number in (signal.SIGINT, signal.SIGTERM):
            # for a signal before uvicorn takes them over; once it has ended properly on one it
            # raises that again, and then this is all that is left to do
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        server.run(sockets=sockets)
    finally:
        finder.close()
    log.info("stopped; the collection is closed")


class Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def tell(url: str, page: str, finder: LocalFinder) -> None:
    """Where it is; a program that starts it reads `address`."""
    told = {"address": url, "images": len(finder)}
    where = f"ImageFinder answers at {url}{page}, described at {url}/docs; Ctrl-C ends it"
    log.info(where, extra=told)


def warn(plan: Plan) -> None:
    """About what is most likely not meant."""
    if not is_loopback(plan.host) and not plan.options.keys:
        may = "search" if plan.options.read_only else "search, add and delete images"
        log.warning("everyone who reaches %s may %s: set API keys", plan.host, may)


def opened(plan: Plan) -> LocalFinder:
    """The collection, begun where there is none and the plan says so."""
    options = plan.options
    limits = DecodeLimits(
        max_bytes=options.max_body_bytes,
        max_megapixels=options.max_megapixels,
        max_side=options.max_side,
    )
    finder = open_finder(
        plan.where,
        model=plan.model,
        embedder=None,
        limits=limits,
        api_key=plan.token,
        device=plan.device,
        on_fetch=tell_fetch,
    )
    try:
        finder.status()
    except CollectionNotFoundError as error:
        if plan.start == "refuse":
            raise CollectionNotFoundError(
                f"{error}, or serve with --create or --demo to begin with"
            ) from error
        finder.create()
    if plan.start == "demo":
        begin_with_demo(finder)
    return finder


def tell_fetch(file: str, done: int, total: int | None) -> None:
    """A line as a download begins."""
    if done == 0:
        log.info("fetching %s", file)


def begin_with_demo(finder: LocalFinder) -> None:
    """Index the demo images into a collection in which nothing ever was, or go on where an earlier
    start was cut off. A collection that somebody has emptied stays empty."""
    status = finder.status()
    unfinished = finder.collection.cache / UNFINISHED
    if unfinished.exists() or not (status.images or status.sources):
        log.info("indexing the demo images")
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        finder.index(demo_images())
        unfinished.unlink()


def demo_images() -> Path:
    """The table of the images that come with the package."""
    return Path(str(files("imagefinder"))) / "demo" / "images.csv"


def package() -> str:
    """The folder of the package."""
    return str(files("imagefinder"))


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UsageError that says what to do."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # TCP by its number: asyncio asks for it before it switches off Nagle's algorithm, which
        # would hold back every answer for 40 ms
        listening = socket.socket(family, kind, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # elsewhere it would let two services have the port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
        return listening
    except OSError as error:
        if isinstance(error, socket.gaierror):
            raise UsageError(f"{host}: no address of this machine; name one with --host") from error
        raise UsageError(
            f"{host}:{port}: {os.strerror(error.errno or 0).lower()};"
            " choose another port with --port, or stop what listens there"
        ) from error


def address_of(listening: socket.socket) -> str:
    """The URL at which this machine reaches it."""
    host, port = listening.getsockname()[:2]
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
