"""A collection carried into another one: all of it, as often as one likes, and proved."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload, errors
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.migrate import carry, check, migrate
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.sqlite import SqliteLedger
from tests.pictures import write_pictures
from tests.toy_models import write_model
from tests.uploads import png

NAMES = [f"{number}.png" for number in range(8)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A collection of photos and uploads in two spaces, of which the second is in use and behind
    with an image."""
    write_pictures(tmp_path / "photos", NAMES)
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    write_model(tmp_path / "toy-a", dim=24, seed=1)
    write_model(tmp_path / "toy-b", dim=4, seed=2)
    with ImageFinder.open(tmp_path / "source", model=str(tmp_path / "toy-a")) as finder:
        finder.index(tmp_path / "photos")
        finder.add([Upload(png(50), "up.png", metadata={"label": "cat", "tags": ["a", "b"]})])
        finder.add([Upload(png(51), "own.png")], source="shop")
        finder.add_space(str(tmp_path / "toy-b"), distance="euclidean")
        finder.use_space("toy-b-euclidean")
    with ImageFinder.open(tmp_path / "source") as finder:
        finder.collection.store("toy-b-euclidean").delete(["3.png"])  # type: ignore[attr-defined]
        finder.collection.ledger.spaces.lost("toy-b-euclidean", ["3.png"])  # type: ignore[attr-defined]
    return tmp_path


def content(where: Path) -> object:
    """All that a collection holds, whatever its numbers of sources are."""
    with ImageFinder.open(where) as finder:
        status = finder.status()
        spaces = {
            space: sorted(
                (record.id, finder.get(record.id), record.sha256, row.tobytes())
                for record, row in finder.collection.store(space).scan()  # type: ignore[attr-defined]
            )
            for space in status.spaces
        }
        uploads = {id: finder.read(id) for id in ("up.png", "own.png") if id in finder}
        shown = [
            [(record.id, record.metadata, record.sha256) for record in finder.images()],
            sorted(status.sources),
            [(skipped.id, skipped.reason) for skipped in finder.skipped()],
            finder.spaces(),
            [(id, row) for id, _, _, row in spaces["toy-a"]],
            [(id, row) for id, _, _, row in spaces["toy-b-euclidean"]],
        ]
    return shown, uploads, status.model


def test_everything_is_carried(home: Path) -> None:
    told: list[tuple[int, int | None]] = []
    report = migrate(
        str(home / "source"),
        str(home / "target"),
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert (report.images, report.carried, report.unchanged, report.left_out) == (10, 10, 0, 0)
    assert (report.skipped, report.checked, report.recall) == (1, 19, 1.0)
    assert report.upload_bytes == len(png(50)) + len(png(51))
    assert told[-1] == (20, 20)
    assert content(home / "target") == content(home / "source")
    # nothing is embedded again, and what was skipped is known
    with ImageFinder.open(home / "target") as finder:
        run = finder.index(home / "photos")
    assert run.counts() == {
        "added": 0, "updated": 0, "unchanged": 8, "renamed": 0, "removed": 0, "ignored": 0,
        "skipped": 1,
    }  # fmt: skip
    assert [(space.space, space.added) for space in run.spaces] == [("toy-b-euclidean", 1)]


def test_a_second_time_only_what_is_new(home: Path) -> None:
    migrate(str(home / "source"), str(home / "target"))
    write_pictures(home / "photos", ["new.png"])
    with ImageFinder.open(home / "source", model=str(home / "toy-a")) as finder:
        finder.index(home / "photos")
    report = migrate(str(home / "source"), str(home / "target"))
    # and what a space here was behind with the first time
    assert (report.images, report.carried, report.unchanged) == (11, 2, 9)
    assert content(home / "target") == content(home / "source")


class Crash(BaseException):
    """As if the process had ended here."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is called before every write to a ledger or a store."""
    before: list[Callable[[], None]] = []

    def told(real: Callable[..., object]) -> Callable[..., object]:
        def write(*args: object, **options: object) -> object:
            for call in before:
                call()
            return real(*args, **options)

        return write

    for owner, name in ((SqliteLedger, "acknowledge"), (SqliteLedger, "doubt"),
                        (EmbeddedStore, "upsert")):  # fmt: skip
        monkeypatch.setattr(owner, name, told(getattr(owner, name)))
    return before


@pytest.mark.parametrize("end", range(0, 14, 2))
def test_cut_off_anywhere_it_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Callable[[], None]], end: int
) -> None:
    monkeypatch.setattr(carry, "AT_ONCE", 3)
    source = content(home / "source")
    left = end

    def crash() -> None:
        nonlocal left
        if left == 0:
            raise Crash
        left -= 1

    steps.append(crash)
    with pytest.raises(Crash):
        migrate(str(home / "source"), str(home / "target"))
    steps.clear()
    report = migrate(str(home / "source"), str(home / "target"))
    assert report.images == 10
    assert report.checked == 19
    assert content(home / "target") == source


