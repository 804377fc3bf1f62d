"""A service whose model waits for the test, and what is asked of it meanwhile."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from imagefinder import ImageFinder
from imagefinder.serve.cores import Cores
from imagefinder.serve.options import ServeOptions
from imagefinder.testing import FakeEmbedder
from tests.image_server import encoded
from tests.pictures import picture, write_pictures
from tests.serving import NAMES, Served, served

SOON = 10.0  # seconds; what takes as long as that never comes
WORKING = 8  # requests that one core works on at once

Serve = Callable[..., Served]
Ask = Callable[..., "Future[httpx.Response]"]


class Model(FakeEmbedder):
    """Waits while `open` is not set; fails while there is an `error`, and always on dark images."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.error: BaseException | None = None
        self.batches: list[int] = []
        self.prepared = 0  # images

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        self.prepared += 1
        return super().preprocess(image)

    def embed(self, tensors: np.ndarray) -> np.ndarray:
        self.batches.append(len(tensors))
        assert self.open.wait(SOON)
        if self.error is not None:
            raise self.error
        if any(tensor.max() < 0 for tensor in tensors):
            raise RuntimeError("too dark")
        return super().embed(tensors)


def make_collection(folder: Path) -> Path:
    write_pictures(folder / "pictures", NAMES)
    with ImageFinder.open(folder / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(folder / "pictures")
    return folder / "collection"


def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bounds on every machine, and no search of the service's own in between."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr("imagefinder.serve.probe.EVERY", 1000.0)
    # but cores to spare for those who compute: the model of these tests waits while it holds one
    monkeypatch.setattr("imagefinder.serve.service.Cores", lambda: Cores(64))


@contextmanager
def starting(folder: Path, collection: Path, model: Model) -> Iterator[Serve]:
    """Starts a service of a copy of the collection; the model is let go before it ends."""
    shutil.copytree(collection, folder / "collection")
    with ExitStack() as stack:

        def start(**options: object) -> Served:
            serving = served(folder, ServeOptions(**options), embedder=model)  # type: ignore[arg-type]
            service = stack.enter_context(serving)
            model.batches.clear()  # without the service's own
            model.prepared = 0
            return service

        try:
            yield start
        finally:
            model.open.set()


@contextmanager
def asking() -> Iterator[Ask]:
    """Sends requests, each on a thread of its own."""
    with ThreadPoolExecutor(64) as pool:

        def send(
            service: Served, path: str = "/v1/search", **parts: object
        ) -> "Future[httpx.Response]":
            return pool.submit(service.client.post, path, **parts)  # type: ignore[arg-type]

        yield send


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


DARK = encoded(picture(1).point(lambda value: value // 8), "PNG")


def image(data: bytes, name: str = "query.png") -> dict[str, list[tuple[str, tuple[str, bytes]]]]:
    return {"files": [("image", (name, data))]}


def metric(service: Served, name: str, **labels: str) -> float:
    text = service.client.get("/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"imagefinder_{name}" and labels.items() <= sample.labels.items()
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for the service to get there."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


def admitted(service: Served, count: int) -> None:
    """Wait until so many requests are worked on."""
    until(lambda: metric(service, "requests_admitted") == count)


def assert_found(answer: httpx.Response, seed: int) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.json()["hits"][0]["id"] == NAMES[seed]


def assert_busy(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "busy" in answer.json()["detail"]


def assert_at_rest(service: Served) -> None:
    """Nothing is left of what was."""
    admitted(service, 0)
    until(lambda: metric(service, "queue_depth") == 0)


@contextmanager
def connected(service: Served) -> Iterator[socket.socket]:
    """A connection of a client that may hang up."""
    host, port = service.url.removeprefix("http://").rstrip("/").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=SOON)) as connection:
        yield connection


def raw(service: Served, path: str, **parts: object) -> bytes:
    """A whole request as it goes over the wire."""
    request = service.client.build_request("POST", path, **parts)  # type: ignore[arg-type]
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n".encode() + request.read()


def readiness(service: Served) -> int:
    return service.client.get("/readyz").status_code
