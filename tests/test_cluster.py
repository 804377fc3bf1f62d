"""A collection in Milvus does what one in a directory does, for any number of processes at once."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload, errors
from imagefinder.cli.main import run
from imagefinder.collection.cluster import ClusterCollection, delete_cluster_collection
from imagefinder.home import find_place
from imagefinder.migrate import migrate
from imagefinder.stores.milvus import claims
from imagefinder.stores.milvus.freshness import newest
from imagefinder.testing import FakeEmbedder
from tests.pictures import touch_later, write_pictures
from tests.toy_models import write_model
from tests.uploads import png

pytestmark = pytest.mark.milvus

NAMES = [f"{number}.png" for number in range(8)]


@pytest.fixture
def address(milvus_address: str, tmp_path: Path) -> Iterator[str]:
    """Of a collection that is not there yet."""
    where = f"milvus://{milvus_address}/test?media={(tmp_path / 'media').as_uri()}"
    yield where
    with suppress(errors.CollectionNotFoundError):
        delete_cluster_collection(where, None)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


def opened(where: str | Path, **options: object) -> ImageFinder:
    return ImageFinder.open(where, **{"embedder": FakeEmbedder(), **options})  # type: ignore[arg-type]


def content(finder: ImageFinder) -> list[tuple[object, ...]]:
    """All images as they are; of where uploads are kept, only the file's name."""
    with newest():
        return [
            (replace(record, uri=record.uri.rpartition("/media/")[2]), row.tobytes())
            for record, row in finder.embedded()
        ]


def found(
    query: Path, finder: ImageFinder, *, filter: str | None, exact: bool = False
) -> list[tuple[str, float]]:
    return [
        (hit.id, round(hit.score, 6))
        for hit in finder.search(query, 20, filter=filter, exact=exact)
    ]


def test_what_a_directory_does(address: str, photos: Path, tmp_path: Path) -> None:
    """Step by step the same counts, and afterwards the same content and answers."""
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with opened(address) as cluster, opened(tmp_path / "directory") as directory:
        both = (cluster, directory)

        def each(step: Callable[[ImageFinder], object]) -> object:
            one, other = map(step, both)
            assert one == other
            return one

        def index(prune: bool = False) -> object:
            return each(lambda finder: finder.index(photos, prune=prune).counts())

        index()
        index()
        (photos / "1.png").rename(photos / "one.png")
        touch_later(photos / "2.png")
        write_pictures(photos, ["3.png"], first=33)
        index()
        (photos / "4.png").unlink()
        index(prune=True)
        each(lambda finder: finder.add([Upload(png(50), "up.png", metadata={"label": "cat"})]))
        each(lambda finder: finder.add([Upload(png(51), "up.png"), Upload(png(52), "5.png")]))
        each(lambda finder: finder.add([Upload(png(53), "own")], source="shop"))
        each(lambda finder: finder.add([Upload(png(54), "own")], source="shop"))
        each(lambda finder: finder.update_metadata("0.png", {"label": "dog", "n": 3}).metadata)
        each(lambda finder: finder.remove(["5.png", "nothing"]))
        each(content)
        each(lambda finder: [(one.id, one.reason) for one in finder.skipped()])
        for filter in (None, 'label == "dog" or n > 2', "not exists(label)", "width < 40"):
            each(partial(found, photos / "6.png", filter=filter))
            each(partial(found, photos / "6.png", filter=filter, exact=True))
        each(lambda finder: finder.read("own"))
        each(lambda finder: (len(finder), "up.png" in finder, "5.png" in finder))
        state = cluster.status()
        assert (state.images, state.skipped, state.disk_bytes) == (len(directory), 1, None)
        moved = photos.rename(tmp_path / "moved")
        each(lambda finder: finder.relocate(photos, moved))
        each(lambda finder: finder.read("0.png"))


def test_several_spaces(address: str, photos: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "toy-a", dim=24, seed=1)
    write_model(tmp_path / "toy-b", dim=4, seed=2)
    with ImageFinder.open(address, model=str(tmp_path / "toy-a")) as finder:
        finder.index(photos)
        report = finder.add_space(str(tmp_path / "toy-b"), distance="euclidean")
        assert (report.space, report.added) == ("toy-b-euclidean", 8)
        write_pictures(photos, ["3.png", "new.png"], first=33)
        assert [(space.space, space.added) for space in finder.index(photos).spaces] == [
            ("toy-b-euclidean", 2)
        ]
        with newest():
            states = {state.name: (state.images, state.behind) for state in finder.spaces()}
        assert states == {"toy-a": (9, 0), "toy-b-euclidean": (9, 0)}
        for space in states:
            assert finder.search(photos / "3.png", 1, space=space)[0].id == "3.png"
        finder.use_space("toy-b-euclidean")
    with ImageFinder.open(address) as finder:
        assert finder.status().model == "toy-b-euclidean"
        finder.drop_space("toy-a")
        assert [state.name for state in finder.spaces()] == ["toy-b-euclidean"]


