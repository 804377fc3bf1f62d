"""Uploads that a crash, a full disk or another thread comes in between of."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload, errors
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.stores.media import Media
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures
from tests.uploads import assert_whole, media, named, opened, png


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "collection"


@pytest.fixture
def finder(place: Path) -> Iterator[ImageFinder]:
    with opened(place) as finder:
        yield finder


# what a crash leaves

STEPS: dict[str, type] = {
    "put": Media,
    "doubt": SqliteLedger,
    "upsert": EmbeddedStore,
    "acknowledge": SqliteLedger,
    "forget": SqliteLedger,
    "delete": EmbeddedStore,
    "settled": SqliteLedger,
    "discard": Media,
}
Crashing = Callable[[str, str, Callable[[], object]], None]


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch) -> Crashing:
    """Ends a call before or after one of its steps, as if the process had been killed there."""

    def crash(when: str, step: str, call: Callable[[], object]) -> None:
        real = getattr(STEPS[step], step)

        def dying(*args: object, **options: object) -> None:
            if when == "after":
                real(*args, **options)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(STEPS[step], step, dying)
            with pytest.raises(KeyboardInterrupt):
                call()

    return crash


def assert_settled(place: Path) -> None:
    """SqliteLedger, store and kept bytes speak of the same images."""
    with closing(DirectoryCollection(place, "test")) as collection:
        entries = collection.ledger.images(collection.ledger.ids())
        records = {record.id: record for record, _ in collection.store("fake").scan()}
        assert records.keys() == entries.keys()
        for id, entry in entries.items():
            assert records[id].uri == f"{entry.source}:{entry.path}"
            assert records[id].sha256 == entry.sha256
        assert collection.ledger.unsettled() == ([], [])
        assert media(place) == {Path(entry.path).name for entry in entries.values()}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["put", "doubt", "upsert", "acknowledge"])
def test_a_crash_while_an_image_is_added(
    place: Path, crashing: Crashing, when: str, step: str
) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "old"), Upload(png(2), "b")])
        new = [Upload(png(2), "new"), Upload(png(3), "newer")]
        crashing(when, step, lambda: finder.add(new))
    with opened(place) as finder:
        if (when, step) == ("after", "acknowledge"):
            assert_whole(finder, old=png(1), b=png(2), new=png(2), newer=png(3))
        else:
            assert_whole(finder, old=png(1), b=png(2))
        finder.add(new)
        assert_whole(finder, old=png(1), b=png(2), new=png(2), newer=png(3))
    assert_settled(place)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["put", "doubt", "upsert", "acknowledge", "discard"])
def test_a_crash_while_an_image_is_replaced(
    place: Path, crashing: Crashing, when: str, step: str
) -> None:
    """It is the old one or the new one, and whole."""
    with opened(place) as finder:
        finder.add([Upload(png(1), "a", None, {"n": 1}), Upload(png(2), "b")], source="camera")
        new = [Upload(png(3), "a", None, {"m": 2})]
        crashing(when, step, lambda: finder.add(new, source="camera"))
    with opened(place) as finder:
        which = 3 if finder.read("a") == png(3) else 1
        assert finder.get("a").metadata == ({"m": 2} if which == 3 else {"n": 1})
        assert_whole(finder, a=png(which), b=png(2))
    assert_settled(place)
    with opened(place) as finder:
        finder.add(new, source="camera")
        assert_whole(finder, a=png(3), b=png(2))
        assert finder.get("a").metadata == {"m": 2}
    assert_settled(place)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["forget", "delete", "settled", "discard"])
def test_a_crash_while_images_are_removed(
    place: Path, crashing: Crashing, when: str, step: str
) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "a"), Upload(png(2), "b"), Upload(png(1), "c")])
        crashing(when, step, lambda: finder.remove(["a", "b"]))
    with opened(place) as finder:
        if (when, step) == ("before", "forget"):
            assert_whole(finder, a=png(1), b=png(2), c=png(1))
        else:
            assert_whole(finder, c=png(1))
    assert_settled(place)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_metadata_changes(place: Path, crashing: Crashing, when: str) -> None:
    with opened(place) as finder:
        finder.add([Upload(png(1), "a", None, {"n": 1})], source="camera")
        told = [Upload(png(1), "a", None, {"n": 2})]
        crashing(when, "acknowledge", lambda: finder.add(told, source="camera"))
    with opened(place) as finder:
        assert_whole(finder, a=png(1))
        finder.add(told, source="camera")
        assert finder.get("a").metadata == {"n": 2}


def test_a_write_that_failed_is_put_right_by_the_next_one(
    finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise errors.StoreError("disk full")

    finder.add([Upload(png(1), "a")])
    with monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "acknowledge", full)
        with pytest.raises(errors.StoreError, match="disk full"):
            finder.add([Upload(png(2), "b")])
    finder.add([Upload(png(3), "c")])
    assert_whole(finder, a=png(1), c=png(3))
    assert "b" not in {hit.id for hit in finder.search(png(2), k=9)}


# several at once


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What the calls return, made on threads that begin together."""
    barrier = Barrier(len(calls))

    def begin(call: Callable[[], object]) -> object:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


