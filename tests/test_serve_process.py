"""`imagefinder serve` as a process: how it starts, what it logs, how it ends, also when killed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import imagefinder
from imagefinder import ImageFinder, Upload
from imagefinder.collection.directory import DirectoryCollection
from tests.image_server import ImageServer, encoded
from tests.pictures import picture, touch_later, write_pictures

SOON = 30.0  # seconds; what takes as long as that never comes
NAMES = ["a.png", "b.png", "c.png"]
SECRET, OTHER = "a-key-for-writing-0123456789", "a-key-that-nobody-has-987654"


@dataclass
class Running:
    """A service in a process of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path
    collection: Path

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def addresses(self) -> list[str]:
        """Where it said that it answers, each time that it began to."""
        return re.findall(r'"address": "(http://[\d.:]+)"', self.log.read_text())

    def url(self, starts: int = 1) -> str:
        until(lambda: len(self.addresses()) >= starts or self.process.poll() is not None)
        assert self.process.poll() is None, self.lines
        return self.addresses()[-1]

    def end(self, number: int) -> int:
        """Send the signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SOON)


@contextmanager
def serving(
    collection: Path, *options: str, log: str = "log.jsonl", **environment: str
) -> Iterator[Running]:
    """Killed at the end, unless it has ended by then."""
    file = collection.parent / log
    with file.open("wb") as stderr:
        arguments = ["serve", "-c", str(collection), "--port", "0", "--log", "json", *options]
        process = subprocess.Popen(
            [sys.executable, "-m", "imagefinder", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | environment,
        )
    try:
        yield Running(process, file, collection)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(SOON)


def command(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "imagefinder", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )


def until(condition: Callable[[], bool]) -> None:
    """Wait for another process to get there."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def client(url: str, key: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url, headers=headers, timeout=SOON, trust_env=False)


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def image(data: bytes, name: str = "query.png") -> dict[str, tuple[str, bytes]]:
    return {"image": (name, data)}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    write_pictures(folder / "photos", NAMES)
    with ImageFinder.open(folder / "collection") as finder:
        finder.index(folder / "photos")
    return folder / "collection"


@pytest.fixture
def collection(tmp_path: Path, indexed: Path) -> Path:
    shutil.copytree(indexed, tmp_path / "collection")
    return tmp_path / "collection"


# while it runs


