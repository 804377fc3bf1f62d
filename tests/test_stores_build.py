"""How the embedded store builds its index beside what is searched and written meanwhile."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder
from imagefinder.errors import StoreError
from imagefinder.stores import embedded, embedded_build
from imagefinder.stores.embedded import SAVES, EmbeddedStore
from imagefinder.testing import FakeEmbedder
from tests.embedded_stores import filled, reopened
from tests.pictures import write_pictures
from tests.store_contract import DIM, drawn, ids, numbered, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "space"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedStore]:
    with closing(filled(path)) as store:
        yield store


def test_optimize_is_wanted_when_much_is_unindexed(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.needs_optimize()
    monkeypatch.setattr(embedded, "EXACT_BELOW", 200)
    monkeypatch.setattr(embedded, "UNINDEXED", 50)
    assert store.needs_optimize()
    store.optimize()
    assert not store.needs_optimize()
    store.upsert([record(f"new{index}") for index in range(50)], drawn(50, seed=2))
    assert not store.needs_optimize()
    store.update(numbered(40))
    assert store.needs_optimize()
    store = reopened(store, path)
    assert store.needs_optimize()
    store.optimize()
    store.optimize()
    assert not store.needs_optimize()
    assert store.count() == 350
    store.close()


def test_the_graph_finds_nearly_everything(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, queries = drawn(4000), drawn(100, seed=6)
    store.upsert(numbered(4000), rows)
    store.optimize()
    exact = store.search(queries, 10)
    monkeypatch.setattr(embedded, "EXACT_BELOW", 0)
    near = store.search(queries, 10)
    same = [len(set(ids(a)) & set(ids(b))) / 10 for a, b in zip(exact, near, strict=True)]
    assert np.mean(same) >= 0.995


def during_a_build(monkeypatch: pytest.MonkeyPatch, call: Callable[[], object]) -> None:
    """Calls it once, when a build has copied a part."""
    put, calls = embedded_build._put, iter([call])

    def put_and_call(*arguments: object) -> None:
        put(*arguments)  # type: ignore[arg-type]
        next(calls, lambda: None)()

    monkeypatch.setattr(embedded_build, "_put", put_and_call)


@pytest.mark.parametrize("few", [0, 1000])
def test_what_is_written_during_a_build_is_in_it(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    def write() -> None:
        store.upsert([record("new"), record("00001", width=1)], drawn(2, seed=3))
        store.update([record("00002", width=2)])
        store.delete(["00003", "00004"])
        store.upsert([record("00004", width=4)], drawn(1, seed=4))

    monkeypatch.setattr(embedded_build, "FEW", few)
    during_a_build(monkeypatch, write)
    store.optimize()
    for _ in range(2):
        found = store.get(["new", "00001", "00002", "00003", "00004", "00005"])
        assert {id: each.width for id, each in found.items()} == {
            "new": 640, "00001": 1, "00002": 2, "00004": 4, "00005": 640,
        }  # fmt: skip
        assert store.count() == len(list(store.scan())) == 300
        assert ids(store.search(drawn(2, seed=3)[1:], 1)[0]) == ["00001"]
        np.testing.assert_array_equal(store.embeddings(["00002"])["00002"], drawn(300)[2])
        assert [each.name for each in path.iterdir() if each.is_dir()] == ["2"]
        store = reopened(store, path)
    store.close()


def test_a_build_that_fails_changes_nothing(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        during_a_build(patched, fail)
        with pytest.raises(StoreError, match="the disk is full"):
            store.optimize()
    assert store.count() == 300
    assert ids(store.search(drawn(1), 1)[0]) == ["00000"]
    assert [each.name for each in path.iterdir() if each.is_dir()] == ["1"]
    store.optimize()
    assert store.count() == 300


def test_close_gives_a_build_up(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, closing = threading.Event(), threading.Event()

    def wait() -> None:
        copied.set()
        assert closing.wait(60)

    during_a_build(monkeypatch, wait)
    with ThreadPoolExecutor() as pool:
        build = pool.submit(store.optimize)
        assert copied.wait(60)
        closed = pool.submit(store.close)
        while not store._closing:
            pass
        assert not closed.done()
        closing.set()
        closed.result()
        assert isinstance(build.exception(), StoreError)
    store = EmbeddedStore.open(path)
    assert store.count() == 300
    assert [each.name for each in path.iterdir() if each.is_dir()] == ["1"]
    store.close()


def test_what_a_crash_left_of_a_build_goes(store: EmbeddedStore, path: Path) -> None:
    store.close()
    shutil.copytree(path / "1", path / "2")
    (path / "CURRENT.new").write_text("2")
    (path / "notes").mkdir()
    store = EmbeddedStore.open(path)
    assert sorted(each.name for each in path.iterdir() if each.is_dir()) == ["1", "notes"]
    store.optimize()
    assert store.count() == 300
    assert (path / "CURRENT").read_text() == "2"
    store.close()


def test_a_crash_while_making_a_space_leaves_nothing_in_the_way(path: Path) -> None:
    (path.with_name("space.new") / "1").mkdir(parents=True)
    store = EmbeddedStore.create(path, DIM)
    assert store.count() == 0
    assert not path.with_name("space.new").exists()
    store.close()


def test_searches_in_a_build_see_every_write(store: EmbeddedStore) -> None:
    """Also while one generation takes over from the other."""
    stop = threading.Event()

    def check() -> int:
        checks = 0
        while not stop.is_set():
            store.upsert([replace(record("moving"), width=checks)], drawn(1, seed=checks + 9))
            hits = store.search(drawn(1, seed=checks + 9), 1)[0]
            assert [(hit.record.id, hit.record.width) for hit in hits] == [("moving", checks)]
            assert store.count() == 301
            checks += 1
        return checks

    with ThreadPoolExecutor() as pool:
        checking = pool.submit(check)
        for _ in range(4):
            store.optimize()
        stop.set()
        assert checking.result() > 0


def test_optimize_is_wanted_when_much_is_dead(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection that images come to and go from must not grow for ever."""
    monkeypatch.setattr(embedded, "DEAD", 100)
    before = store.count()
    for turn in range(3):
        new = [record(f"new{index}") for index in range(50)]
        store.upsert(new, drawn(50, seed=turn))
        assert not store.needs_optimize(), "new images are not dead"
        assert store.delete([item.id for item in new]) == 50
        store.delete(["nobody", "knows", "these"])
    assert store.needs_optimize()
    store.optimize()
    assert not store.needs_optimize()
    assert store.count() == before


