"""Reads and writes of the embedded store take turns: nobody sees what is half written."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from imagefinder.filters import parse_filter
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.gate import Gate
from tests.embedded_stores import filled
from tests.store_contract import drawn, numbered

Call = Callable[[EmbeddedStore], object]

A_WHILE = 0.2  # seconds; whoever need not wait is done long before

READS: dict[str, Call] = {
    "search": lambda store: store.search(drawn(1), 1),
    "filtered": lambda store: store.search(drawn(1), 1, filter=parse_filter("size > 1")),
    "get": lambda store: store.get(["00001"]),
    "embeddings": lambda store: store.embeddings(["00001"]),
    "scan": lambda store: list(store.scan()),
}
WRITES: dict[str, Call] = {
    "upsert": lambda store: store.upsert(numbered(1), drawn(1)),
    "update": lambda store: store.update(numbered(1)),
    "delete": lambda store: store.delete(["00001"]),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(filled(tmp_path / "space")) as store:
        yield store


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_waits_for_a_write(
    store: EmbeddedStore, pool: ThreadPoolExecutor, read: Call
) -> None:
    with store._current.written():
        reading = pool.submit(read, store)
        assert not wait([reading], A_WHILE).done
    assert reading.result(10)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_waits_for_a_read(
    store: EmbeddedStore, pool: ThreadPoolExecutor, write: Call
) -> None:
    with store._inside():
        writing = pool.submit(write, store)
        assert not wait([writing], A_WHILE).done
    writing.result(10)


def test_reads_do_not_wait_for_each_other(store: EmbeddedStore, pool: ThreadPoolExecutor) -> None:
    with store._inside():
        assert pool.submit(READS["search"], store).result(10)


def test_a_write_does_not_wait_for_ever(store: EmbeddedStore, pool: ThreadPoolExecutor) -> None:
    """Who comes while it waits has to wait for it."""
    with store._inside():
        writing = pool.submit(WRITES["delete"], store)
        assert not wait([writing], A_WHILE).done
        reading = pool.submit(READS["get"], store)
        assert not wait([reading], A_WHILE).done
    writing.result(10)
    assert reading.result(10) == {}


def test_a_write_that_fails_lets_the_others_in_again() -> None:
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.alone():
        raise ZeroDivisionError
    assert gate.enter()
    gate.leave()


def test_a_gate_shuts_after_the_one_who_is_alone(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    with gate.alone():
        shutting = pool.submit(gate.shut)
        assert not wait([shutting], A_WHILE).done
    shutting.result(10)
    assert not gate.enter()
