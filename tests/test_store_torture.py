"""Kills a busy store at random moments and looks whether it kept what it had acknowledged.

IMAGEFINDER_TORTURE_ROUNDS=100 kills it 100 times.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from imagefinder.stores.embedded import EmbeddedStore
from tests.torture_store import State, embeddings, state_of

ROOT = Path(__file__).parent.parent
ROUNDS = int(os.environ.get("IMAGEFINDER_TORTURE_ROUNDS", "3"))
Line = dict[str, object]

SAMPLE = 60  # images that must find themselves


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    known: dict[str, State] = {}
    chance = random.Random(0)
    for seed in range(1, ROUNDS + 1):
        journal = worked_until_killed(
            tmp_path / "space", seed, chance.randrange(1, 40), chance.random() / 5
        )
        pending = replayed(known, journal)
        store = EmbeddedStore.open(tmp_path / "space")
        try:
            compare(store, known, pending)
            sampled_find_themselves(store, known, chance)
        finally:
            store.close()


def worked_until_killed(path: Path, seed: int, writes: int, pause: float) -> list[Line]:
    """What the process said until it was killed, `pause` seconds after so many writes."""
    command = [sys.executable, "-m", "tests.torture_store", str(path), str(seed)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    journal: list[Line] = []
    with process.stdout as lines:
        while writes and (line := lines.readline()):
            journal.append(json.loads(line))
            writes -= "done" in journal[-1]
        killer = threading.Timer(pause, process.kill)
        killer.start()  # beside the reading, lest a full pipe holds the process up
        rest = lines.read()
        killer.cancel()
    assert process.wait() == -signal.SIGKILL, [*journal[-1:], rest[-300:]]
    return journal + [json.loads(line) for line in rest.split(b"\n")[:-1]]


def replayed(known: dict[str, State], journal: list[Line]) -> dict[str, State]:
    """Brings `known` up to what was acknowledged; returns what was under way at the end."""
    plans: dict[object, dict[str, State]] = {}
    for line in journal:
        if "plan" in line:
            plan = line["plan"]
            assert isinstance(plan, dict)
            plans[line["writer"]] = {id: state and tuple(state) for id, state in plan.items()}
        elif "done" in line:
            known |= plans.pop(line["writer"])
    return {id: state for plan in plans.values() for id, state in plan.items()}


def compare(store: EmbeddedStore, known: dict[str, State], pending: dict[str, State]) -> None:
    """Every id is as it was left, or as the write under way would have it; `known` is told."""
    found, rows = {}, []
    for record, row in store.scan():
        assert record.id not in found, "an image stands there twice"
        found[record.id] = state_of(record)
        rows.append(row)
    for id in known.keys() | pending.keys() | found.keys():
        allowed = {known.get(id)} | ({pending[id]} if id in pending else set())
        assert found.get(id) in allowed, f"{id}: {found.get(id)}, not {allowed}"
    assert store.count() == len(found)
    assert store.get(list(found)).keys() == found.keys()
    np.testing.assert_allclose(np.array(rows), embeddings(list(found.items())), atol=1e-6)
    known.clear()
    known.update(found)


def sampled_find_themselves(
    store: EmbeddedStore, known: dict[str, State], chance: random.Random
) -> None:
    items = [(id, state) for id, state in known.items() if state is not None]
    sample = chance.sample(items, min(SAMPLE, len(items)))
    for exact in (False, True):
        for item, hits in zip(
            sample, store.search(embeddings(sample), 2, exact=exact), strict=True
        ):
            assert hits[0].record.id == item[0]
            assert hits[0].score == pytest.approx(1, abs=1e-5)