@pytest.fixture(scope="module")
def running(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    collection = tmp_path_factory.mktemp("running") / "collection"
    shutil.copytree(indexed, collection)
    with serving(collection, IMAGEFINDER_API_KEYS=f"write:{SECRET}:friend") as running:
        running.url()
        yield running
        if running.process.poll() is None:
            assert running.end(signal.SIGTERM) == 0


def test_other_commands_say_where_the_collection_is_served(running: Running) -> None:
    refused = command("search", "id:a.png", "-c", running.collection)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"a service has the collection open (process {running.process.pid}" in refused.stderr
    (url,) = re.findall(r"-c (http://\S+)", refused.stderr)
    assert url == running.url()
    with client(url, SECRET) as service:
        found = service.post("/v1/search", files=image(png(1)), data={"k": "1"})
        assert [hit["id"] for hit in found.json()["hits"]] == ["b.png"]
        assert service.get("/readyz").status_code == 200


def test_a_port_that_is_taken(running: Running, collection: Path) -> None:
    port = running.url().rpartition(":")[2]
    refused = command("serve", "-c", collection, "--port", port)
    assert refused.returncode in (1, 2)
    assert refused.stderr == (
        f"error: 127.0.0.1:{port}: address already in use;"
        " choose another port with --port, or stop what listens there\n"
    )
    assert not (collection / "lock.json").exists()


def test_log_lines_are_json_and_hold_no_secrets(running: Running) -> None:
    with client(running.url(), SECRET) as service:
        picture_url = "http://user:hunter2@127.0.0.1:9/private.png?signature=hunter3"
        headers = {"X-Request-ID": "the-request-of-this-test"}
        service.post("/v1/search", data={"url": picture_url}, headers=headers)
        service.post("/search-by-url", params={"url": picture_url})
        service.get("/v1/status", params={"key": "hunter4"})
        service.get("/v1/status", headers={"Authorization": f"Bearer {OTHER}"})
        service.get("/v1/status", headers={"X-API-Key": OTHER})
        service.post("/v1/search", files=image(b"broken", "/home/hunter5.png"))
    until(lambda: sum("/v1/status" in line for line in running.lines) >= 3)
    logged = [json.loads(line) for line in running.lines]
    requests = [line for line in logged if line["event"] == "request"]
    assert all(len(line["request_id"]) >= 16 for line in requests)
    assert "the-request-of-this-test" in {line["request_id"] for line in requests}
    assert "friend" in {line.get("key") for line in requests}
    text = running.log.read_text()
    for secret in (SECRET, OTHER, "hunter"):
        assert secret not in text


# how it starts


def test_a_collection_that_is_missing(tmp_path: Path) -> None:
    refused = command("serve", "-c", tmp_path / "none", "--port", "0")
    assert refused.returncode == 1
    assert "there is no such collection" in refused.stderr
    assert "--create or --demo" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_demo_and_reload(tmp_path: Path) -> None:
    """A copy of the package, with few demo images, that may be touched."""
    package = tmp_path / "code" / "imagefinder"
    ignored = shutil.ignore_patterns("__pycache__", "images")
    shutil.copytree(Path(imagefinder.__file__).parent, package, ignore=ignored)
    write_pictures(package / "demo" / "images", NAMES)
    (package / "demo" / "images.csv").write_text(
        "id,path\n" + "".join(f"{name},images/{name}\n" for name in NAMES)
    )
    options = ("--demo", "--reload")
    with serving(
        tmp_path / "collection", *options, PYTHONPATH=str(package.parent), PYTHONPYCACHEPREFIX=""
    ) as running:
        with client(running.url()) as service:
            assert service.get("/v1/status").json()["images"] == 3
        touch_later(package / "serve" / "app.py")
        with client(running.url(starts=2)) as service:
            assert service.get("/v1/status").json()["images"] == 3
        assert running.end(signal.SIGTERM) == 0
    assert_closed(tmp_path / "collection")


# how it ends


def assert_closed(collection: Path) -> None:
    assert not (collection / "lock.json").exists()
    with closing(DirectoryCollection(collection, "test")) as opened:
        assert opened.ledger.unsettled() == ([], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_that_run_are_answered_before_it_ends(collection: Path, number: int) -> None:
    gate = threading.Event()
    answers: dict[str, httpx.Response] = {}

    def ask(path: str, url: str) -> None:
        answers[path] = service.post(path, data={"url": url})

    with (
        ImageServer().running() as pictures,
        serving(collection, "--allow-network", "127.0.0.0/8") as running,
        client(running.url()) as service,
    ):
        pictures.before.append(gate)
        threads = [
            threading.Thread(target=ask, args=(path, pictures.url("new.jpg")))
            for path in ("/v1/search", "/v1/images")
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert pictures.arrived.acquire(timeout=SOON)
        running.process.send_signal(number)
        until(lambda: not listens(running.url()))
        time.sleep(0.5)  # whatever it does at the end, it does while they run
        gate.set()
        for thread in threads:
            thread.join(SOON)
        assert running.process.wait(SOON) == 0
        assert json.loads(running.lines[-1])["event"] == "stopped; the collection is closed"
    assert len(answers["/v1/search"].json()["hits"]) == 3
    assert answers["/v1/images"].json()["added"] == ["new.jpg"]
    assert_closed(collection)
    status = command("status", "--json", "-c", collection)
    assert (status.returncode, json.loads(status.stdout)["images"]) == (0, 4)


def listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=SOON).close()
    except ConnectionRefusedError:
        return False
    return True


class Uploader(threading.Thread):
    """Adds, replaces and removes images of its own until the service is gone, and knows what it
    was told: `images` are those that must be there, `open` is the id of which nobody knows."""

    def __init__(self, url: str, name: str, enough: threading.Semaphore) -> None:
        super().__init__()
        self.images: dict[str, bytes] = {}
        self.open: tuple[str, set[bytes | None]] = ("", set())
        self.problem = ""
        self._url, self._prefix, self._enough = url, name, enough
        self._seed = int.from_bytes(name.encode(), "big") * 10_000

    def run(self) -> None:
        with client(self._url) as service:
            try:
                for step in range(10_000):
                    self._work(service, step)
                    self._enough.release()
            except httpx.TransportError:
                pass  # it was killed
            except AssertionError as error:
                self.problem = str(error)

    def _work(self, service: httpx.Client, step: int) -> None:
        id = f"{self._prefix}/{step // 3}"
        before = self.images.get(id)
        if step % 3 < 2:  # added, and then replaced
            data = png(self._seed + step)
            self.open = (id, {before, data})
            form = {"id": id, "source": "camera"}
            answer = service.post("/v1/images", files=image(data, "x.png"), data=form)
            assert answer.status_code == 201, answer.text
            assert answer.json()["added"] + answer.json()["updated"] == [id], answer.text
            self.images[id] = data
        elif step % 2:  # removed
            self.open = (id, {before, None})
            assert service.delete(f"/v1/images/{id}").status_code == 204
            del self.images[id]
        self.open = ("", set())


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    known: dict[str, bytes] = {}
    for round in range(3):
        enough = threading.Semaphore(0)
        with serving(collection, "--create") as running:
            uploaders = [Uploader(running.url(), f"{round}{who}", enough) for who in "ab"]
            for uploader in uploaders:
                uploader.start()
            for _ in range(20 + 7 * round):
                assert enough.acquire(timeout=SOON)
            running.end(signal.SIGKILL)
            for uploader in uploaders:
                uploader.join(SOON)
        with ImageFinder.open(collection) as finder:
            stored = {record.id: finder.read(record.id) for record in finder.images()}
            for uploader in uploaders:
                assert not uploader.problem
                id, possible = uploader.open
                known |= uploader.images
                if id:
                    assert stored.get(id) in possible
                    known.pop(id, None)
                    known |= {id: stored[id]} if id in stored else {}
            assert stored == known
            assert len(finder) == len(known)
            for id, data in list(known.items())[-12:]:
                best = finder.search(data, k=1)[0]
                assert (best.id, best.score) == (id, pytest.approx(1, abs=1e-4))
            after = f"after/{round}"
            assert finder.add([Upload(png(round), after)]).added == [after]
            known[after] = png(round)
