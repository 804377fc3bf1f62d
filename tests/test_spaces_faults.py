"""What goes wrong in a collection with several spaces, and what comes of it: nothing is lost."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload, errors
from imagefinder.collection import Collection
from imagefinder.exchange import read as read_exported
from imagefinder.local import LocalFinder
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.stores.ledger import Ledger
from imagefinder.types import SpaceStatus
from tests.pictures import picture, touch_later, write_pictures
from tests.toy_models import write_model

NAMES = [f"{number}.png" for number in range(6)]


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
    finder.add([Upload(png(50), "up.png", "up")], source="camera")
    finder.close()
    (home / "toy-b").rename(home / "gone")

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with opened(home) as finder:
        assert finder.add([Upload(png(51), "up.png", "up")], source="camera").updated == ["up"]
        monkeypatch.setattr(Ledger, "acknowledge", crash)
        with pytest.raises(Crash):
            finder.add([Upload(png(52), "up.png", "up")], source="camera")
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
        finder.add([Upload(png(50), "up.png", "up")], source="camera")
        monkeypatch.setattr(OnnxEmbedder, "embed", waiting)
        held = Held(monkeypatch, finder.collection)
        filling = Thread(target=finder.add_space, args=(str(home / "toy-c"),))
        filling.start()
        try:
            assert looked.wait(60)
            # between the write of the upload and the look at what the other spaces lack
            held.before_keeping_up(lambda: (go_on.set(), filling.join(60)))
            finder.add([Upload(png(51), "up.png", "up")], source="camera")
        finally:
            go_on.set()
            filling.join()
        assert states(finder)["toy-c"].behind == 0
        query = finder.embed(png(51), space="toy-c")
        assert cosine(query, finder.embeddings(["up"], space="toy-c")["up"]) > 0.9999


class Held:
    """Something to be done in the middle of an upload."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, collection: Collection) -> None:
        self._patch, self._collection = monkeypatch, collection

    def before_keeping_up(self, do: Callable[[], object]) -> None:
        real = LocalFinder._spaces

        def first(finder: LocalFinder) -> object:
            do()
            return real(finder)

        self._patch.setattr(LocalFinder, "_spaces", first)


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
