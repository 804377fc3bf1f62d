"""A crash at every step of what changes a collection with several spaces: the next run makes good.

Every write of the ledger, of the stores and of the bytes of uploads is a step.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from threading import Thread

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload
from imagefinder.local import LocalFinder
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.stores.ledger.database import Database
from imagefinder.stores.media import Media
from tests.pictures import picture, touch_later, write_pictures
from tests.toy_models import write_model

SPACES = ("toy-a", "toy-b")
CAMERA = "camera"


class Crash(BaseException):
    """As if the process had ended here."""


class Steps:
    """Counts the steps, and ends the process at the one of this number."""

    def __init__(self, last: int | None = None) -> None:
        self.number, self.last = 0, last

    def __call__(self) -> None:
        if self.last is not None and self.number >= self.last:
            raise Crash  # nothing is written after it
        self.number += 1


@contextmanager
def stepping(patch: pytest.MonkeyPatch, steps: Steps) -> Iterator[None]:
    write = Database.write

    @contextmanager
    def stepped(database: Database) -> Iterator[object]:
        steps()
        with write(database) as db:
            yield db

    def around(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object, **named: object) -> object:
            steps()
            return real(*arguments, **named)

        inside.setattr(owner, name, staticmethod(call) if name == "create" else call)

    with patch.context() as inside:
        inside.setattr(Database, "write", stepped)
        for name in ("upsert", "update", "delete", "create"):
            around(EmbeddedStore, name)
        for name in ("put", "discard", "sweep"):
            around(Media, name)
        yield


def png(seed: int) -> bytes:
    data = io.BytesIO()
    picture(seed).save(data, "PNG")
    return data.getvalue()


def opened(home: Path, name: str = "c", model: str | None = None) -> LocalFinder:
    finder = ImageFinder.open(home / name, model=None if model is None else str(home / model))
    assert isinstance(finder, LocalFinder)
    return finder


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos and uploads in two spaces; a third model."""
    home = tmp_path_factory.mktemp("start")
    write_pictures(home / "photos", [f"{n}.png" for n in range(4)] + ["in/4.png", "in/5.png"])
    for seed, (name, dim) in enumerate((("toy-a", 24), ("toy-b", 4), ("toy-c", 6)), start=1):
        write_model(home / name, dim=dim, seed=seed)
    with opened(home, model="toy-a") as finder:
        finder.index(home / "photos")
        finder.add_space(str(home / "toy-b"))
        finder.add([Upload(png(50), "up.png", "up"), Upload(png(51), "other.png")], source=CAMERA)
    with opened(home, "inner", "toy-a") as finder:
        finder.index(home / "photos" / "in")
        finder.add_space(str(home / "toy-b"))
    return home


Change = tuple[Callable[[Path], object], Callable[[LocalFinder, Path], object]]


def write(path: Path, seed: int) -> None:
    path.write_bytes(png(seed))
    touch_later(path)


# what happens to the photos, and what is asked of the collection
CHANGES: dict[str, Change] = {
    "new": (lambda p: write(p / "new.png", 70), lambda f, p: f.index(p)),
    "changed": (lambda p: write(p / "2.png", 71), lambda f, p: f.index(p)),
    "renamed": (lambda p: (p / "2.png").rename(p / "moved.png"), lambda f, p: f.index(p)),
    "copied": (lambda p: shutil.copy(p / "2.png", p / "copy.png"), lambda f, p: f.index(p)),
    "pruned": (lambda p: (p / "2.png").unlink(), lambda f, p: f.index(p, prune=True)),
    "upload": (lambda p: None, lambda f, p: f.add([Upload(png(60), "n.png")], source=CAMERA)),
    "replaced upload": (
        lambda p: None,
        lambda f, p: f.add([Upload(png(61), "up.png", "up")], source=CAMERA),
    ),
    "removed": (lambda p: None, lambda f, p: f.remove([i for i in ("up",) if i in f])),
    "added space": (lambda p: None, lambda f, p: f.add_space(str(p.parent / "toy-c"))),
    "dropped space": (lambda p: None, lambda f, p: drop(f, "toy-b")),
    "around": (lambda p: None, lambda f, p: f.index(p)),
}


def drop(finder: LocalFinder, space: str) -> None:
    if space in finder.status().spaces:
        finder.drop_space(space)


