"""A collection on disk: what a crash at any point leaves, formats, and the lock."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from imagefinder import ImageFinder, errors, marker
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.home import bytes_on_disk, folder_bytes
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.stores.ledger.sqlite_spaces import SqliteSpaces
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures

NAMES = [f"{number}.png" for number in range(6)]


class Crash(BaseException):
    """As if the process had ended here: nothing catches it."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


def opened(tmp_path: Path) -> ImageFinder:
    return ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder())


def stored(tmp_path: Path) -> list[str]:
    """The ids in the vector store itself, whatever the ledger says."""
    with closing(DirectoryCollection(tmp_path / "collection", "test")) as found:
        return sorted(record.id for record, _ in found.store("fake").scan())


def crash(*_: object, **__: object) -> None:
    raise Crash


def test_a_crash_between_store_and_ledger_leaves_no_trace(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "acknowledge", crash)
        with pytest.raises(Crash):
            finder.index(photos)
    assert stored(tmp_path) == []  # settled when it was opened again
    with opened(tmp_path) as finder:
        assert len(finder) == 0
        assert finder.index(photos).added == len(NAMES)
    assert stored(tmp_path) == NAMES


def test_a_crash_while_an_image_is_updated_keeps_it(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    write_pictures(photos, ["0.png"], first=90)
    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "acknowledge", crash)
        with pytest.raises(Crash):
            finder.index(photos)
    assert stored(tmp_path) == NAMES
    with opened(tmp_path) as finder:
        assert finder.index(photos).updated == 1
        assert finder.search(photos / "0.png", k=1)[0].score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", ["discard", "delete"])