def test_there_and_back_nothing_is_lost(address: str, photos: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "first") as finder:
        finder.index(photos)
        finder.add([Upload(png(50), "up.png", metadata={"label": "cat"})])
        before = content(finder)
    report = migrate(str(tmp_path / "first"), address)
    assert (report.carried, report.checked, report.recall) == (9, 9, 1.0)
    report = migrate(str(tmp_path / "first"), address)
    assert (report.carried, report.unchanged) == (0, 9)
    assert migrate(address, str(tmp_path / "second")).carried == 9
    with opened(tmp_path / "second") as finder:
        assert [row for _, row in content(finder)] == [row for _, row in before]
        assert finder.read("up.png") == png(50)
        assert finder.index(photos).unchanged == 8


def test_reading_never_creates(milvus_address: str, tmp_path: Path) -> None:
    where = f"milvus://{milvus_address}/nothing-here"
    with (
        opened(where) as finder,
        pytest.raises(errors.CollectionNotFoundError, match=r"no such collection.*make it"),
    ):
        finder.status()
    with pytest.raises(errors.CollectionNotFoundError):
        migrate(where, str(tmp_path / "never-made"))
    with pytest.raises(errors.CollectionNotFoundError):
        delete_cluster_collection(where, None)


def test_uploads_need_a_place_and_it_is_remembered(address: str, tmp_path: Path) -> None:
    bare = address.partition("?")[0]
    with opened(bare) as finder, pytest.raises(errors.StoreError, match="media="):
        finder.add([Upload(png(1), "a")])
    with opened(address) as finder:
        assert finder.add([Upload(png(1), "a")]).added == ["a"]
    with opened(bare) as finder:  # it is known by now
        assert finder.read("a") == png(1)
        assert finder.add([Upload(png(2), "b")]).added == ["b"]
    with (
        opened(f"{bare}?media=file:///elsewhere") as finder,
        pytest.raises(errors.UsageError, match="its uploads are kept at"),
    ):
        finder.status()
    assert len(list((tmp_path / "media").rglob("*.png"))) == 2
    delete_cluster_collection(bare, None)
    assert not list((tmp_path / "media").rglob("*.png"))


def test_the_command_line(
    address: str, photos: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["index", str(photos), "-c", address]) == 0
    assert run(["search", str(photos / "3.png"), "-c", address, "-k", "1", "--json"]) == 0
    out = capfd.readouterr().out
    assert json.loads(out[out.index("{") :])["hits"][0]["id"] == "3.png"
    monkeypatch.setenv("IMAGEFINDER_COLLECTION", address.replace("//", "//me:secret@", 1))
    assert run(["status"]) == 0
    assert run(["backup", "x.tar"]) == 2
    assert run(["export", "x.nothing"]) == 1
    assert run(["delete-collection", address, "--yes"]) == 0
    assert run(["status"]) == 1
    shown = "".join(capfd.readouterr())
    assert "cluster" in shown
    assert "imagefinder migrate" in shown
    assert "secret" not in shown


