"""What the embedded store does beyond the contract: files, other processes, full disks, builds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from imagefinder.errors import (
    CollectionDamagedError,
    CollectionError,
    CollectionInUseError,
    StoreError,
)
from imagefinder.filters import parse_filter
from imagefinder.stores import embedded_engine
from imagefinder.stores.embedded import EmbeddedStore
from tests.embedded_stores import filled, reopened
from tests.store_contract import DIM, drawn, ids, numbered, record

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "space"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedStore]:
    with closing(filled(path)) as store:
        yield store


def test_everything_is_there_after_reopening(store: EmbeddedStore, path: Path) -> None:
    store.optimize()
    store.update([record("00001", metadata={"price": 2.5})])
    store.upsert([record("new")], drawn(1, seed=4))
    store.delete(["00002"])
    store = reopened(store, path)
    assert store.dim == DIM
    assert store.count() == 300
    assert store.get(["00001", "00002", "new"]) == {
        "00001": record("00001", metadata={"price": 2.5}),
        "new": record("new"),
    }
    assert ids(store.search(drawn(1, seed=4), 1)[0]) == ["new"]
    cheap = parse_filter("price < 3")
    assert ids(store.search(drawn(1), 5, filter=cheap)[0]) == ["00001"]
    np.testing.assert_array_equal(store.embeddings(["00007"])["00007"], drawn(300)[7])
    store.close()


def test_a_collection_can_be_moved(store: EmbeddedStore, path: Path) -> None:
    store.close()
    path.rename(path.with_name("elsewhere"))
    moved = EmbeddedStore.open(path.with_name("elsewhere"))
    assert moved.count() == 300
    moved.close()


def test_nothing_is_made_over_what_exists(store: EmbeddedStore, path: Path) -> None:
    with pytest.raises(StoreError, match="space exists already"):
        EmbeddedStore.create(path, DIM)
    assert store.count() == 300


def test_another_process_is_told_who_has_it(store: EmbeddedStore, path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from imagefinder.errors import CollectionInUseError
        from imagefinder.stores.embedded import EmbeddedStore
        try:
            EmbeddedStore.open(Path(sys.argv[1]))
        except CollectionInUseError as error:
            print(error)
    """
    said = _python(code, str(path))
    assert said.strip().endswith("is open in another process; close it there, or let that process"
                                 " serve it")  # fmt: skip
    with pytest.raises(CollectionInUseError):
        EmbeddedStore.open(path)
    assert store.count() == 300
    assert reopened(store, path).count() == 300


