"""Works a store hard until it is killed. test_store_torture runs it as a process of its own.

    python -m tests.torture_store PATH SEED

Two threads upsert, update and delete, each its own ids; one searches; one optimizes. Before each
write a line goes to standard output that says what is to become of which ids, and after it a line
that it is done.
"""

import json
import os
import random
import sys
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagefinder.arrays import Embeddings
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.types import ImageRecord

DIM = 32
WRITERS = 2
IDS = 3000  # of each writer

# What is known of an id: (version of the record, version of the embedding), or None: deleted.
State = tuple[int, int] | None


def record(id: str, state: tuple[int, int]) -> ImageRecord:
    version, row = state
    facts = {"version": version, "row": row, "label": f"label {version % 5}"}
    return ImageRecord(id, f"{id}.jpg", "0" * 64, 640, 480, "jpeg", version, metadata=facts)


def state_of(found: ImageRecord) -> tuple[int, int]:
    version, row = found.metadata["version"], found.metadata["row"]
    assert isinstance(version, int)
    assert isinstance(row, int)
    return version, row


def embeddings(items: Sequence[tuple[str, tuple[int, int]]]) -> Embeddings:
    """Each id has a direction, and each version of its embedding is a little off it."""
    waves = np.arange(1, DIM + 1) ** 0.5
    names = np.array([[zlib.crc32(id.encode())] for id, _ in items])
    versions = np.array([[row] for _, (_, row) in items])
    rows = np.sin(names * waves) + 0.3 * np.sin(versions * waves)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Writer:
    def __init__(self, store: EmbeddedStore, number: int, seed: int) -> None:
        self._store, self._number = store, number
        self._random = random.Random(f"{seed}/{number}")
        self._names = [f"{number}/{index}.jpg" for index in range(IDS)]
        known = store.get(self._names)
        self._states: dict[str, tuple[int, int]] = {i: state_of(r) for i, r in known.items()}
        self._version = seed * 1_000_000
        self._step = 0

    def work(self) -> None:
        while True:
            kind = self._random.choices(["upsert", "update", "delete"], [6, 2, 3])[0]
            names = self._random.sample(self._names, self._random.choice([1, 5, 50, 200, 1200]))
            getattr(self, kind)(names[:200] if kind == "delete" else names)

    def upsert(self, names: list[str]) -> None:
        new = {name: (self._next(), self._version) for name in names}
        self._tell(new)
        items = list(new.items())
        self._store.upsert([record(*item) for item in items], embeddings(items))
        self._states |= new
        self._done()

    def update(self, names: list[str]) -> None:
        states = self._states
        new = {name: (self._next(), states[name][1]) for name in names if name in states}
        self._tell(new)
        self._store.update([record(*item) for item in new.items()])
        self._states |= new
        self._done()

    def delete(self, names: list[str]) -> None:
        self._tell(dict.fromkeys(names))
        count = self._store.delete(names)
        assert count == sum(self._states.pop(name, None) is not None for name in names)
        self._done()

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _tell(self, plan: "dict[str, tuple[int, int]] | dict[str, None]") -> None:
        self._step += 1
        say({"writer": self._number, "step": self._step, "plan": plan})

    def _done(self) -> None:
        say({"writer": self._number, "done": self._step})


def say(line: object) -> None:
    """One write, so that lines of two threads do not mix; the pipe keeps it through a kill."""
    data = json.dumps(line).encode() + b"\n"
    with _saying:
        while data:
            data = data[os.write(1, data) :]


_saying = threading.Lock()


def search(store: EmbeddedStore, seed: int) -> None:
    chance = random.Random(seed)
    while True:
        id = f"{chance.randrange(WRITERS)}/{chance.randrange(IDS)}.jpg"
        hits = store.search(embeddings([(id, (1, 1))]), 5, exact=chance.random() < 0.5)[0]
        assert len({hit.record.id for hit in hits}) == len(hits)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def optimize(store: EmbeddedStore, seed: int) -> None:
    chance = random.Random(seed)
    while True:
        store.optimize()
        if chance.random() < 0.3:
            store.flush()
        threading.Event().wait(chance.random())


def main(path: Path, seed: int) -> None:
    store = EmbeddedStore.open(path) if path.exists() else EmbeddedStore.create(path, DIM)
    writers = [Writer(store, number, seed) for number in range(WRITERS)]
    jobs = [writer.work for writer in writers]
    jobs += [lambda: search(store, seed), lambda: optimize(store, seed)]
    say({"ready": store.count()})
    for job in jobs:
        threading.Thread(target=guarded, args=(job,)).start()


def guarded(job) -> None:  # type: ignore[no-untyped-def]
    """A thread that fails ends the process, and the test sees its exit code."""
    try:
        job()
    except BaseException as error:  # noqa: BLE001 - told to the test, whatever it is
        say({"failed": f"{type(error).__name__}: {error}"})
        os._exit(3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