ROOT = Path(__file__).resolve().parents[1]
SEARCHES = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from imagefinder.stores.embedded import EmbeddedStore
from tests.store_contract import DIM
import numpy as np

def search(seed):
    rows = np.random.default_rng(seed).standard_normal((1000, DIM)).astype(np.float32)
    return sum(len(store.search(row[None] / np.linalg.norm(row), 3)[0]) for row in rows)

store = EmbeddedStore.open(Path(sys.argv[1]))
with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(search, range(4))))
store.close()
"""


def test_searches_do_not_wait_for_each_other(store: EmbeddedStore, path: Path) -> None:
    """In a process of its own: it would stand still for ever, and nothing could end its threads."""
    store.optimize()
    store.upsert([record(f"new{index}") for index in range(50)], drawn(50, seed=3))
    store.close()
    command = [sys.executable, "-c", SEARCHES, str(path)]
    found = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stdout) == (0, "12000\n"), found.stderr


def test_many_small_runs_do_not_fill_the_disk(tmp_path: Path) -> None:
    """Each leaves a file of a megabyte, however little it writes."""
    most = 0
    for number in range(20):
        write_pictures(tmp_path / "photos", [f"{number}.png"], first=number)
        with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
            assert finder.index(tmp_path / "photos").added == 1
        files = list((tmp_path / "collection" / "spaces" / "fake").glob("*/*/embedding.index.*"))
        most = max(most, len(files))
    assert 10 < most <= SAVES + 1
    assert len(files) < 10
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        assert len(finder.search("id:7.png", k=30)) == 20
