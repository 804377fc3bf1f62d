"""Several models in one collection: each space whole, none in the way of the others."""

import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from imagefinder import ImageFinder, Query, TextPart, Upload, errors
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.stores.ledger.sqlite_spaces import SqliteSpaces
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


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many images each model has embedded."""
    counts: Counter[str] = Counter()
    real = OnnxEmbedder.embed

    def counting(self: OnnxEmbedder, tensors: np.ndarray) -> np.ndarray:
        counts[self.spec.name] += len(tensors)
        return real(self, tensors)

    monkeypatch.setattr(OnnxEmbedder, "embed", counting)
    return counts


def opened(home: Path, model: str | None = None, name: str = "collection") -> ImageFinder:
    return ImageFinder.open(home / name, model=None if model is None else str(home / model))


@pytest.fixture
def finder(home: Path) -> Iterator[ImageFinder]:
    """With the photos in the spaces toy-a, which is in use, and toy-b."""
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        finder.add_space(str(home / "toy-b"))
    with opened(home) as finder:
        yield finder


def states(finder: ImageFinder) -> dict[str, SpaceStatus]:
    return {state.name: state for state in finder.spaces()}


def whole(finder: ImageFinder, home: Path) -> None:
    """Each space has what a collection has that knows only its model and today's photos."""
    for name in ("toy-a", "toy-b"):
        fresh = f"fresh-{name}"
        shutil.rmtree(home / fresh, ignore_errors=True)
        with opened(home, name, fresh) as other:
            other.index(home / "photos")
            wanted = {record.id: (record, row) for record, row in other.embedded()}
        store = finder.collection.store(name)  # type: ignore[attr-defined]
        found = {record.id: (record, row) for record, row in store.scan()}
        assert sorted(found) == sorted(wanted)
        for id, (record, row) in found.items():
            assert np.array_equal(row, wanted[id][1]), (name, id)
            assert record.sha256 == wanted[id][0].sha256
            assert record.metadata == wanted[id][0].metadata
    assert {state.behind for state in finder.spaces()} == {0}


