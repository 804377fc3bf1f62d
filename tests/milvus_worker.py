"""A process that writes to, or reads from, a store in Milvus beside others. What it finds wrong it
raises. `python -m tests.milvus_worker write|read SERVER NAME WORKER`, from the root."""

import sys

from imagefinder.stores.milvus.store import MilvusStore
from tests.milvus_stores import connected
from tests.store_contract import drawn, ids, record

STEPS, AT_ONCE = 8, 20
FIXED = 50  # images that nobody changes


def kept(worker: int) -> set[str]:
    """The ids that are there when a writer has ended."""
    return {
        f"{worker}/{step}/{n}" for step in range(STEPS) for n in range(AT_ONCE) if n != step % 10
    }


def write(store: MilvusStore, worker: int) -> None:
    for step in range(STEPS):
        rows = drawn(AT_ONCE, seed=1000 * (worker + 1) + step)
        mine = [f"{worker}/{step}/{n}" for n in range(AT_ONCE)]
        store.upsert([record(id) for id in mine], rows)
        assert store.get(mine).keys() == set(mine)
        assert ids(store.search(rows[:1], 1)[0]) == mine[:1]
        store.upsert([record("shared", width=worker)], rows[:1])
        store.update([record(id, width=worker) for id in mine[10:]])
        assert {each.width for each in store.get(mine[10:]).values()} == {worker}
        gone = mine[step % 10]
        assert store.delete([gone]) == 1
        assert store.get([gone]) == {}
        assert gone not in ids(store.search(rows[step % 10 : step % 10 + 1], 3)[0])


def read(store: MilvusStore) -> None:
    """Until the standard input ends."""
    import threading

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    rows, steps = drawn(FIXED), 0
    while not ended.is_set() or steps < 3:
        at = steps % FIXED
        hits = store.search(rows[at : at + 1], 5)[0]
        assert hits[0].record.id == f"{at:05}"
        assert len(set(ids(hits))) == 5
        seen = [each.id for each, _ in store.scan()]
        assert len(seen) == len(set(seen))
        assert set(seen) >= {f"{n:05}" for n in range(FIXED)}
        steps += 1


if __name__ == "__main__":
    does, server, name, worker = sys.argv[1:]
    connection = connected(server)
    store = MilvusStore.create(connection, name, 16)
    write(store, int(worker)) if does == "write" else read(store)
    connection.close()
