"""Several services over one collection of a cluster: any of them may end, and nobody notices but
who was waiting for its answer."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from imagefinder import ImageFinder
from tests.balancer import Balancer, balancing
from tests.image_server import encoded
from tests.pictures import picture

pytestmark = pytest.mark.milvus

SOON = 60.0  # seconds; what takes as long as that never comes
EACH = 6  # requests of each kind that each replica has answered before one of them ends
SEARCHERS, UPLOADERS = 3, 2
LAST = 5000  # a seed that no client of the load uses


@dataclass
class Replica:
    """A service in a process of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def replica(where: str, log: Path) -> Iterator[Replica]:
    """Killed at the end, unless it has ended by then."""
    options = ["--port", "0", "--log", "json", "--create", "--serve-content"]
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "imagefinder", "serve", "-c", where, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=lines,
            env=os.environ,
        )
    try:
        addresses: list[str] = []
        while not addresses:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
            addresses = re.findall(r'"address": "(http://[\d.:]+)"', log.read_text())
        yield Replica(process, log, addresses[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(SOON)


@pytest.fixture
def where(milvus_address: str, tmp_path: Path) -> str:
    """The address of a collection that is not there yet."""
    media = (tmp_path / "media").as_uri()
    return f"milvus://{milvus_address}/replicas-{uuid4().hex[:8]}?media={media}"


@pytest.fixture
def two(where: str, tmp_path: Path) -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(replica(where, tmp_path / f"replica{n}.jsonl")) for n in range(2)
        ]


def client(url: str) -> httpx.Client:
    """One request a connection, as the balancer wants it."""
    headers = {"Connection": "close"}
    return httpx.Client(base_url=url, timeout=SOON, trust_env=False, headers=headers)


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def name(seed: int) -> str:
    return f"uploads/{seed:05}.png"


def add(service: httpx.Client, seed: int, **headers: str) -> httpx.Response:
    files = {"image": (name(seed), png(seed))}
    return service.post("/v1/images", files=files, data={"id": name(seed)}, headers=headers)


def search(service: httpx.Client, seed: int, **headers: str) -> httpx.Response:
    files = {"image": ("query.png", png(seed))}
    return service.post("/v1/search", files=files, data={"k": "3"}, headers=headers)


def first(service: httpx.Client, seed: int) -> tuple[str, float] | None:
    """The id of the best hit for a picture, and its score; None while nothing can be found."""
    answer = search(service, seed)
    hits = answer.json()["hits"] if answer.status_code == 200 else []
    return (hits[0]["id"], hits[0]["score"]) if hits else None


def listed(service: httpx.Client) -> list[str]:
    """Every id, page by page."""
    found: list[str] = []
    after = ""
    while True:
        page = service.get("/v1/images", params={"after": after, "limit": 100}).json()
        found += [image["id"] for image in page["images"]]
        if not page["next"]:
            return found
        after = page["next"]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_what_one_replica_does_the_other_sees(two: list[Replica]) -> None:
    with client(two[0].url) as one, client(two[1].url) as other:
        assert add(one, 1).status_code == 201
        assert first(one, 1) == (name(1), pytest.approx(1, abs=1e-3))  # its own at once
        until(lambda: first(other, 1) == (name(1), pytest.approx(1, abs=1e-3)))
        until(lambda: other.get(f"/v1/images/{name(1)}/content").content == png(1))
        assert add(other, 2).status_code == 201
        until(lambda: listed(one) == [name(1), name(2)])

        # nobody's id is taken twice, and the same picture again changes nothing
        files = {"image": ("x.png", png(3))}
        taken = one.post("/v1/images", files=files, data={"id": name(2)}).json()
        assert [skip["name"] for skip in taken["skipped"]] == ["x.png"]
        assert add(one, 2).json()["unchanged"] == [name(2)]

        assert one.delete(f"/v1/images/{name(2)}").status_code == 204
        until(lambda: listed(other) == [name(1)])
        until(lambda: first(other, 2) != (name(2), pytest.approx(1, abs=1e-3)))
        assert other.get(f"/v1/images/{name(2)}").status_code == 404
        assert other.get(f"/v1/images/{name(2)}/content").status_code == 404


@dataclass
class Request:
    """One of the load. `status` is None where no answer came."""

    number: str
    seed: int  # of the upload; 0 for a search
    started: float
    status: int | None = None


@dataclass
class Load:
    """Clients that search and upload, each as soon as it has its last answer."""

    url: str
    done: list[Request] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        kinds = [False] * SEARCHERS + [True] * UPLOADERS
        threads = [threading.Thread(target=self._work, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def answered(self, since: float = 0.0) -> Counter[tuple[str, bool]]:
        """(number, whether an upload) of those with an answer that began since then."""
        return Counter(
            (one.number, bool(one.seed))
            for one in list(self.done)
            if one.status is not None and one.started >= since
        )

    def _work(self, uploads: bool) -> None:
        with client(self.url) as service:
            while not self._over.is_set():
                number = next(self._numbers)
                one = Request(str(number), number if uploads else 0, time.monotonic())
                headers = {"X-Request-ID": one.number}
                with suppress(httpx.TransportError):
                    if uploads:
                        one.status = add(service, number, **headers).status_code
                    else:
                        one.status = search(service, LAST, **headers).status_code
                self.done.append(one)


def test_what_comes_from_a_source_that_is_new_is_whole_to_the_other(two: list[Replica]) -> None:
    with client(two[0].url) as one, client(two[1].url) as other:
        assert add(one, 1).status_code == 201
        until(lambda: listed(other) == [name(1)])  # it has looked at the sources just now
        for seed in (2, 3):
            files = {"image": ("x.png", png(seed))}
            answer = one.post("/v1/images", files=files, data={"id": "x", "source": f"s{seed}"})
            assert answer.json()["added"] == ["x"]
            until(lambda: other.get("/v1/images/x").status_code == 200)
            assert other.get("/v1/images/x/content").content == png(seed)
            assert other.delete("/v1/images/x").status_code == 204
            until(lambda: listed(one) == [name(1)])


def test_when_one_is_killed_only_the_requests_that_run_on_it_fail(
    two: list[Replica], where: str
) -> None:
    dying, staying = two
    with client(staying.url) as service:
        assert add(service, LAST).status_code == 201
        with client(dying.url) as other:
            until(lambda: first(other, LAST) is not None)
    with balancing([dying.port, staying.port]) as (url, balancer):
        load = Load(url)
        with load.running():
            until(lambda: both_have_answered(load, balancer, two))
            until(lambda: balancer.running_on(dying.port) >= 2)
            before = time.monotonic()
            dying.process.send_signal(signal.SIGKILL)
            dying.process.wait(SOON)
            after = time.monotonic()
            until(lambda: len(load.answered(since=after)) > 4 * EACH)

    failed = [one for one in load.done if one.status not in (200, 201)]
    for one in failed:
        assert one.status is None, one  # no answer, rather than a wrong one
        passage = balancer.passages[one.number]
        assert passage.port == dying.port, one
        assert passage.started <= after, one
        assert passage.ended is None or passage.ended >= before, one
    assert not [one for one in failed if one.started > after]

    acknowledged = {one.seed for one in load.done if one.seed and one.status == 201} | {LAST}
    in_doubt = {one.seed for one in failed if one.seed}
    with client(staying.url) as service:
        ids = listed(service)
        assert len(ids) == len(set(ids))
        assert {name(seed) for seed in acknowledged} <= set(ids)
        assert set(ids) <= {name(seed) for seed in acknowledged | in_doubt}
        for seed in sorted(acknowledged):
            assert service.get(f"/v1/images/{name(seed)}/content").content == png(seed)
            hits = search(service, seed).json()["hits"]
            alike = [hit["id"] for hit in hits if hit["score"] > 0.9999]
            assert alike == [name(seed)]
        assert service.get("/v1/status").json()["images"] == len(ids)
    with ImageFinder.open(where) as finder:  # a third process' view, of the library
        assert len(finder) == len(ids)


def both_have_answered(load: Load, balancer: Balancer, replicas: list[Replica]) -> bool:
    answers = Counter(
        (balancer.passages[number].port, upload) for number, upload in load.answered()
    )
    kinds = [(each.port, upload) for each in replicas for upload in (True, False)]
    return all(answers[kind] >= EACH for kind in kinds)


@pytest.mark.slow  # a claim of who is gone ends after a minute
def test_what_a_killed_replica_was_writing_can_be_written_again(
    two: list[Replica], where: str
) -> None:
    dying, staying = two
    with client(staying.url) as service, client(dying.url) as other:
        assert add(service, LAST).status_code == 201
        until(lambda: first(other, LAST) is not None)
        threads = [
            threading.Thread(target=sent_in_vain, args=(dying.url, seed)) for seed in range(1, 9)
        ]
        for thread in threads:
            thread.start()
        until(lambda: claims(where))
        dying.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
        left = claims(where)
        assert left  # else the test has killed it too late
        for seed in range(1, 9):
            until_added(service, seed)
        assert listed(service) == [*(name(seed) for seed in range(1, 9)), name(LAST)]
        for seed in range(1, 9):
            assert service.get(f"/v1/images/{name(seed)}/content").content == png(seed)
            assert first(service, seed) == (name(seed), pytest.approx(1, abs=1e-3))
        assert not claims(where)


def sent_in_vain(url: str, seed: int) -> None:
    with client(url) as service, suppress(httpx.TransportError):
        add(service, seed)


def until_added(service: httpx.Client, seed: int) -> None:
    """Asked again as a client that was told to come back later."""
    end = time.monotonic() + 3 * SOON
    while True:
        answer = add(service, seed)
        report = answer.json() if answer.status_code == 201 else {}
        if name(seed) in report.get("added", []) + report.get("unchanged", []):
            return
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < end, answer.text


def claims(where: str) -> list[str]:
    """The names that are claimed."""
    from imagefinder.stores.milvus.address import parse_address
    from imagefinder.stores.milvus.claims import CLAIMS, Claim
    from imagefinder.stores.milvus.connection import Connection
    from imagefinder.stores.milvus.freshness import newest
    from imagefinder.stores.milvus.ledger import NOTES
    from imagefinder.stores.milvus.names import physical
    from imagefinder.stores.milvus.table import Table

    address = parse_address(where)
    connection = Connection(address)
    try:
        notes = Table(connection, physical(address.name, "notes"), NOTES)
        with newest():
            return [claim.name for claim in map(Claim.of, notes.rows(CLAIMS)) if claim.has]
    finally:
        connection.close()
