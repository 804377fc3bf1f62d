"""One space in Milvus that several processes share."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from imagefinder.errors import StoreError
from imagefinder.filters import parse_filter
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.freshness import newest
from imagefinder.stores.milvus.store import MilvusStore
from tests.milvus_stores import connected, emptied
from tests.milvus_worker import FIXED, kept
from tests.store_contract import DIM, ODD_IDS, drawn, ids, numbered, record

pytestmark = pytest.mark.milvus

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def connection(milvus_address: str) -> Iterator[Connection]:
    connection = connected(milvus_address)
    yield connection
    connection.close()


def process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.milvus_worker", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_several_processes_write_and_read_at_once(
    connection: Connection, milvus_address: str
) -> None:
    """Each sees its own writes at once; nobody sees an image twice, or half of one."""
    store = emptied(connection, "shared")
    store.upsert(numbered(FIXED), drawn(FIXED))
    writers = [process("write", milvus_address, "shared", str(n)) for n in range(3)]
    readers = [process("read", milvus_address, "shared", "0") for _ in range(2)]
    for each in (*writers, *readers):  # for readers it is the sign to end
        output, _ = each.communicate()
        assert each.returncode == 0, output
    everything = {"shared", *(f"{n:05}" for n in range(FIXED))}.union(*map(kept, range(3)))
    with newest():
        assert store.count() == len(everything)
        assert store.get(list(everything)).keys() == everything
        assert {each.id for each, _ in store.scan()} == everything


def test_a_search_waits_for_a_row_that_is_just_being_written_anew(
    connection: Connection, milvus_address: str
) -> None:
    """Milvus finds it, looks its values up, and says "incomplete" where they were taken away."""
    rows, done = drawn(200), threading.Event()
    store = emptied(connection, "rewritten")
    store.upsert(numbered(200), rows)

    def rewrite() -> None:
        with closing(connected(milvus_address)) as other:
            mine = MilvusStore.open(other, "rewritten")
            while not done.is_set():
                mine.upsert(numbered(40), rows[:40])

    def search() -> None:
        with closing(connected(milvus_address)) as other:
            mine = MilvusStore.open(other, "rewritten")
            for _ in range(60):  # of all of them about ten meet such a row
                assert ids(mine.search(rows[:1], 3)[0])[0] == "00000"

    with ThreadPoolExecutor(5) as pool:
        writing = [pool.submit(rewrite) for _ in range(2)]
        searching = [pool.submit(search) for _ in range(3)]
        try:
            for each in searching:
                each.result()
        finally:
            done.set()
        for each in writing:
            each.result()


def test_what_another_process_has_written_is_seen_at_the_newest_level(
    connection: Connection, milvus_address: str
) -> None:
    store = emptied(connection, "shared")
    other = process("write", milvus_address, "shared", "7")
    output, _ = other.communicate()
    assert other.returncode == 0, output
    with newest():
        assert store.count() == len(kept(7)) + 1
    strong = connected(milvus_address, "?consistency=strong")
    opened = MilvusStore.open(strong, "shared")
    assert set(opened.get(sorted(kept(7)))) == kept(7)
    strong.close()


def test_several_make_the_same_space_at_once(milvus_address: str) -> None:
    connections = [connected(milvus_address) for _ in range(4)]
    MilvusStore.drop(connections[0], "made_at_once")
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda c: MilvusStore.create(c, "made_at_once", DIM), connections))
    for number, store in enumerate(stores):
        store.upsert([record(f"from {number}")], drawn(1, seed=number))
    with newest():
        assert {store.count() for store in stores} == {4}
    for each in connections:
        each.close()


def test_own_writes_are_seen_at_once(connection: Connection) -> None:
    """Deletes too, of which Milvus does not tell its sessions."""
    store, rows = emptied(connection, "shared"), drawn(30)
    for n in range(30):
        store.upsert([record(f"{n}")], rows[n : n + 1])
        assert store.count() == n + 1
        assert ids(store.search(rows[n : n + 1], 1)[0]) == [f"{n}"]
    for n in range(30):
        assert store.delete([f"{n}", "other"]) == 1
        assert store.get([f"{n}"]) == {}
        assert store.count() == 29 - n


def test_a_record_that_is_too_large_is_named_before_anything_is_written(
    connection: Connection,
) -> None:
    store = emptied(connection, "shared")
    large = record("large", metadata={"text": "ä" * 11_000})  # six bytes each
    with pytest.raises(StoreError, match=r"^large: the record takes 66,.* is 65,535; shorten"):
        store.upsert([record("good"), large], drawn(2))
    assert store.count() == 0
    fits = record("large", metadata={"text": "ä" * 10_800})
    store.upsert([fits], drawn(1))
    assert store.get(["large"]) == {"large": fits}


def test_a_record_with_more_values_than_milvus_takes_is_found_by_filters(
    connection: Connection,
) -> None:
    store = emptied(connection, "shared")
    store.upsert(
        [record("many", metadata={"n": list(range(6000))}), record("few", metadata={"n": [1, 2]})],
        drawn(2),
    )
    wanted = {
        "n == 5999": {"many"}, "n == 6000": set(), "not n == 5999": {"few"},
        "n == 1": {"many", "few"}, "width == 640": {"many", "few"}, "width > 640": set(),
        "not width > 640": {"many", "few"},
    }  # fmt: skip
    for expression, found in wanted.items():
        for exact in (False, True):
            hits = store.search(drawn(1), 9, filter=parse_filter(expression), exact=exact)[0]
            assert set(ids(hits)) == found, expression


def test_contents_and_ids(connection: Connection) -> None:
    store = emptied(connection, "shared")
    store.upsert([record(id, sha256=f"{n:064}") for n, id in enumerate(ODD_IDS)], drawn(26))
    assert store.contents([*ODD_IDS, "none", ""]) == {
        id: f"{n:064}" for n, id in enumerate(ODD_IDS)
    }
    listed = store.ids(limit=7)
    while page := store.ids(listed[-1], limit=7):
        assert len(page) <= 7
        listed += page
    assert sorted(listed) == sorted(ODD_IDS)
    assert store.ids(limit=26) == listed
