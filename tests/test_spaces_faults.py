"""What goes wrong in a collection with several spaces, and what comes of it: nothing is lost."""

import io
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload, errors, marker
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.exchange import read as read_exported
from imagefinder.local import LocalFinder
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.types import SpaceStatus
from imagefinder.upkeep import backup, restore
from tests.pictures import picture, touch_later, write_pictures
from tests.test_upgrade import FORMAT_1
from tests.toy_models import write_model

NAMES = [f"{number}.png" for number in range(6)]
CAMERA = "camera"


class Crash(BaseException):
    """As if the process had ended here."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of pictures and two models."""
    write_pictures(tmp_path / "photos", NAMES)
    write_model(tmp_path / "toy-a", dim=24, seed=1)
    write_model(tmp_path / "toy-b", dim=4, seed=2)
    return tmp_path


def opened(home: Path, model: str | None = None) -> LocalFinder:
    reference = None if model is None else str(home / model)
    finder = ImageFinder.open(home / "collection", model=reference)
    assert isinstance(finder, LocalFinder)
    return finder


@pytest.fixture
def finder(home: Path) -> Iterator[LocalFinder]:
    """With the photos in the spaces toy-a, which is in use, and toy-b."""
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        finder.add_space(str(home / "toy-b"))
    with opened(home) as finder:
        yield finder


def states(finder: ImageFinder) -> dict[str, SpaceStatus]:
    return {state.name: state for state in finder.spaces()}


