"""The service of a small collection: a real server in a thread."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from imagefinder import ImageFinder
from imagefinder.protocols import Embedder
from imagefinder.serve.app import create_app
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.run import bound
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
    root_path: str = "",
) -> Iterator[Served]:
    """A service of `folder/collection`, which is made from pictures of these names where there is
    none: picture `n` of the names is `tests.pictures.picture(n)`, in `folder/pictures`.

    Its client looks at every error that it gets: see `checked`.
    """
    collection, pictures = folder / "collection", folder / "pictures"
    finder = ImageFinder.open(collection, embedder=embedder or FakeEmbedder())
    try:
        if not collection.exists():
            write_pictures(pictures, names)
            finder.index(pictures)
        with serving(finder, pictures, options, key=key, root_path=root_path) as service:
            yield service
    finally:
        finder.close()


@contextmanager
def serving(
    finder: ImageFinder,
    pictures: Path,
    options: ServeOptions | None = None,
    *,
    key: str | None = None,
    root_path: str = "",
) -> Iterator[Served]:
    """A service of a collection of this machine, which is closed with it."""
    collection = Path(finder.status().path)
    app = create_app(finder, options)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with (
        listening(app, root_path) as port,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers=headers,
            timeout=30,
            trust_env=False,
            event_hooks={"response": [partial(checked, collection.parent)]},
        ) as client,
    ):
        yield Served(str(client.base_url), client, finder, app, collection, pictures)


def checked(folder: Path, answer: httpx.Response) -> None:
    """No error tells where things are on the server, and those of `/v1` are problem details."""
    if answer.status_code < 400 or answer.request.method == "HEAD":
        return
    text = answer.read().decode()
    for secret in (str(folder), str(Path.cwd()), "site-packages", "Traceback"):
        assert secret not in text, text
    if answer.request.url.path.startswith("/v1"):
        assert answer.headers["content-type"] == "application/problem+json", text
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["detail"]
        assert problem["request_id"] == answer.headers["x-request-id"]


@contextmanager
def listening(app: FastAPI, root_path: str = "") -> Iterator[int]:
    """The port of 127.0.0.1 at which the application answers; it has started up then, and shut down
    at the end."""
    listener = bound("127.0.0.1", 0)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        root_path=root_path,
    )
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