def test_zvec_says_nothing_on_the_console(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from imagefinder.errors import ImageFinderError
        from imagefinder.stores.embedded import EmbeddedStore
        from imagefinder.types import ImageRecord
        path = Path(sys.argv[1])
        store = EmbeddedStore.create(path, 4)
        store.upsert([ImageRecord("a", "", "", 1, 1, "", 1)], np.eye(1, 4, dtype=np.float32))
        store.search(np.eye(1, 4, dtype=np.float32), 1)
        store.delete(["b"])
        store.optimize()
        try:
            EmbeddedStore.open(path)
        except ImageFinderError:
            store.close()
    """
    assert _python(code, str(tmp_path / "space")) == ""


def test_a_host_that_has_set_zvec_up_itself(tmp_path: Path) -> None:
    """Its settings stay, and filters are right all the same."""
    code = """if True:
        import sys
        from pathlib import Path
        import zvec
        zvec.init(log_level=zvec.LogLevel.FATAL)
        from imagefinder.filters import parse_filter
        from imagefinder.stores.embedded import EmbeddedStore
        from tests.store_contract import DIM, drawn, numbered
        store = EmbeddedStore.create(Path(sys.argv[1]), DIM)
        store.upsert(numbered(2500), drawn(2500))
        store.optimize()
        store.upsert(numbered(200), drawn(200))
        store.flush()
        store.delete(["00007"])
        store.upsert(numbered(100), drawn(100))
        for text in ("width >= 0", "width > 5 and not exists(label)", 'id != "00001"'):
            print(len(store.search(drawn(1), 3000, filter=parse_filter(text))[0]))
        print(len(list(store.scan())))
    """
    assert _python(code, str(tmp_path / "space")).split() == ["2500", "2500", "2499", "2500"]


@pytest.mark.parametrize("content", [None, "", "7", "..", "\xff"])
def test_a_space_without_its_generation_is_damaged(
    store: EmbeddedStore, path: Path, content: str | None
) -> None:
    store.close()
    (path / "CURRENT").unlink()
    if content is not None:
        (path / "CURRENT").write_text(content, encoding="latin-1")
    with pytest.raises(CollectionDamagedError, match="space is missing or incomplete; restore a"):
        EmbeddedStore.open(path)
    with pytest.raises(CollectionDamagedError):
        EmbeddedStore.open(path.with_name("nothing"))
    assert not path.with_name("nothing").exists()


def test_missing_and_empty_files_are_told_at_once(store: EmbeddedStore, path: Path) -> None:
    store.optimize()
    store.upsert(numbered(50), drawn(50))
    store.delete(["00001"])
    store.close()
    outcomes = set()
    families = {_family(file): file for file in sorted(path.rglob("*")) if file.is_file()}
    for family, file in families.items():
        for damage in (Path.unlink, lambda copy: copy.write_bytes(b"")):
            copy = path.with_name("copy")
            shutil.copytree(path, copy)
            damage(copy / file.relative_to(path))
            outcomes.add((family, _outcome(copy)))
            shutil.rmtree(copy)
    told = {family for family, outcome in outcomes if outcome == "damaged"}
    assert told >= {"proxima", "ipc", "sst", "CURRENT", "MANIFEST", "manifest", "del"}
    assert {outcome for _, outcome in outcomes} <= {"damaged", "whole"}
    harmless = {family for family, outcome in outcomes if outcome == "whole"}
    assert harmless <= {"LOCK", "LOG", "OPTIONS", "IDENTITY", "log"}


def _family(file: Path) -> str:
    return (file.suffix[1:] if file.stem.isdigit() or file.suffix == ".proxima" else "") or (
        "ipc" if file.suffix == ".ipc" else file.name.split("-")[0].split(".")[0]
    )


def _outcome(path: Path) -> str:
    """What becomes of a store that may be damaged."""
    try:
        store = EmbeddedStore.open(path)
    except CollectionDamagedError:
        return "damaged"
    try:
        found = {each.id for each, _ in store.scan()}
        hits = store.search(drawn(300)[50:60], 1)
    except CollectionError as error:
        return f"later: {error}"
    finally:
        store.close()
    right = [ids(each) for each in hits] == [[f"{index:05}"] for index in range(50, 60)]
    return "whole" if len(found) == store._count == 299 and right else "wrong"


def test_what_cannot_be_written_to_is_told(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    for folder in path.iterdir():
        if folder.is_dir():
            folder.chmod(0o500)
    if os.geteuid() == 0:  # root may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StoreError, match="is not writable; give yourself the right"):
        EmbeddedStore.open(path)


def test_a_nearly_full_disk_is_refused_before_it_is_full(
    store: EmbeddedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(path)
    monkeypatch.setattr(embedded_engine, "RESERVE", usage.free + (1 << 30))
    for call in (
        lambda: store.upsert([record("new")], drawn(1)),
        lambda: store.update([record("00001", width=1)]),
        store.optimize,
        lambda: EmbeddedStore.create(path.with_name("other"), DIM),
    ):
        with pytest.raises(StoreError, match=r"MB free, [\d,]+ MB are needed .* free some space"):
            call()
    assert store.get(["00001", "new"]) == {"00001": record("00001")}
    assert store.delete(["00002"]) == 1
    assert ids(store.search(drawn(4)[3:], 1)[0]) == ["00003"]
    store.close()
    with pytest.raises(StoreError, match="free some space"):
        EmbeddedStore.open(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or subprocess.run(command, check=False, capture_output=True).returncode != 0
    ):
        pytest.skip("a small disk takes the right to mount one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_loses_nothing(small_disk: Path) -> None:
    """In a process of its own: an engine that runs into the end of the disk is killed by it."""
    filler = small_disk / "filler"
    filler.write_bytes(bytes(10 << 20))
    code = """if True:
        import sys
        from pathlib import Path
        from imagefinder.errors import StoreError
        from imagefinder.stores.embedded import EmbeddedStore
        from tests.store_contract import drawn, record
        path = Path(sys.argv[1]) / "space"
        store = EmbeddedStore.create(path, 256)
        stored = 0
        try:
            while True:
                batch = [record(f"{number:05}") for number in range(stored, stored + 200)]
                store.upsert(batch, drawn(200, seed=stored, dim=256))
                stored += 200
        except StoreError as error:
            print("full" if "free some space and try again" in str(error) else error)
        try:
            store.optimize()
        except StoreError as error:
            print("full" if "free some space" in str(error) else error)
        assert store.search(drawn(1, dim=256), 1)[0][0].record.id == "00000"
        store.flush()
        (Path(sys.argv[1]) / "filler").unlink()
        store.upsert([record("late")], drawn(1, dim=256))
        store.close()
        store = EmbeddedStore.open(path)
        assert store.count() == stored + 1 > 200, (store.count(), stored)
        assert len(list(store.scan())) == stored + 1
        store.close()
        print("whole")
    """
    assert _python(code, str(small_disk)).split() == ["full", "full", "whole"]


def _python(code: str, *arguments: str) -> str:
    """What this code writes on standard output and error."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": path}, check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ).stdout  # fmt: skip
