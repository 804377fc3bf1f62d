"""The service of a small collection: a real server in a thread."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from imagefinder import ImageFinder
from imagefinder.protocols import Embedder
from imagefinder.serve.app import create_app
from imagefinder.serve.options import ServeOptions
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures

NAMES = ("animals/cat.png", "animals/dog.png", "bird.png", "fish.png", "tree.png")


@dataclass(frozen=True)
class Served:
    """`client` has the base URL and the key; `finder` is the one that the service uses."""

    url: str
    client: httpx.Client
    finder: ImageFinder
    app: FastAPI
    collection: Path
    pictures: Path  # the folder that was indexed


@contextmanager
def served(
    folder: Path,
    options: ServeOptions | None = None,
    *,
    names: Sequence[str] = NAMES,
    embedder: Embedder | None = None,
    key: str | None = None,
) -> Iterator[Served]:
    """A service of `folder/collection`, which is made from pictures of these names where there is
    none: picture `n` of the names is `tests.pictures.picture(n)`, in `folder/pictures`."""
    collection, pictures = folder / "collection", folder / "pictures"
    finder = ImageFinder.open(collection, embedder=embedder or FakeEmbedder())
    try:
        if not collection.exists():
            write_pictures(pictures, names)
            finder.index(pictures)
        app = create_app(finder, options)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with (
            listening(app) as port,
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, trust_env=False
            ) as client,
        ):
            yield Served(str(client.base_url), client, finder, app, collection, pictures)
    finally:
        finder.close()


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """The port of 127.0.0.1 at which the application answers; it has started up then, and shut down
    at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, ws="none")
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        server.settled.wait()
        assert server.started, "the service did not start; the log says why"
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class _Server(uvicorn.Server):
    """`settled` is set once it answers, or will not."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.settled.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()