def test_adding_one_id_at_once(finder: ImageFinder, place: Path) -> None:
    reports = at_once(
        *(lambda n=n: finder.add([Upload(png(n), "a"), Upload(png(n), f"{n}")]) for n in range(8))
    )
    assert sorted(len(report.added) for report in reports) == [1] * 7 + [2]
    assert sum(len(report.skipped) for report in reports) == 7
    winner = next(n for n, report in enumerate(reports) if "a" in report.added)
    assert_whole(finder, a=png(winner), **{f"{n}": png(n) for n in range(8)})
    assert media(place) == named(*map(png, range(8)))


def test_adding_the_same_image_at_once(finder: ImageFinder) -> None:
    reports = at_once(*[lambda: finder.add([Upload(png(1), "a")])] * 8)
    assert sum(report.added == ["a"] for report in reports) == 1
    assert sum(report.unchanged == ["a"] for report in reports) == 7


def test_replacing_and_removing_at_once(finder: ImageFinder, place: Path) -> None:
    def replace_it(n: int) -> None:
        finder.add([Upload(png(n), "a"), Upload(png(n), f"{n}")], source="camera")
        finder.update_metadata(f"{n}", {"n": n})
        finder.remove([f"{n}"])

    finder.add([Upload(png(99), "a")], source="camera")
    at_once(*(lambda n=n: replace_it(n) for n in range(8)))
    assert len(finder) == 1
    data = finder.read("a")
    assert_whole(finder, a=data)
    assert media(place) == named(data)


@pytest.mark.parametrize("last", ["add", "remove"])
def test_what_is_replaced_just_before_it_is_held_leaves_no_bytes(
    place: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    real = DirectoryCollection.holding
    meanwhile = [lambda: finder.add([Upload(png(2), "a")], source="camera")]

    def holding(self: DirectoryCollection, *what: Iterable[str]) -> AbstractContextManager[None]:
        if meanwhile:
            meanwhile.pop()()
        return real(self, *what)

    with opened(place) as finder:
        finder.add([Upload(png(1), "a"), Upload(png(4), "b")], source="camera")
        monkeypatch.setattr(DirectoryCollection, "holding", holding)
        if last == "add":
            finder.add([Upload(png(3), "a")], source="camera")
            assert media(place) == named(png(3), png(4))
        else:
            finder.remove(["a"])
            assert media(place) == named(png(4))


class Meanwhile(FakeEmbedder):
    """Something happens while the model works, once."""

    def __init__(self) -> None:
        super().__init__()
        self.what: Callable[[], object] | None = None

    def embed(self, tensors: np.ndarray) -> np.ndarray:
        what, self.what = self.what, None
        if what is not None:
            what()
        return super().embed(tensors)


def test_an_id_that_is_taken_while_the_model_works(place: Path) -> None:
    embedder = Meanwhile()
    with opened(place, embedder=embedder) as finder:
        embedder.what = lambda: finder.add([Upload(png(1), "a")])
        report = finder.add([Upload(png(2), "a"), Upload(png(3), "b")])
        assert (report.added, [s.id for s in report.skipped]) == (["b"], ["a"])
        assert_whole(finder, a=png(1), b=png(3))


def test_an_image_that_is_removed_while_it_is_added_again(place: Path) -> None:
    embedder = Meanwhile()
    with opened(place, embedder=embedder) as finder:
        finder.add([Upload(png(1), "a")], source="camera")
        embedder.what = lambda: finder.remove(["a"])
        again = [Upload(png(1), "a"), Upload(png(1), "twin"), Upload(png(2), "b")]
        report = finder.add(again, source="camera")
        assert set(report.added) == {"twin", "b"}
        reason = "the image a was removed or replaced meanwhile; add it again"
        assert [s.reason for s in report.skipped] == [reason]
        assert_whole(finder, twin=png(1), b=png(2))
        assert finder.add(again, source="camera").added == ["a"]
        assert_whole(finder, a=png(1), twin=png(1), b=png(2))


def test_an_upload_that_comes_while_a_folder_is_indexed(place: Path, tmp_path: Path) -> None:
    embedder = Meanwhile()
    write_pictures(tmp_path / "photos", ["a.png", "b.png"])
    with opened(place, embedder=embedder) as finder:
        finder.add([])
        embedder.what = lambda: finder.add([Upload(png(8), "a.png")])
        report = finder.index(tmp_path / "photos")
        assert (report.added, report.skipped) == (1, 1)
        assert_whole(finder, **{"a.png": png(8), "b.png": png(1)})