def test_kill_9_and_again(home: Path) -> None:
    code = (
        "import os, sys\n"
        "from imagefinder.migrate import carry, migrate\n"
        "carry.AT_ONCE = 2\n"
        "def end(done, total):\n"
        "    done >= 6 and os.kill(os.getpid(), 9)\n"
        "migrate(sys.argv[1], sys.argv[2], on_progress=end)\n"
    )
    places = [str(home / "source"), str(home / "target")]
    assert subprocess.run([sys.executable, "-c", code, *places], check=False).returncode == -9
    report = migrate(*places)
    assert report.unchanged >= 4
    assert content(home / "target") == content(home / "source")


def test_ids_of_others_are_left_out(home: Path) -> None:
    write_pictures(home / "others", ["3.png", "other.png"], first=100)
    with ImageFinder.open(home / "target", model=str(home / "toy-a")) as finder:
        finder.index(home / "others")
        before = finder.get("3.png")
    report = migrate(str(home / "source"), str(home / "target"))
    assert (report.carried, report.left_out) == (9, 1)
    assert [(each.id, each.reason) for each in report.problems] == [
        ("3.png", f"the id belongs to an image of {home / 'others'} already")
    ]
    with ImageFinder.open(home / "target") as finder:
        assert len(finder) == 11
        assert finder.get("3.png") == before


def test_a_space_of_another_version_is_refused(home: Path) -> None:
    write_model(home / "other" / "toy-a", dim=24, seed=9)
    with ImageFinder.open(home / "target", model=str(home / "other" / "toy-a")) as finder:
        finder.index(home / "photos")
    with pytest.raises(errors.TransferError, match="its space toy-a is of another model"):
        migrate(str(home / "source"), str(home / "target"))


@pytest.mark.parametrize("harm", ["embedding", "record", "lost", "ledger"])
def test_a_target_that_differs_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """As if what was written had not come out again."""
    counts = check.Check._counts

    def harmed(checking: check.Check) -> None:
        counts(checking)
        target = checking.carrier.target
        assert isinstance(target, DirectoryCollection)
        store = target.store("toy-a")
        record = store.get(["5.png"])["5.png"]
        match harm:
            case "embedding":
                row = store.embeddings(["5.png"])["5.png"]
                store.upsert([record], np.roll(row, 1)[None])
            case "record":
                target.update_metadata("5.png", {"label": "dog"})
            case "lost":
                store.delete(["5.png"])
            case "ledger":
                target.ledger.look_again(["5.png"])

    monkeypatch.setattr(check.Check, "_counts", harmed)
    with pytest.raises(errors.TransferError, match=r"5\.png: the \w+ differ.*run the same command"):
        migrate(str(home / "source"), str(home / "target"))


def test_a_target_that_has_fewer_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry.Carrier, "_embeddings", lambda *_: [])
    with pytest.raises(errors.TransferError, match="its space toy-a has 0 images, not 10"):
        migrate(str(home / "source"), str(home / "target"))


def test_what_cannot_be_meant_is_refused(home: Path, tmp_path: Path) -> None:
    source = str(home / "source")
    with pytest.raises(errors.UsageError, match="source and target are one"):
        migrate(source, str(home / "x" / ".." / "source"))
    with pytest.raises(errors.UsageError, match="on the service's machine"):
        migrate("http://localhost:1", source)
    with pytest.raises(errors.CollectionNotFoundError):
        migrate(str(home / "nothing"), str(home / "target"))
    assert not (home / "target").exists()


def test_the_command(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from imagefinder.cli.main import run

    places = [str(home / "source"), str(home / "target")]
    assert run(["migrate", *places]) == 0
    out = capfd.readouterr().out.splitlines()
    assert out[0].startswith("10 carried, 0 there already, ")
    assert out[1] == "19 embeddings compared: the same; 19 searches: recall 1.000"
    assert run(["migrate", *places, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["unchanged"] == 10
    assert run(["migrate", places[0], places[0]]) == 2
    assert "source and target are one" in capfd.readouterr().err