def test_many_threads_of_two_finders_want_the_same_ids(address: str) -> None:
    """Of each id exactly one picture wins, and it is whole."""
    won: dict[str, list[int]] = {f"id{number}": [] for number in range(4)}
    troubles: list[Exception] = []

    def add(finder: ImageFinder, seed: int) -> None:
        try:
            for id, seeds in won.items():
                if finder.add([Upload(png(seed), "x", id=id)]).added:
                    seeds.append(seed)
        except Exception as error:  # noqa: BLE001 - told below
            troubles.append(error)

    with opened(address) as first, opened(address) as second:
        first.add([Upload(png(99), "y", id="begin")])
        threads = [
            threading.Thread(target=add, args=(finder, seed))
            for seed, finder in enumerate((first, second, first, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert troubles == []
        with newest():
            assert len(first) == len(won) + 1
            for id, seeds in won.items():
                assert len(seeds) == 1
                assert second.read(id) == png(seeds[0])
                (hit,) = second.search(png(seeds[0]), 1)
                assert hit.score == pytest.approx(1, abs=1e-5)


WRITER = """
import sys
from imagefinder import ImageFinder, Upload
from imagefinder.testing import FakeEmbedder
from tests.uploads import png

finder = ImageFinder.open(sys.argv[1], embedder=FakeEmbedder())
turn = 0
while True:
    for number in range(4):
        seed = turn * 4 + number + 100
        report = finder.add([Upload(png(seed), f"{number}", metadata={"seed": seed})], source="w")
        print("set", number, seed, flush=True)
    finder.remove(["0"])
    print("gone", 0, 0, flush=True)
    turn += 1
"""


def test_kill_9_of_writers(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was acknowledged is there as it was acknowledged, or as the call made it that was
    under way; all of it in ledger, store and media alike."""
    with opened(address) as finder:
        finder.add([Upload(png(1), "other")])
        known: dict[str, set[int]] = {}
        for end in (3, 6, 10):
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER, address],
                stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
            )  # fmt: skip
            assert process.stdout is not None
            for _ in range(end):
                what, number, seed = process.stdout.readline().split()
                known[number] = {int(seed)} if what == "set" else set()
            time.sleep(0.05 * (end % 5))
            process.kill()
            for line in process.stdout:  # what it acknowledged until then
                what, number, seed = line.split()
                known[number] = {int(seed)} if what == "set" else set()
            process.stdout.close()
            process.wait()
            monkeypatch.setattr(claims, "LEASE", 0.0)  # as if a minute had gone by
            finder.collection.settle()  # type: ignore[attr-defined]
            monkeypatch.undo()
            finder.index_behind = finder._spaces().keep_up(fetch=False)  # type: ignore[attr-defined]
            with newest():
                found = {record.id: record for record in finder.images()}
                store = finder.collection.store("fake")  # type: ignore[attr-defined]
                assert {record.id for record, _ in store.scan()} == set(found)
                for number, seeds in known.items():
                    if number not in found:
                        assert seeds == set() or number == "0"
                        continue
                    record = found[number]
                    seed = record.metadata["seed"]
                    assert isinstance(seed, int)
                    assert seed in seeds or seed > max(seeds, default=0)
                    assert finder.read(number) == png(seed)
                    row = store.embeddings([number])[number]
                    wanted = finder.embed(png(seed))
                    np.testing.assert_allclose(row, wanted, atol=1e-6)
                    known[number] = {seed}


def test_an_index_run_that_was_killed_goes_on(address: str, photos: Path, tmp_path: Path) -> None:
    write_pictures(photos, [f"more/{number}.png" for number in range(300)], first=1000)
    code = (
        "import sys, os\n"
        "from imagefinder import ImageFinder\n"
        "from imagefinder.ingest import commit\n"
        "from imagefinder.testing import FakeEmbedder\n"
        "commit.COMMIT_IMAGES = 40\n"
        "finder = ImageFinder.open(sys.argv[1], embedder=FakeEmbedder())\n"
        "def end(report):\n"
        "    report.added >= 120 and os.kill(os.getpid(), 9)\n"
        "finder.index(sys.argv[2], on_progress=end)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, address, str(photos)], check=False)
    assert killed.returncode == -9
    with opened(address) as finder, opened(tmp_path / "directory") as directory:
        report = finder.index(photos)
        assert report.unchanged >= 120
        assert report.added + report.unchanged == 308
        directory.index(photos)
        assert content(finder) == content(directory)


def test_secrets_are_nowhere(milvus_address: str, caplog: pytest.LogCaptureFixture) -> None:
    place = find_place(f"milvus://someone:hidden@{milvus_address}/test")
    assert "hidden" not in repr(place) + str(place) + place.name + place.shown + place.title
    with pytest.raises(errors.CollectionNotFoundError) as found:
        ClusterCollection(place)  # type: ignore[arg-type]
    assert "hidden" not in str(found.value) + caplog.text


def test_a_directory_cannot_be_named_for_it(milvus_address: str) -> None:
    with pytest.raises(errors.UsageError, match="is no parameter of it"):
        opened(f"milvus://{milvus_address}/test?medai=x")
    with closing(opened(f"milvus://{milvus_address}/test")), pytest.raises(errors.UsageError):
        opened("somewhere", api_key="x")