def test_a_crash_while_images_are_removed_is_finished_later(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
        with monkeypatch.context() as patch:
            patch.setattr(DirectoryCollection, method, crash)
            with pytest.raises(Crash):
                finder.remove(["0.png"])
    gone = ["0.png"] if method == "discard" else []  # before `delete` nothing has begun
    assert stored(tmp_path) == [name for name in NAMES if name not in gone]
    with opened(tmp_path) as finder:
        assert len(finder) == len(NAMES) - len(gone)


def test_a_crash_while_an_image_is_renamed_doubles_nothing(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    (photos / "0.png").rename(photos / "new.png")
    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr(DirectoryCollection, "discard", crash)
        with pytest.raises(Crash):
            finder.index(photos)
    with opened(tmp_path) as finder:
        assert sorted(record.id for record in finder.images()) == [*NAMES[1:], "new.png"]
    assert stored(tmp_path) == [*NAMES[1:], "new.png"]


def test_a_crash_while_a_space_is_made_is_harmless(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr(SqliteSpaces, "add", crash)
        with pytest.raises(Crash):
            finder.index(photos)
    with opened(tmp_path) as finder:
        assert finder.index(photos).added == len(NAMES)


def test_an_older_format_is_upgraded_step_by_step(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    steps: list[int] = []
    now = marker.FORMAT
    monkeypatch.setattr(marker, "FORMAT", now + 2)
    monkeypatch.setattr(
        marker, "UPGRADES", {now: lambda _: steps.append(1), now + 1: lambda _: steps.append(2)}
    )
    for _ in range(2):
        with opened(tmp_path) as finder:
            assert len(finder) == len(NAMES)
    assert steps == [1, 2]
    assert f'"format": {now + 2}' in (tmp_path / "collection" / "collection.json").read_text()


def test_a_newer_format_is_refused_untouched(tmp_path: Path, photos: Path) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    marker = tmp_path / "collection" / "collection.json"
    marker.write_text('{"format": 3}')
    with (
        opened(tmp_path) as finder,
        pytest.raises(errors.CollectionFormatError, match=r"format 3.*reads up to 2.*pip install"),
    ):
        len(finder)
    assert marker.read_text() == '{"format": 3}'


def test_a_missing_space_is_damage(tmp_path: Path, photos: Path) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    (tmp_path / "collection" / "spaces" / "fake").rename(tmp_path / "elsewhere")
    with (
        opened(tmp_path) as finder,
        pytest.raises(errors.CollectionDamagedError, match=r"missing.*restore a backup"),
    ):
        finder.search("id:0.png")


def test_a_disk_that_is_full_ends_the_run_and_loses_nothing(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own test fills a real disk; this one is about what comes after."""
    with opened(tmp_path) as finder:
        finder.index(photos)
    write_pictures(photos, ["later.png"], first=50)

    def full(*_: Sequence[object]) -> None:
        raise errors.StoreError("the disk is full; free space and run the same command again")

    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr("imagefinder.stores.embedded.EmbeddedStore.upsert", full)
        with pytest.raises(errors.StoreError, match="disk is full"):
            finder.index(photos)
        assert len(finder.search("id:0.png", k=10)) == len(NAMES)
    with opened(tmp_path) as finder:
        assert finder.index(photos).added == 1


def test_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.StoreError, match="choose a place that can be written"):
        DirectoryCollection(tmp_path / "file" / "collection", "mine", create=True)


def test_a_crash_while_an_image_is_updated_and_then_put_back(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the newer embedding, the file and the ledger agree on the older one."""
    with opened(tmp_path) as finder:
        finder.index(photos)
    file = photos / "0.png"
    content, before = file.read_bytes(), file.stat()
    write_pictures(photos, ["0.png"], first=90)
    with opened(tmp_path) as finder, monkeypatch.context() as patch:
        patch.setattr(SqliteLedger, "acknowledge", crash)
        with pytest.raises(Crash):
            finder.index(photos)
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with opened(tmp_path) as finder:
        assert finder.index(photos).updated == 1
        hit = finder.search(file, k=1)[0]
        assert (hit.id, hit.score) == ("0.png", pytest.approx(1, abs=1e-5))


def test_a_crash_while_a_collection_is_made_is_harmless(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "collection").mkdir()
    (tmp_path / "collection" / "collection.json.new").write_text("{")
    with opened(tmp_path) as finder:
        assert finder.index(photos).added == len(NAMES)


@pytest.mark.parametrize("content", ['{"format": "x"}', '{"format": null}', '{"format": 0}', "[]"])
def test_a_marker_that_makes_no_sense_is_damage(tmp_path: Path, photos: Path, content: str) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    (tmp_path / "collection" / "collection.json").write_text(content)
    with opened(tmp_path) as finder, pytest.raises(errors.CollectionDamagedError, match="restore"):
        len(finder)


def test_a_missing_ledger_is_damage_and_removes_nothing(tmp_path: Path, photos: Path) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
    (tmp_path / "collection" / "ledger.sqlite").rename(tmp_path / "elsewhere")
    with opened(tmp_path) as finder, pytest.raises(errors.CollectionDamagedError, match="missing"):
        finder.index(photos)
    (tmp_path / "elsewhere").rename(tmp_path / "collection" / "ledger.sqlite")
    with opened(tmp_path) as finder:
        assert finder.index(photos).unchanged == len(NAMES)


@pytest.mark.parametrize("name", ["..", ".", "../other", ".hidden"])
def test_no_name_of_a_space_leads_out_of_its_folder(
    tmp_path: Path, photos: Path, name: str
) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
        finder.export(tmp_path / "out.npz")
        with pytest.raises(errors.TransferError, match="--space"):
            finder.import_embeddings(tmp_path / "out.npz", space=name)
        odd = FakeEmbedder()
        odd.spec = replace(odd.spec, name=name)
    with ImageFinder.open(tmp_path / "other", embedder=odd) as finder:
        if name.strip("."):
            assert finder.index(photos).added == len(NAMES)
        else:
            with pytest.raises(errors.UsageError, match="this name"):
                finder.index(photos)
    with opened(tmp_path) as finder:
        assert len(finder.search("id:0.png", k=10)) == len(NAMES)


def test_a_collection_that_this_program_has_open(tmp_path: Path, photos: Path) -> None:
    with opened(tmp_path) as finder:
        finder.index(photos)
        with pytest.raises(errors.CollectionInUseError, match="this program"):
            len(opened(tmp_path))


def test_a_full_disk_does_not_keep_the_lock(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(tmp_path) as finder:
        finder.index(photos)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with opened(tmp_path) as finder:
            assert len(finder) == len(NAMES)
    with monkeypatch.context() as patch:
        patch.setattr("imagefinder.stores.embedded.EmbeddedStore.close", full)
        finder = opened(tmp_path)
        finder.search("id:0.png")
        store = finder._session.store("fake")
        with pytest.raises(OSError, match="No space"):
            finder.close()
    store.close()
    with opened(tmp_path) as finder:
        assert len(finder) == len(NAMES)


def test_the_size_on_disk_where_files_come_and_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to("nowhere")
    assert folder_bytes(tmp_path) >= 5000
    monkeypatch.setattr(os, "walk", lambda path: [(path, [], ["gone"])])
    assert folder_bytes(tmp_path) == 0
    assert bytes_on_disk(os.stat_result((0, 0, 0, 0, 0, 0, 77, 0, 0, 0))) == 77  # as on Windows


def test_after_a_power_cut_what_no_store_has_is_indexed_again(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the ledger had reached the disk, and the store's last writes had not."""
    with opened(tmp_path) as finder:
        finder.index(photos)
    with closing(DirectoryCollection(tmp_path / "collection", "test")) as found:
        found.store("fake").delete(["0.png", "1.png"])
    holder = tmp_path / "collection" / "lock.json"
    assert not holder.exists()  # it let go: nothing is looked for
    with opened(tmp_path) as finder:
        assert len(finder) == len(NAMES)
    holder.write_text('{"pid": 1, "command": "imagefinder index", "boot": "an earlier one"}')
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryCollection, "reconcile", crash)
        with opened(tmp_path) as finder, pytest.raises(Crash):
            len(finder)
    with opened(tmp_path) as finder:
        assert len(finder) == len(NAMES) - 2
        assert finder.index(photos).added == 2
    assert stored(tmp_path) == NAMES