def content(finder: LocalFinder, ids: dict[str, bytes]) -> None:
    """Every space has every image as it is now, and no other, and the ledger knows."""
    assert sorted(record.id for record in finder.images()) == sorted(ids)
    for space in finder.spaces():
        assert (space.name, space.images, space.behind) == (space.name, len(ids), 0)
        found = {
            record.id: (record, row) for record, row in finder.collection.store(space.name).scan()
        }
        assert sorted(found) == sorted(ids)
        for id, data in ids.items():
            record, row = found[id]
            assert record.sha256 == finder.get(id).sha256
            query = finder.embed(data, space=space.name)
            assert np.dot(row, query) > 0.9999, (space.name, id)
            assert finder.read(id) == data


def expected(photos: Path, uploads: dict[str, int]) -> dict[str, bytes]:
    files = photos.rglob("*.png")
    ids = {path.relative_to(photos).as_posix(): path.read_bytes() for path in files}
    return ids | {id: png(seed) for id, seed in uploads.items()}


UPLOADS = {"up": 50, "other.png": 51}
AFTER: dict[str, Callable[[dict[str, int]], dict[str, int]]] = {
    "upload": lambda known: {**known, "n.png": 60},
    "replaced upload": lambda known: {**known, "up": 61},
    "removed": lambda known: {id: seed for id, seed in known.items() if id != "up"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_crash_at_every_step(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    home = start  # its paths are in the collection
    kept = tmp_path / "kept"
    shutil.copytree(start, kept)
    happens, ask = CHANGES[change]
    number = 0
    try:
        while True:
            shutil.rmtree(home)
            shutil.copytree(kept, home, copy_function=shutil.copy2)
            photos = home / "photos"
            happens(photos)
            steps = Steps(number)
            place, known = ("inner", {}) if change == "around" else ("c", UPLOADS)
            finder = opened(home, place)
            with stepping(monkeypatch, steps):
                try:
                    ask(finder, photos)
                    crashed = False
                except Crash:
                    crashed = True
            finder.close()
            with opened(home, place) as finder:
                # nothing of before is lost
                assert len(finder) >= (2 if change == "around" else 7)
                for id, seed in known.items():
                    if id in finder:
                        assert finder.read(id) in (png(seed), png(61))
                ask(finder, photos)
                finder.index(photos)
                uploads = AFTER.get(change, dict)(known)
                content(finder, expected(photos, uploads))
            if not crashed:
                break
            number += 1
        assert number >= 2
    finally:
        shutil.rmtree(home)
        shutil.copytree(kept, home, copy_function=shutil.copy2)


@pytest.mark.parametrize("seed", range(3))
def test_everything_at_once(start: Path, tmp_path: Path, seed: int) -> None:
    """Threads that index, add a space, upload, replace, remove and search: at the end every space
    is whole, whoever was first."""
    photos = tmp_path / "photos"
    write_pictures(photos, [f"{number:02}.png" for number in range(40)])
    failures: list[BaseException] = []
    with opened(tmp_path, model=str(start / "toy-a")) as finder:
        finder.index(photos)
        finder.add_space(str(start / "toy-b"))

        def turn(kind: str, chance: Random) -> None:
            match kind:
                case "index":
                    write(photos / f"{chance.randrange(40):02}.png", chance.randrange(10**6))
                    finder.index(photos)
                case "fill":
                    finder.add_space(str(start / "toy-c"))
                    finder.use_space(chance.choice(["toy-a", "toy-b", "toy-c"]))
                case "upload":
                    data, id = png(chance.randrange(10**6)), f"up-{chance.randrange(6)}"
                    finder.add([Upload(data, "up.png", id)], source=CAMERA)
                case "remove":
                    finder.remove([f"up-{chance.randrange(6)}", f"{chance.randrange(40):02}.png"])
                case _:
                    hits = finder.search(png(chance.randrange(40)), k=5, space="toy-a,toy-b")
                    assert hits

        def work(kind: str, chance: Random) -> None:
            try:
                for _ in range(6):
                    turn(kind, chance)
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        kinds = ["index", "fill", "upload", "upload", "remove", "search"]
        threads = [
            Thread(target=work, args=(kind, Random(100 * seed + number)))
            for number, kind in enumerate(kinds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        finder.index(photos)
        uploads = [id for id in (f"up-{n}" for n in range(6)) if id in finder]
        files = expected(photos, {}) | {id: finder.read(id) for id in uploads}
        assert {space.name for space in finder.spaces()} == {"toy-a", "toy-b", "toy-c"}
        content(finder, files)
