"""A Milvus server that is away, comes back, or lets one not in. Errors keep secrets."""

import logging
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from imagefinder.errors import StoreError
from imagefinder.stores.milvus import connection as module
from imagefinder.stores.milvus.address import parse_address
from imagefinder.stores.milvus.connection import CALL_SECONDS, Connection
from imagefinder.stores.milvus.store import MilvusStore
from tests.milvus_server import Server
from tests.milvus_stores import connected
from tests.store_contract import DIM, drawn, ids, numbered, record

pytestmark = pytest.mark.milvus

COUNT = 1500  # more than Milvus leaves without an index
SECRET = "hunter2-%26-more"


def listed(connection: Connection) -> list[str]:
    found: list[str] = connection.call(lambda client: client.list_collections(timeout=CALL_SECONDS))
    return found


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(
    new_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.PATIENCE, "away", 0.5)
    connection = connected(new_server.address)
    store = MilvusStore.create(connection, "space", DIM)
    store.upsert(numbered(COUNT), drawn(COUNT))
    store.optimize()
    written: set[str] = set()
    deleted: set[str] = set()
    enough = threading.Event()

    def write(worker: int) -> None:
        for step in range(10_000):
            names = [f"{worker}/{step}/{n}" for n in range(10)]
            store.upsert([record(name) for name in names], drawn(10, seed=100 + worker))
            written.update(names)
            store.delete(names[:1])
            deleted.update(names[:1])
            if step > 5:
                enough.set()

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write, worker) for worker in range(2)]
        assert enough.wait(60)
        new_server.kill()
        for each in writing:
            with pytest.raises(StoreError, match=r"no Milvus server answers at .*; start"):
                each.result()
    with pytest.raises(StoreError, match="no Milvus server answers"):
        store.count()
    new_server.start()
    monkeypatch.setitem(module.PATIENCE, "away", 60.0)
    certain = {name for name in written - deleted if not name.endswith("/0")}
    assert store.get(sorted(certain)).keys() == certain
    assert store.get(sorted(deleted)) == {}
    assert len(store.embeddings([f"{n:05}" for n in range(COUNT)])) == COUNT
    assert ids(store.search(drawn(5)[4:], 1)[0]) == ["00004"]
    store.upsert([record("after")], drawn(1, seed=99))
    assert ids(store.search(drawn(1, seed=99), 1)[0]) == ["after"]
    connection.close()


def test_calls_wait_for_a_server_that_restarts(
    new_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come back late, but right: never with less than there is."""
    monkeypatch.setitem(module.PATIENCE, "away", 60.0)
    connection = connected(new_server.address)
    store = MilvusStore.create(connection, "space", DIM)
    store.upsert(numbered(COUNT), drawn(COUNT))
    back = threading.Event()

    def read() -> int:
        steps = 0
        while not back.is_set() or steps < 3:
            assert store.count() == COUNT
            assert ids(store.search(drawn(3)[2:], 1)[0]) == ["00002"]
            assert store.get(["00007"])
            steps += 1
        return steps

    def write() -> None:
        while not back.is_set():
            store.upsert(numbered(20), drawn(20))

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(work) for work in (read, read, write)]
        time.sleep(0.5)
        new_server.kill()
        new_server.start()
        back.set()
        for each in running:
            each.result()
    assert store.count() == COUNT
    connection.close()


@pytest.mark.parametrize("new_server", ["passwords"], indirect=True)
def test_who_is_not_let_in_is_told_so_without_the_secret(
    new_server: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server, told = new_server.address, ""
    for uri, token, problem in (
        (f"milvus://{server}/n", None, "wants to know who comes; write user:password@"),
        (f"milvus://root:{SECRET}@{server}/n", None, "refuses the user and password; check"),
        (f"milvus://{SECRET}@{server}/n", None, "refuses the user and password"),
        (f"milvus://{server}/n", f"ann:{SECRET}", "or in IMAGEFINDER_MILVUS_TOKEN"),
    ):
        connection = Connection(parse_address(uri, token))
        with pytest.raises(StoreError, match=f"^milvus://{server}/n: .*{problem}") as caught:
            listed(connection)
        told += "".join(traceback.format_exception(caught.value)) + repr(connection.address)
        connection.close()
    root = Connection(parse_address(f"milvus://root:Milvus@{server}/n"))
    assert listed(root) == []
    root.call(lambda client: client.create_user("ann", "hunter2-&-more", timeout=CALL_SECONDS))
    ann = Connection(parse_address(f"milvus://ann:{SECRET}@{server}/n"))
    with pytest.raises(StoreError, match=r"the user may not do that .* administrator") as caught:
        MilvusStore.create(ann, "space", DIM)
    told += "".join(traceback.format_exception(caught.value))
    for each in (root, ann):
        each.close()
    told += caplog.text + "".join(capfd.readouterr())
    assert "hunter2" not in told


QUIETLY = """
import sys, traceback
from imagefinder.errors import StoreError
from imagefinder.stores.milvus import connection
from imagefinder.stores.milvus.address import parse_address
connection.PATIENCE["away"] = 0.2
try:
    connection.Connection(parse_address(sys.argv[1])).call(lambda client: client.list_collections())
except StoreError as error:
    print(*traceback.format_exception(error))
"""


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("127.0.0.1:1/n", "no Milvus server answers at 127.0.0.1:1; start it, or check the addr"),
        ("nowhere.invalid/n", "no Milvus server answers at nowhere.invalid:19530; start it"),
        ("{server}/n?tls=1", "; start it, or check the address, and whether it really speaks TLS"),
        ("{server}/n?database=nope", "the server has no database 'nope'; create it there, or"),
    ],
)
def test_a_server_that_is_not_there_is_told_quietly(
    milvus_address: str, where: str, problem: str
) -> None:
    """In a process of its own, because gRPC prints what it has to say past Python."""
    uri = f"milvus://ann:{SECRET}@{where}".format(server=milvus_address)
    done = subprocess.run(
        [sys.executable, "-c", QUIETLY, uri], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert problem in done.stdout
    assert "hunter2" not in done.stdout


def test_another_database_is_another_world(new_server: Server) -> None:
    first = connected(new_server.address)
    first.call(lambda client: client.create_database("art", timeout=CALL_SECONDS))
    second = connected(new_server.address, "?database=art")
    store = MilvusStore.create(second, "space", DIM)
    store.upsert(numbered(3), drawn(3))
    assert (listed(first), listed(second), store.count()) == ([], ["space"], 3)
    for each in (first, second):
        each.close()