def test_a_second_model_beside_the_first(home: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        before = finder.search(home / "photos" / "3.png", k=6)
        report = finder.add_space(
            str(home / "toy-b"), on_progress=lambda done, total: told.append((done, total))
        )
        assert (report.space, report.added, report.skipped) == ("toy-b", 6, 0)
        assert told[-1] == (6, 6)
        assert finder.search(home / "photos" / "3.png", k=6) == before
        whole(finder, home)
        other = finder.search(home / "photos" / "3.png", k=6, space="toy-b")
        assert [hit.score for hit in other] != [hit.score for hit in before]
        assert other[0].id == "3.png"
        assert other[0].score == pytest.approx(1, abs=1e-6)
        assert len(finder.embed("id:3.png", space="toy-b")) == 4
        many = finder.search_many([home / "photos" / "3.png"] * 2, k=6, space="toy-b")
        assert many == [other, other]


def test_switching_and_back(home: Path, finder: ImageFinder) -> None:
    first = finder.search("id:2.png", k=6)
    second = finder.search("id:2.png", k=6, space="toy-b")
    assert finder.status().model == "toy-a"
    finder.use_space("toy-b")
    assert finder.search("id:2.png", k=6) == second
    assert (finder.status().model, finder.status().dim) == ("toy-b", 4)
    finder.close()
    with opened(home) as again:
        assert again.search(home / "photos" / "2.png", k=1)[0].id == "2.png"
        assert again.search("id:2.png", k=6) == second
        again.use_space("toy-a")
        assert again.search("id:2.png", k=6) == first
        with pytest.raises(errors.UsageError, match=r"nope.*there is: toy-a, toy-b"):
            again.use_space("nope")
        with pytest.raises(errors.UsageError, match=r"nope.*there is: toy-a, toy-b"):
            again.search("id:2.png", space="toy-a,nope")


@pytest.mark.parametrize("change", ["new", "changed", "renamed", "copied", "removed", "pruned"])
def test_what_happens_to_the_files_happens_in_every_space(
    home: Path, finder: ImageFinder, embedded: Counter[str], change: str
) -> None:
    photos = home / "photos"
    again = {"toy-a": 0, "toy-b": 0}
    prune = False
    match change:
        case "new":
            picture(77).save(photos / "new.png")
            again = {"toy-a": 1, "toy-b": 1}
        case "changed":
            picture(78).save(photos / "3.png")
            touch_later(photos / "3.png")
            again = {"toy-a": 1, "toy-b": 1}
        case "renamed":
            (photos / "3.png").rename(photos / "moved.png")
        case "copied":
            shutil.copyfile(photos / "3.png", photos / "copy.png")
        case "removed":
            (photos / "3.png").unlink()
            finder.remove(["3.png"])
        case "pruned":
            (photos / "3.png").unlink()
            prune = True
    finder.index(photos, prune=prune)
    assert {name: embedded[name] for name in again} == again
    whole(finder, home)


def test_metadata_is_the_same_in_every_space(home: Path, finder: ImageFinder) -> None:
    finder.update_metadata("1.png", {"label": "cat"})
    table = home / "photos" / "more.csv"
    picture(90).save(home / "extra.png")
    table.write_text("id,path,label\nextra,../extra.png,dog\n")
    finder.index(table)
    table.write_text("id,path,label\nextra,../extra.png,wolf\n")
    assert finder.index(table).updated == 1
    for space in ("toy-a", "toy-b"):
        for label, id in (("cat", "1.png"), ("wolf", "extra")):
            hits = finder.search("id:0.png", k=9, filter=f'label == "{label}"', space=space)
            assert [hit.id for hit in hits] == [id], (space, label)


def test_uploads_are_in_every_space(home: Path, finder: ImageFinder) -> None:
    data = (home / "photos" / "0.png").read_bytes() + b"another file"
    assert finder.add([Upload(data, "up.png", "up", {"label": "new"})]).added == ["up"]
    for space in ("toy-a", "toy-b"):
        hits = finder.search("id:up", k=1, filter='label == "new"', space=space)
        assert [hit.id for hit in hits] == ["up"]
    assert {state.behind for state in finder.spaces()} == {0}


def test_a_folder_around_keeps_every_space(home: Path, embedded: Counter[str]) -> None:
    write_pictures(home / "photos" / "inner", ["x.png", "y.png"], first=30)
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos" / "inner")
        finder.add_space(str(home / "toy-b"))
        embedded.clear()
        assert finder.index(home / "photos").added == len(NAMES)
        assert embedded == {"toy-a": len(NAMES), "toy-b": len(NAMES)}
        whole(finder, home)


def test_it_goes_on_where_it_was_stopped(home: Path, embedded: Counter[str]) -> None:
    write_pictures(home / "photos", [f"more-{n}.png" for n in range(60)], first=100)
    stop = Event()
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        report = finder.add_space(
            str(home / "toy-b"), stop=stop, on_progress=lambda done, total: stop.set()
        )
        assert report.interrupted
        assert 0 < report.added < 66
        assert states(finder)["toy-b"].behind == 66 - report.added
        first = embedded["toy-b"]
        rest = finder.add_space(str(home / "toy-b"))
        assert not rest.interrupted
        assert report.added + rest.added == 66
        assert first + rest.added >= embedded["toy-b"] >= 66
        whole(finder, home)


@pytest.mark.parametrize("when", ["before the store", "before the ledger"])
def test_a_crash_costs_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, embedded: Counter[str], when: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        with monkeypatch.context() as patch:
            if when == "before the ledger":
                patch.setattr(SqliteSpaces, "caught_up", crash)
            else:
                patch.setattr("imagefinder.stores.embedded.EmbeddedStore.upsert", crash)
            with pytest.raises(Crash):
                finder.add_space(str(home / "toy-b"))
        assert states(finder)["toy-b"].behind == 6
    embedded.clear()
    with opened(home) as finder:
        assert len(finder.search("id:1.png", k=9)) == 6
        assert finder.add_space(str(home / "toy-b")).added == 6
        # what the store has already is not embedded again
        assert embedded["toy-b"] == (0 if when == "before the ledger" else 6)
        whole(finder, home)


def test_a_crash_between_the_spaces_is_made_good_by_the_next_run(
    home: Path, finder: ImageFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise Crash

    picture(79).save(home / "photos" / "new.png")
    with monkeypatch.context() as patch:
        patch.setattr("imagefinder.ingest.fill.Filler.all", crash)
        with pytest.raises(Crash):
            finder.index(home / "photos")
    assert states(finder)["toy-b"].behind == 1
    assert finder.index(home / "photos").unchanged == 7
    whole(finder, home)


def test_a_model_that_is_gone_stays_behind_until_it_is_back(
    home: Path, finder: ImageFinder, caplog: pytest.LogCaptureFixture
) -> None:
    finder.close()
    (home / "toy-b").rename(home / "elsewhere")
    picture(80).save(home / "photos" / "new.png")
    with opened(home) as again, caplog.at_level(logging.WARNING, "imagefinder"):
        report = again.index(home / "photos")
        assert (report.added, report.spaces) == (1, [])
        assert "toy-b is 1 images behind" in caplog.text
        assert states(again)["toy-b"].behind == 1
        with pytest.raises(errors.ModelError, match=r"toy-b.*--model"):
            again.search(home / "photos" / "1.png", space="toy-b")
        assert len(again.search("id:1.png", k=9, space="toy-b")) == 6
    (home / "elsewhere").rename(home / "toy-b")
    with opened(home) as again:
        assert [(filled.space, filled.added) for filled in again.index(home / "photos").spaces] == [
            ("toy-b", 1)
        ]
        whole(again, home)


def test_a_model_that_has_moved_is_remembered_where_it_is_now(
    home: Path, finder: ImageFinder
) -> None:
    finder.close()
    (home / "models").mkdir()
    (home / "toy-a").rename(home / "models" / "toy-a")
    query = home / "photos" / "1.png"
    with ImageFinder.open(home / "collection", model=str(home / "models" / "toy-a")) as again:
        assert again.search(query, k=1)[0].id == "1.png"
    with opened(home) as again:
        assert again.search(query, k=1)[0].id == "1.png"


def test_another_version_of_the_model_is_refused(home: Path, finder: ImageFinder) -> None:
    finder.close()
    shutil.rmtree(home / "toy-b")
    write_model(home / "toy-b", dim=4, seed=3)
    with opened(home) as again:
        for call in (
            lambda: again.search(home / "photos" / "1.png", space="toy-b"),
            lambda: again.add_space(str(home / "toy-b")),
        ):
            with pytest.raises(errors.ModelMismatchError, match="another version of toy-b"):
                call()
        assert again.search(home / "photos" / "1.png", k=1)[0].id == "1.png"


def test_an_image_that_cannot_be_read_any_more(home: Path) -> None:
    skipped: list[str] = []
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        (home / "photos" / "2.png").rename(home / "2.png")
        picture(81).save(home / "photos" / "4.png")
        report = finder.add_space(
            str(home / "toy-b"), on_skipped=lambda image: skipped.append(image.id)
        )
        assert (report.added, report.skipped) == (4, 2)
        assert sorted(skipped) == ["2.png", "4.png"]
        reasons = {image.id: image.reason for image in report.problems}
        assert "no such file" in reasons["2.png"]
        assert "changed since it was indexed" in reasons["4.png"]
        assert states(finder)["toy-b"].behind == 2
        (home / "2.png").rename(home / "photos" / "2.png")
        # not tried again by itself, but when it is asked for, and where the file is new
        assert [filled.added for filled in finder.index(home / "photos").spaces] == [1]
        assert states(finder)["toy-b"].behind == 1
        assert finder.add_space(str(home / "toy-b")).added == 1
        whole(finder, home)


def test_the_first_answers_while_the_second_is_filled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = Event(), Event()
    real = OnnxEmbedder.embed

    def waiting(self: OnnxEmbedder, tensors: np.ndarray) -> np.ndarray:
        if self.spec.name == "toy-b":
            inside.set()
            assert go_on.wait(60)
        return real(self, tensors)

    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        monkeypatch.setattr(OnnxEmbedder, "embed", waiting)
        filling = Thread(target=finder.add_space, args=(str(home / "toy-b"),))
        filling.start()
        try:
            assert inside.wait(60)
            assert finder.search(home / "photos" / "1.png", k=1)[0].id == "1.png"
            data = (home / "photos" / "0.png").read_bytes() + b"more"
            go_on.set()
            assert finder.add([Upload(data, "up.png")]).added == ["up.png"]
        finally:
            go_on.set()
            filling.join()
        assert states(finder)["toy-b"].images == 7
        assert states(finder)["toy-b"].behind == 0


def test_indexing_by_a_model_without_a_space_says_how_to_add_it(
    home: Path, finder: ImageFinder
) -> None:
    finder.close()
    write_model(home / "toy-c")
    with opened(home, "toy-c") as other:
        with pytest.raises(errors.ModelMismatchError, match="imagefinder models add toy-c"):
            other.index(home / "photos")
        with pytest.raises(errors.ModelMismatchError, match="holds embeddings of toy-a, toy-b"):
            other.search(home / "photos" / "1.png")


def test_dropping_a_space(home: Path, finder: ImageFinder) -> None:
    finder.use_space("toy-b")
    finder.drop_space("toy-b")
    assert list(states(finder)) == ["toy-a"]
    assert finder.status().model == "toy-a"
    assert not (home / "collection" / "spaces" / "toy-b").exists()
    assert len(finder.search("id:0.png", k=9)) == 6
    with pytest.raises(errors.UsageError, match="only space"):
        finder.drop_space("toy-a")
    assert finder.add_space(str(home / "toy-b")).added == 6
    whole(finder, home)


def test_a_space_that_alone_has_images_is_not_dropped(home: Path) -> None:
    with opened(home, "toy-a") as finder:
        finder.index(home / "photos")
        stop = Event()
        stop.set()
        assert finder.add_space(str(home / "toy-b"), stop=stop).added == 0
        with pytest.raises(errors.CollectionError, match=r"6 images are in no other space"):
            finder.drop_space("toy-a")
        finder.drop_space("toy-b")
        assert len(finder) == 6


def test_words_need_a_model_with_a_text_side(finder: ImageFinder) -> None:
    with pytest.raises(errors.ModelError, match=r"toy-a.*no text side.*clip-vit-b32, siglip2-base"):
        finder.search(Query((TextPart("a cat"),)))


def test_imported_embeddings_beside_a_models(home: Path, finder: ImageFinder) -> None:
    (home / "old.csv").write_text("id,e0,e1\nold-1,1,0\n0.png,0,1\n")
    report = finder.import_embeddings(home / "old.csv", space="old")
    assert report.added == 2
    assert [hit.id for hit in finder.search("id:0.png", k=9, space="old")] == ["0.png", "old-1"]
    found = states(finder)
    assert (found["old"].model, found["old"].behind) == ("", 0)
    assert found["toy-b"].behind == 1  # whose file nobody knows
    report = finder.add_space(str(home / "toy-b"))
    assert [image.id for image in report.problems] == ["old-1"]


def test_a_collection_of_imported_embeddings_gets_a_model(home: Path) -> None:
    (home / "old.csv").write_text("id,e0,e1\nold-1,1,0\nold-2,0,1\n")
    with opened(home) as finder:
        finder.import_embeddings(home / "old.csv", space="old")
        with pytest.raises(errors.ModelError, match="imported"):
            finder.search(home / "photos" / "1.png")
    with opened(home, "toy-a") as finder:
        assert finder.index(home / "photos").added == 6
        assert finder.search(home / "photos" / "1.png", k=1)[0].id == "1.png"
    with opened(home) as finder:
        with pytest.raises(errors.ModelError, match="--space toy-a"):
            finder.search(home / "photos" / "1.png")
        finder.use_space("toy-a")
        assert finder.search(home / "photos" / "1.png", k=1)[0].id == "1.png"


def test_an_export_comes_back_to_the_space_of_its_model(home: Path, finder: ImageFinder) -> None:
    finder.use_space("toy-b")
    finder.export(home / "b.npz")
    finder.remove(["3.png"])
    assert finder.import_embeddings(home / "b.npz").space == "toy-b"
    assert [hit.id for hit in finder.search("id:3.png", k=1)] == ["3.png"]
    assert states(finder)["toy-a"].behind == 1


def test_after_a_power_cut_every_space_is_looked_through(home: Path, finder: ImageFinder) -> None:
    """As if the last writes of one space had not reached the disk."""
    finder.close()
    with opened(home) as again:
        again.collection.store("toy-b").delete(["1.png", "5.png"])  # type: ignore[attr-defined]
        again.collection.reconcile()  # type: ignore[attr-defined]
        assert states(again)["toy-b"].behind == 2
        again.index(home / "photos")
        whole(again, home)


def test_two_spaces_at_once(home: Path, finder: ImageFinder) -> None:
    query = home / "photos" / "3.png"
    rankings = {
        name: [hit.id for hit in finder.search(query, k=6, space=name)]
        for name in ("toy-a", "toy-b")
    }
    assert rankings["toy-a"] != rankings["toy-b"]
    wanted = {
        id: sum(61 / (61 + ranks.index(id)) / 2 for ranks in rankings.values())
        for id in rankings["toy-a"]
    }
    hits = finder.search(query, k=4, space="toy-a,toy-b")
    assert [hit.id for hit in hits] == sorted(wanted, key=lambda id: (-wanted[id], id))[:4]
    assert [hit.score for hit in hits] == pytest.approx([wanted[hit.id] for hit in hits])
    assert finder.search_many([query], k=4, space=["toy-a", "toy-b"]) == [hits]
    others = finder.search(query, k=5, space="toy-a,toy-b", exclude_same=True)
    assert sorted(hit.id for hit in others) == sorted(set(NAMES) - {"3.png"})
    by_id = finder.search("id:3.png", k=4, space="toy-a,toy-b", filter='format == "png"')
    assert [hit.id for hit in by_id] == [hit.id for hit in hits]
