"""GET /v1/map: the collection in two dimensions, drawn in the background."""

import json
import logging
import shutil
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder, Upload
from imagefinder.projection import Projection, project
from imagefinder.serve import map as map_module
from imagefinder.serve.map import chosen
from imagefinder.serve.map_file import Drawing, file_of, load, save
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.testing import FakeEmbedder
from imagefinder.upkeep import backup, delete_collection, restore
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import Served, served

NAMES = [f"{n:02}.png" for n in range(14)]
SOON = 30.0  # seconds; what takes as long as that never comes
FILE = "cache/map-fake.json"


def drawn(service: Served) -> dict:
    """The map, once nothing is being drawn any more."""
    end = time.monotonic() + SOON
    while (found := looked(service))["drawing"]:
        assert time.monotonic() < end, "it is never done"
        time.sleep(0.01)
    return found


def looked(service: Served) -> dict:
    answer = service.client.get("/v1/map")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert len(found["ids"]) == len(found["x"]) == len(found["y"])
    assert len(set(found["ids"])) == len(found["ids"])
    return found


def remove(service: Served, id: str) -> None:
    assert service.client.delete(f"/v1/images/{id}").status_code == 204


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


class Artist:
    """Stands in for `project` and counts. While it is held, it does not come to an end."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()
        self.fails = False

    def __call__(self, rows) -> Projection:
        self.calls += 1
        self.begun.set()
        assert self.goes_on.wait(SOON)
        if self.fails:
            raise ArithmeticError("no pencil")
        return project(rows)


@pytest.fixture
def artist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Artist]:
    artist = Artist()
    monkeypatch.setattr(map_module, "project", artist)
    yield artist
    artist.goes_on.set()
    for thread in threading.enumerate():
        if thread.name == "map":
            thread.join(SOON)


def test_every_image_has_a_place(tmp_path: Path) -> None:
    with served(tmp_path, names=NAMES) as service:
        first = looked(service)
        assert first == {
            "model": "fake",
            "method": None,
            "images": len(NAMES),
            "drawing": True,
            "ids": [],
            "x": [],
            "y": [],
        }
        found = drawn(service)
        assert (found["model"], found["method"], found["images"]) == ("fake", "t-SNE", len(NAMES))
        assert sorted(found["ids"]) == NAMES
        spans = []
        for axis in ("x", "y"):
            low, high = min(found[axis]), max(found[axis])
            assert low >= 0
            assert high <= 1
            assert (low + high) / 2 == pytest.approx(0.5, abs=1e-4)
            assert all(round(value, 4) == value for value in found[axis])
            spans.append(high - low)
        assert max(spans) == pytest.approx(1, abs=1e-4)
        rows = service.finder.embeddings(found["ids"])
        made = project(np.stack([rows[id] for id in found["ids"]]))
        assert made.points[:, 0] == pytest.approx(found["x"], abs=1e-4)
        assert made.points[:, 1] == pytest.approx(found["y"], abs=1e-4)


def test_it_is_drawn_once_for_all_who_look(tmp_path: Path, artist: Artist) -> None:
    artist.goes_on.clear()
    with served(tmp_path, names=NAMES) as service:
        assert all(looked(service)["drawing"] for _ in range(5))
        artist.goes_on.set()
        found = drawn(service)
        assert looked(service) == found
        assert artist.calls == 1


def test_one_map_is_drawn_at_a_time(tmp_path: Path, artist: Artist) -> None:
    artist.goes_on.clear()
    with served(tmp_path, names=NAMES) as service:
        for name in NAMES[:3]:
            remove(service, name)
            assert looked(service)["drawing"]
            assert sum(thread.name == "map" for thread in threading.enumerate()) == 1
        assert artist.begun.wait(SOON)
        artist.goes_on.set()
        assert drawn(service)["ids"] == NAMES[3:]


def test_the_last_map_is_shown_while_the_next_is_drawn(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES) as service:
        before = drawn(service)
        artist.goes_on.clear()
        remove(service, NAMES[3])
        service.finder.add([Upload(png(99), "new.png")])
        place = dict(zip(before["ids"], zip(before["x"], before["y"], strict=True), strict=True))
        del place[NAMES[3]]
        for _ in range(2):
            meanwhile = looked(service)
            assert meanwhile["drawing"]
            assert meanwhile["images"] == len(NAMES)
            assert meanwhile["ids"] == list(place)
            assert list(zip(meanwhile["x"], meanwhile["y"], strict=True)) == list(place.values())
        artist.goes_on.set()
        after = drawn(service)
        assert sorted(after["ids"]) == sorted([*place, "new.png"])
        assert artist.calls == 2


def test_an_image_that_is_replaced_gets_another_place(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES) as service:
        service.finder.add([Upload(png(50), "a.png")], source="me")
        before = drawn(service)
        service.finder.add([Upload(png(51), "a.png")], source="me")
        after = drawn(service)
        assert after["ids"] == before["ids"]
        assert (after["x"], after["y"]) != (before["x"], before["y"])


def test_what_does_not_change_the_map_is_not_drawn(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES) as service:
        before = drawn(service)
        service.client.patch(f"/v1/images/{NAMES[0]}", json={"metadata": {"label": "cat"}})
        service.finder.index(service.pictures)
        service.finder.add([Upload(png(60), "a.png")])
        remove(service, "a.png")
        assert drawn(service) == before
        assert artist.calls == 1


def test_a_service_that_starts_again_has_the_map_at_once(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES) as service:
        before = drawn(service)
    with served(tmp_path) as service:
        assert looked(service) | {"drawing": False} == before
        assert drawn(service) == before
    assert artist.calls == 1


def test_a_map_that_is_no_longer_right_is_drawn_again(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES) as service:
        drawn(service)
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.remove([NAMES[5]])
    with served(tmp_path) as service:
        left = [name for name in NAMES if name != NAMES[5]]
        assert looked(service)["ids"] == left
        assert drawn(service)["ids"] == left
    assert artist.calls == 2


def spoilt(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def spoil(data: bytes) -> bytes:
        known = json.loads(data)
        change(known)
        return json.dumps(known).encode()

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: b"\x80\x04" + data,
        lambda data: b"[]",
        spoilt(lambda known: known.pop("ids")),
        spoilt(lambda known: known["ids"].pop()),
        spoilt(lambda known: known["x"].append(0.5)),
        spoilt(lambda known: known["x"].__setitem__(0, float("nan"))),
        spoilt(lambda known: known["x"].__setitem__(0, 1.5)),
        spoilt(lambda known: known["x"].__setitem__(0, "0.5")),
        spoilt(lambda known: known.update(method="by hand")),
    ],
)
def test_a_damaged_file_is_no_map(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    drawing = Drawing("basis", "PCA", ("a", "b", "👒"), (0.0, 0.5, 1.0), (0.25, 0.5, 0.75))
    file = file_of(tmp_path / "cache", "../fake")
    assert file.parent == tmp_path / "cache"
    save(file, drawing)
    assert load(file) == drawing
    file.write_bytes(spoil(file.read_bytes()))
    assert load(file) is None


def test_where_the_file_is_damaged_the_map_is_drawn_anew(tmp_path: Path, artist: Artist) -> None:
    with served(tmp_path, names=NAMES[:4]) as service:
        before = drawn(service)
    file = tmp_path / "collection" / FILE
    good = file.read_bytes()
    file.write_bytes(good[:-20])
    with served(tmp_path) as service:
        first = looked(service)
        assert (first["drawing"], first["ids"]) == (True, [])
        assert drawn(service) == before
    assert artist.calls == 2
    assert file.read_bytes() == good


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, artist: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    with served(tmp_path, names=NAMES) as service:
        (service.collection / "cache").write_text("a file where the folder belongs")
        assert sorted(drawn(service)["ids"]) == NAMES
        assert looked(service)["drawing"] is False
    assert [record.levelname for record in caplog.records if "map" in record.message] == ["WARNING"]
    assert "cannot be kept" in caplog.text


def test_a_failure_is_told_once_and_tried_again_after_a_change(
    tmp_path: Path, artist: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [r.levelname for r in caplog.records if r.name == "imagefinder.serve"]

    caplog.set_level(logging.WARNING)
    with served(tmp_path, names=NAMES) as service:
        artist.fails = True
        for _ in range(3):
            assert drawn(service)["ids"] == []
        assert artist.calls == 1
        assert told() == ["ERROR"]
        assert "no pencil" in caplog.text
        artist.fails = False
        remove(service, NAMES[0])
        before = drawn(service)
        assert before["ids"] == NAMES[1:]
        artist.fails = True
        remove(service, NAMES[1])
        after = drawn(service)  # the last map, without what is gone
        assert after["ids"] == NAMES[2:]
        assert after["x"] == before["x"][1:]
        assert told() == ["ERROR", "ERROR"]


def test_images_without_an_embedding_in_the_space_are_left_out(tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "other", embedder=FakeEmbedder()) as other:
        other.add([Upload(png(70), "elsewhere.png")])
        other.export(tmp_path / "other.npz")
    with served(tmp_path, names=NAMES) as service:
        service.finder.import_embeddings(tmp_path / "other.npz", space="imported")
        found = drawn(service)
        assert found["images"] == len(NAMES) + 1
        assert sorted(found["ids"]) == NAMES


def test_a_collection_without_images(tmp_path: Path) -> None:
    with served(tmp_path, names=["a.png"]) as service:
        remove(service, "a.png")
        found = drawn(service)
        assert (found["ids"], found["images"]) == ([], 0)


def test_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "sklearn", None)
        without.setitem(sys.modules, "sklearn.manifold", None)
        with served(tmp_path, names=NAMES) as service:
            plain = drawn(service)
            assert plain["method"] == "PCA"
            assert sorted(plain["ids"]) == NAMES
    with served(tmp_path) as service:  # which has been installed since
        assert looked(service)["method"] == "PCA"
        assert drawn(service)["method"] == "t-SNE"


def test_of_a_large_collection_some_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artist: Artist
) -> None:
    monkeypatch.setattr(map_module, "MAP_POINTS", 6)
    monkeypatch.setattr(map_module, "PAGE", 4)
    with served(tmp_path, names=NAMES) as service:
        found = drawn(service)
        assert found["images"] == len(NAMES)
        assert sorted(found["ids"]) == sorted(chosen(NAMES, 6))
        others = sorted(set(NAMES) - set(found["ids"]))
        remove(service, others[0])
        assert drawn(service) == found | {"images": len(NAMES) - 1}
        assert artist.calls == 1


def test_which_are_shown_is_as_if_by_lot_and_stays() -> None:
    ids = [f"folder/{n:05}.jpg" for n in range(10_000)]
    some = chosen(ids, 1000)
    assert some == chosen(reversed(ids), 1000)
    assert len(set(some)) == 1000
    for tenth in range(10):  # 100 are expected of each, with a standard deviation of 9
        of_it = set(ids[tenth * 1000 : (tenth + 1) * 1000])
        assert 60 < len(of_it & set(some)) < 140
    more = chosen([*ids, *(f"new/{n}.jpg" for n in range(100))], 1000)
    assert 970 <= len(set(more) & set(some)) < 1000
    assert set(chosen(ids[:10], 1000)) == set(ids[:10])


def test_the_end_does_not_wait_for_a_drawing(
    tmp_path: Path, artist: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    artist.goes_on.clear()
    with served(tmp_path, names=NAMES) as service:
        assert looked(service)["drawing"]
        assert artist.begun.wait(SOON)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "map")
    assert thread.daemon  # the process does not wait either
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        assert len(finder) == len(NAMES)
        artist.goes_on.set()
        thread.join(SOON)
        assert not thread.is_alive()
    assert not (tmp_path / "collection" / "cache").exists()  # it is no longer ours to write
    assert "map" not in caplog.text


def test_a_backup_leaves_the_map_out(tmp_path: Path) -> None:
    with served(tmp_path, names=NAMES) as service:
        before = service.client.get("/v1/status").json()["disk_bytes"]
        found = drawn(service)
        assert (service.collection / FILE).is_file()
        assert service.client.get("/v1/status").json()["disk_bytes"] > before
    collection = str(tmp_path / "collection")
    assert backup(collection, tmp_path / "b.tar") == len(NAMES)
    with tarfile.open(tmp_path / "b.tar") as archive:
        names = archive.getnames()
    assert "ledger.sqlite" in names
    assert not [name for name in names if name.startswith("cache")]
    delete_collection(collection)
    assert not Path(collection).exists()
    assert restore(tmp_path / "b.tar", collection) == len(NAMES)
    shutil.rmtree(tmp_path / "pictures")
    with served(tmp_path) as service:
        assert drawn(service) == found


def test_who_may_read_may_look(tmp_path: Path) -> None:
    keys = (Key("r", "a-key-that-may-read", Access.READ),)
    options = ServeOptions(keys=keys, read_only=True)
    with served(tmp_path, options, names=["a.png"]) as service:
        for path in ("/v1/map", "/v1/fields"):
            assert service.client.get(path).status_code == 401
            known = {"Authorization": "Bearer a-key-that-may-read"}
            assert service.client.get(path, headers=known).status_code == 200