def png(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    data = io.BytesIO()
    picture(seed, size).save(data, "PNG")
    return data.getvalue()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture
def late(home: Path, finder: LocalFinder) -> LocalFinder:
    """Photo 3 has changed since toy-a, the first space, saw it: its model is gone. toy-b is in use
    and has seen it."""
    finder.use_space("toy-b")
    finder.close()
    (home / "toy-a").rename(home / "gone")
    picture(99, (80, 60)).save(home / "photos" / "3.png")
    touch_later(home / "photos" / "3.png")
    finder = opened(home)
    assert finder.index(home / "photos").updated == 1
    return finder


def test_what_is_told_of_an_image_is_from_a_space_that_knows_it_as_it_is(late: LocalFinder) -> None:
    with late as finder:
        assert finder.get("3.png").width == 80
        assert {record.id: record.width for record in finder.images()}["3.png"] == 80
        assert [r.id for r in finder.images(filter="width == 80")] == ["3.png"]


def test_a_space_that_alone_knows_an_image_as_it_is_is_not_dropped(
    home: Path, late: LocalFinder
) -> None:
    with late as finder:
        with pytest.raises(errors.CollectionError, match=r"toy-b: 1 images are in no other space"):
            finder.drop_space("toy-b")
        (home / "gone").rename(home / "toy-a")
        finder.index(home / "photos")
        finder.drop_space("toy-b")
        assert finder.get("3.png").width == 80


def test_embeddings_of_what_an_image_was_are_not_exported(home: Path, late: LocalFinder) -> None:
    with late as finder:
        finder.use_space("toy-a")
        assert finder.export(home / "a.npz") == len(NAMES) - 1
        assert "3.png" not in {record.id for record, _ in read_exported(home / "a.npz").rows}


def test_an_upload_is_not_lost_where_a_space_is_behind(
    home: Path, finder: LocalFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """toy-b knows only the first version, whose bytes are gone: it is no witness."""
    finder.add([Upload(png(50), "up.png", "up")], source=CAMERA)
    finder.close()
    (home / "toy-b").rename(home / "gone")

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with opened(home) as finder:
        assert finder.add([Upload(png(51), "up.png", "up")], source=CAMERA).updated == ["up"]
        monkeypatch.setattr(SqliteLedger, "acknowledge", crash)
        with pytest.raises(Crash):
            finder.add([Upload(png(52), "up.png", "up")], source=CAMERA)
    monkeypatch.undo()
    (home / "gone").rename(home / "toy-b")
    with opened(home) as finder:
        assert finder.read("up") in (png(51), png(52))
        finder.index(home / "photos")
        for space in ("toy-a", "toy-b"):
            query = finder.embed(finder.read("up"), space=space)
            found = finder.embeddings(["up"], space=space)["up"]
            assert cosine(query, found) == pytest.approx(1, abs=1e-5)
        assert {state.behind for state in finder.spaces()} == {0}


def test_an_upload_that_is_replaced_while_a_space_is_filled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fill says of the bytes of before must not stand for those of now."""
    write_model(home / "toy-c", dim=6, seed=3)
    looked, go_on = Event(), Event()
    real = OnnxEmbedder.embed

    def waiting(self: OnnxEmbedder, tensors: np.ndarray) -> np.ndarray:
        if self.spec.name == "toy-c" and not looked.is_set():
            looked.set()
            assert go_on.wait(60)
        return real(self, tensors)

    with opened(home, "toy-a") as finder:
        finder.add([Upload(png(50), "up.png", "up")], source=CAMERA)
        monkeypatch.setattr(OnnxEmbedder, "embed", waiting)
        held = Held(monkeypatch, finder.collection)
        filling = Thread(target=finder.add_space, args=(str(home / "toy-c"),))
        filling.start()
        try:
            assert looked.wait(60)
            # between the write of the upload and the look at what the other spaces lack
            held.before_keeping_up(lambda: (go_on.set(), filling.join(60)))
            finder.add([Upload(png(51), "up.png", "up")], source=CAMERA)
        finally:
            go_on.set()
            filling.join()
        assert states(finder)["toy-c"].behind == 0
        query = finder.embed(png(51), space="toy-c")
        assert cosine(query, finder.embeddings(["up"], space="toy-c")["up"]) > 0.9999


class Held:
    """Something to be done in the middle of an upload."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, collection: DirectoryCollection) -> None:
        self._patch, self._collection = monkeypatch, collection

    def before_keeping_up(self, do: Callable[[], object]) -> None:
        real = LocalFinder._spaces

        def first(finder: LocalFinder) -> object:
            do()
            return real(finder)

        self._patch.setattr(LocalFinder, "_spaces", first)


def test_an_image_that_two_bring_into_a_space_at_once(
    home: Path, finder: LocalFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedding of its bytes of before, and the record of those of now, which comes from the
    other one in between, do not belong together."""
    finder.add([Upload(png(50), "up.png", "up")], source=CAMERA)
    finder.close()
    (home / "toy-b").rename(home / "gone")
    with opened(home) as finder:
        finder.add([Upload(png(51), "up.png", "up")], source=CAMERA)
    (home / "gone").rename(home / "toy-b")
    with opened(home) as finder:
        store, record = finder.collection.store("toy-b"), finder.get("up")
        right, real = finder.embed(png(51), space="toy-b"), EmbeddedStore.embeddings

        def embeddings(self: EmbeddedStore, ids: Sequence[str]) -> Mapping[str, np.ndarray]:
            found = real(self, ids)
            if self is store:
                store.upsert([record], right[None])
            return found

        with monkeypatch.context() as patch:
            patch.setattr(EmbeddedStore, "embeddings", embeddings)
            finder.add_space(str(home / "toy-b"))
        assert cosine(right, finder.embeddings(["up"], space="toy-b")["up"]) > 0.9999
        assert states(finder)["toy-b"].behind == 0


def test_another_version_is_forgotten_again(home: Path, finder: LocalFinder) -> None:
    """It does not stand in the way of searches by id, nor of the right one once that is back."""
    finder.close()
    (home / "toy-b").rename(home / "right")
    write_model(home / "toy-b", dim=4, seed=7)
    query = home / "photos" / "1.png"
    with opened(home) as again:
        hits = again.search("id:1.png", space="toy-b")
        for call in (
            lambda: again.search(query, space="toy-b"),
            lambda: again.add_space(str(home / "toy-b")),
        ):
            with pytest.raises(errors.ModelMismatchError, match="another version of toy-b"):
                call()
            assert again.search("id:1.png", space="toy-b") == hits
        assert again.add([Upload(png(60), "up.png", "up")]).added == ["up"]
        assert states(again)["toy-b"].behind == 1
        shutil.rmtree(home / "toy-b")
        (home / "right").rename(home / "toy-b")
        assert again.search(query, k=1, space="toy-b")[0].id == "1.png"
        again.index(home / "photos")
        assert states(again)["toy-b"].behind == 0


def test_a_model_that_has_moved_is_found_again_by_adding_it(
    home: Path, finder: LocalFinder
) -> None:
    finder.add_space(str(home / "toy-b"), distance="dot")
    finder.close()
    (home / "models").mkdir()
    moved = (home / "toy-b").rename(home / "models" / "toy-b")
    with opened(home) as again:
        assert again.add_space(str(moved)).added == 0
    with opened(home) as again:
        for space in ("toy-b", "toy-b-dot"):
            assert states(again)[space].model == str(moved)
            assert len(again.embed(home / "photos" / "1.png", space=space)) == 4


def test_a_model_of_another_distance_that_has_moved(home: Path) -> None:
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos", distance="dot")
    (home / "models").mkdir()
    moved = (home / "toy-a").rename(home / "models" / "toy-a")
    query = home / "photos" / "1.png"
    with opened(home) as finder, pytest.raises(errors.ModelError, match="--model"):
        finder.search(query)
    with ImageFinder.open(home / "collection", model=str(moved)) as finder:
        assert len(finder.search(query, k=6)) == 6
    with opened(home) as finder:
        assert len(finder.search(query, k=6)) == 6


def test_an_import_makes_up_for_what_a_space_lacks(home: Path, finder: LocalFinder) -> None:
    finder.use_space("toy-b")
    finder.export(home / "b.npz")
    finder.use_space("toy-a")
    finder.drop_space("toy-b")
    stop = Event()
    stop.set()
    finder.add_space(str(home / "toy-b"), stop=stop)
    picture(98).save(home / "photos" / "3.png")
    touch_later(home / "photos" / "3.png")
    (home / "toy-b").rename(home / "gone")
    finder.close()
    with opened(home) as again:
        again.index(home / "photos")
        # by its own name, too
        report = again.import_embeddings(home / "b.npz", space="toy-b")
        assert (report.space, report.added) == ("toy-b", 6)
        assert (states(again)["toy-b"].images, states(again)["toy-b"].behind) == (6, 1)
    (home / "gone").rename(home / "toy-b")
    with opened(home) as again:
        again.index(home / "photos")
        assert states(again)["toy-b"].behind == 0
        row = again.embeddings(["3.png"], space="toy-b")["3.png"]
        assert cosine(again.embed(home / "photos" / "3.png", space="toy-b"), row) > 0.9999


def test_an_import_that_knows_no_files_hides_none(home: Path) -> None:
    (home / "old.csv").write_text("id,e0,e1\n0.png,0,1\n")
    with opened(home) as finder:
        finder.import_embeddings(home / "old.csv", space="old")
    with opened(home, "toy-a") as finder:
        shutil.move(home / "photos" / "0.png", home / "0.png")
        finder.index(home / "photos")
        assert finder.add_space(str(home / "toy-b")).added == 5
    shutil.rmtree(home / "collection")
    shutil.move(home / "0.png", home / "photos" / "0.png")
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        finder.import_embeddings(home / "old.csv", space="old")
        assert finder.get("0.png").width == 40
        report = finder.add_space(str(home / "toy-b"))
        assert (report.added, report.skipped) == (6, 0)


def test_after_a_power_cut_contents_are_compared(home: Path, finder: LocalFinder) -> None:
    """As if the last write of a space, of a photo that had changed, had not reached the disk."""
    before = finder.collection.store("toy-b").get(["3.png"])["3.png"]
    row = finder.embeddings(["3.png"], space="toy-b")["3.png"]
    picture(97).save(home / "photos" / "3.png")
    touch_later(home / "photos" / "3.png")
    finder.index(home / "photos")
    finder.collection.store("toy-b").upsert([before], row[None])
    finder.collection.reconcile()
    assert states(finder)["toy-b"].behind == 1
    finder.index(home / "photos")
    found = finder.embeddings(["3.png"], space="toy-b")["3.png"]
    assert cosine(finder.embed(home / "photos" / "3.png", space="toy-b"), found) > 0.9999
    assert states(finder)["toy-b"].behind == 0


def test_there_is_nothing_to_use_or_drop_in_an_empty_collection(home: Path) -> None:
    with opened(home, "toy-a") as finder:
        finder.create()
        for call in (finder.use_space, finder.drop_space):
            with pytest.raises(errors.UsageError, match=r"toy-a: .*there is: none"):
                call("toy-a")
        finder.index(home / "photos")
        assert finder.status().model == "toy-a"


def rows_of(finder: LocalFinder) -> dict[str, dict[str, list[float]]]:
    return {
        space.name: {
            record.id: row.tolist() for record, row in finder.collection.store(space.name).scan()
        }
        for space in finder.spaces()
    }


def test_a_backup_has_every_space(home: Path, finder: LocalFinder) -> None:
    (home / "old.csv").write_text("id,e0,e1\nold-1,1,0\n")
    finder.import_embeddings(home / "old.csv", space="old")
    finder.use_space("toy-b")
    before, told = rows_of(finder), states(finder)
    finder.close()
    backup(str(home / "collection"), home / "b.tar")
    shutil.rmtree(home / "collection")
    assert restore(home / "b.tar", str(home / "collection")) == 7
    with opened(home) as again:
        assert (rows_of(again), states(again)) == (before, told)
        assert told["toy-b"].in_use
        assert again.index(home / "photos").unchanged == 6


def test_images_and_models_that_have_moved_together(home: Path, finder: LocalFinder) -> None:
    """And a table, whose images are stored by their absolute paths."""
    (home / "photos" / "table.csv").write_text(f"id,path\nrow,{home}/photos/1.png\n")
    finder.index(home / "photos" / "table.csv")
    finder.close()
    (home / "photos").rename(home / "elsewhere")
    with opened(home) as again:
        again.relocate(home / "photos", home / "elsewhere")
        picture(77).save(home / "elsewhere" / "new.png")
        report = again.index(home / "elsewhere")
        assert (report.unchanged, report.added, report.spaces[0].added) == (6, 1, 1)
        write_model(home / "toy-c", dim=6, seed=3)
        filled = again.add_space(str(home / "toy-c"))
        assert (filled.added, filled.problems) == (8, [])
        for space in ("toy-a", "toy-b", "toy-c"):
            hits = again.search("id:row", k=2, space=space)
            assert {Path(hit.uri).parent for hit in hits} == {home / "elsewhere"}


ODD_IDS = ["a b/ü?#&=+", "/root", "a//b", "quote's \"", "日本" * 100, "\u200b", "%41", "-"]


def test_ids_and_names_with_odd_letters(home: Path) -> None:
    with opened(home, "toy-a") as finder:
        uploads = [Upload(png(100 + n), "x.png", id) for n, id in enumerate(ODD_IDS)]
        assert finder.add(uploads, source=CAMERA).added == ODD_IDS
        odd = write_model(home / "Größe 2.5 (neu)", dim=5, seed=9)
        report = finder.add_space(str(odd))
        assert (report.space, report.added) == ("Größe-2.5-neu", len(ODD_IDS))
        for number, id in enumerate(ODD_IDS):
            query = finder.embed(png(100 + number), space=report.space)
            assert cosine(query, finder.embeddings([id], space=report.space)[id]) > 0.9999
        finder.add([Upload(png(200), "x.png", ODD_IDS[0])], source=CAMERA)
        finder.remove(ODD_IDS[1:4])
        assert {space.images for space in finder.spaces()} == {len(ODD_IDS) - 3}
        assert {space.behind for space in finder.spaces()} == {0}
        finder.use_space(report.space)
        finder.drop_space("toy-a")
    with opened(home) as finder:
        assert len(finder.search(png(200), k=20)) == len(ODD_IDS) - 3


def test_of_three_models_one_is_gone(home: Path, finder: LocalFinder) -> None:
    """The others go on, and what happens meanwhile is made good once it is back."""
    write_model(home / "toy-c", dim=6, seed=3)
    finder.add_space(str(home / "toy-c"))
    finder.close()
    (home / "toy-b").rename(home / "gone")
    photos = home / "photos"
    picture(60).save(photos / "new.png")
    picture(61).save(photos / "1.png")
    touch_later(photos / "1.png")
    (photos / "2.png").rename(photos / "moved.png")
    shutil.copy(photos / "3.png", photos / "copy.png")
    (photos / "4.png").unlink()
    with opened(home) as again:
        report = again.index(photos, prune=True)
        assert [(filled.space, filled.added) for filled in report.spaces] == [("toy-c", 2)]
        assert [state.behind for state in again.spaces()] == [0, 2, 0]
        again.add([Upload(png(62), "up.png")])
        # a change of what is behind already, and of what has not been tried again
        picture(63).save(photos / "1.png")
        touch_later(photos / "1.png", 20)
        again.index(photos)
        again.update_metadata("1.png", {"label": "late"})
        (photos / "new.png").rename(photos / "newer.png")
        again.index(photos)
        assert [state.behind for state in again.spaces()] == [0, 3, 0]
    (home / "gone").rename(home / "toy-b")
    with opened(home) as again:
        assert [filled.added for filled in again.index(photos).spaces] == [3]
        for space in ("toy-a", "toy-b", "toy-c"):
            for path in photos.iterdir():
                row = again.embeddings([path.name], space=space)[path.name]
                assert cosine(again.embed(path, space=space), row) > 0.9999
            hits = again.search("id:1.png", k=9, space=space, filter='label == "late"')
            assert [hit.id for hit in hits] == ["1.png"]
        assert {state.behind for state in again.spaces()} == {0}
        assert {state.images for state in again.spaces()} == {8}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_an_older_format_is_upgraded(
    home: Path, finder: LocalFinder, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    finder.drop_space("toy-b")
    finder.import_embeddings(csv_of(home), space="old")
    before = rows_of(finder)
    finder.close()
    place = home / "collection"
    with closing(sqlite3.connect(place / "ledger.sqlite")) as db:
        db.executescript(FORMAT_1)
    (place / "collection.json").write_text('{"format": 1}')

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        if when == "before":
            script = marker.SEVERAL_SPACES.replace("COMMIT;", "SELECT nothing;")
            patch.setattr(marker, "SEVERAL_SPACES", script)
        else:
            patch.setattr(marker, "write_marker", crash)
        with pytest.raises((Crash, sqlite3.OperationalError)):
            opened(home).status()
    with ImageFinder.open(place, model=str(home / "toy-a")) as again:
        assert isinstance(again, LocalFinder)
        assert rows_of(again) == before
        assert again.index(home / "photos").unchanged == 6
        assert {state.behind for state in again.spaces()} == {0}


def csv_of(home: Path) -> Path:
    file = home / "old.csv"
    file.write_text("id,e0,e1\n0.png,1,0\n")
    return file


def test_an_upload_while_its_space_is_dropped(
    home: Path, finder: LocalFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, or in a space that stays."""
    shutil.rmtree(home / "toy-b")  # so that nothing brings it up to date
    real = DirectoryCollection.only_in

    def add() -> None:
        with suppress(errors.ImageFinderError):
            finder.add([Upload(png(50), "up.png")])

    adding = Thread(target=add)

    def only_in(collection: DirectoryCollection, space: str) -> Iterator[list[str]]:
        yield from real(collection, space)
        adding.start()
        adding.join(0.5)

    monkeypatch.setattr(DirectoryCollection, "only_in", only_in)
    finder.drop_space("toy-a")
    adding.join()
    assert len(list(finder.images())) == len(finder)
