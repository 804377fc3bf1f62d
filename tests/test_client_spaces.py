"""Several models at a service, through the Python client and the command line."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest

from imagefinder import Box, IdPart, ImageFinder, ImagePart, Query, Upload, errors
from imagefinder.cli.main import run
from imagefinder.client import spaces as client_spaces
from imagefinder.client.remote import RemoteFinder
from imagefinder.ingest.fill import Kept
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.types import ImageRef
from tests.hub_server import HubServer
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import serving
from tests.toy_catalogue import NAMES, toy_collection, toy_hub

SOON = 30.0  # seconds; what takes as long as that never comes


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(client_spaces, "EVERY", 0.01)
    with toy_hub(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture
def home(server: HubServer, tmp_path: Path) -> Path:
    """A collection of photos, whose only space is toy-a."""
    return toy_collection(tmp_path)


@pytest.fixture
def both(server: HubServer, tmp_path: Path) -> Path:
    """The same with toy-b."""
    return toy_collection(tmp_path, "toy-b")


@contextmanager
def remote_of(
    home: Path, model: str | None = None, options: ServeOptions | None = None, key: str = ""
) -> Iterator[tuple[RemoteFinder, ImageFinder]]:
    """The client, and the finder that the service uses."""
    local = ImageFinder.open(home / "c")
    with (
        serving(local, home / "photos", options) as service,
        ImageFinder.open(service.url, model=model, api_key=key or None) as remote,
    ):
        assert isinstance(remote, RemoteFinder)
        yield remote, local


@pytest.fixture
def halt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A fill comes to a halt as it reads its first image, until this is called."""
    go, real = Event(), Kept.read

    def read(kept: Kept, ref: ImageRef) -> bytes:
        assert go.wait(SOON)
        return real(kept, ref)

    monkeypatch.setattr(Kept, "read", read)
    yield go.set
    go.set()


def png(seed: int) -> bytes:
    return encoded(picture(seed), "PNG")


def test_the_spaces_are_those_of_the_collection(both: Path) -> None:
    with remote_of(both) as (remote, local):
        assert remote.spaces() == [replace(space, model="") for space in local.spaces()]
        remote.use_space("toy-b")
        assert remote.spaces() == [replace(space, model="") for space in local.spaces()]
        assert [space.in_use for space in remote.spaces()] == [False, True]
        assert (remote.status().model, remote.status().dim) == ("toy-b", 4)


def test_every_question_may_name_a_space(both: Path) -> None:
    path, two = both / "photos" / "3.png", ["toy-b", "toy-a"]
    mean = Query((ImagePart(path, 2), IdPart("1.png", -1), IdPart("2.png", box=Box(0, 0, 0.5, 1))))
    with remote_of(both) as (remote, local):
        for query in (path, png(7), "id:3.png", mean):
            for space in (None, "toy-a", "toy-b"):
                ours, theirs = remote.embed(query, space=space), local.embed(query, space=space)
                np.testing.assert_allclose(ours, theirs, atol=1e-6)
            for spaces in (None, "toy-b", "toy-a,toy-b", two, ["toy-b"]):
                found = remote.search(query, 4, space=spaces)
                wanted = local.search(query, 4, space=spaces)
                assert [hit.id for hit in found] == [hit.id for hit in wanted]
                assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted])
        asked = [path, "id:1.png"]
        wanted = [local.search(query, 4, space=two) for query in asked]
        found = remote.search_many(asked, 4, space=two)
        assert [[hit.id for hit in hits] for hits in found] == [
            [hit.id for hit in hits] for hits in wanted
        ]
        others = remote.search("id:3.png", 6, space="toy-b", exclude_same=True)
        assert "3.png" not in {hit.id for hit in others}
        for call in (
            lambda: remote.search(path, space="nope"),
            lambda: remote.search_many([path], space="toy-a,nope"),
            lambda: remote.embed(path, space="nope"),
            lambda: remote.embed("id:1.png", space="nope"),
        ):
            with pytest.raises(errors.UsageError, match=r"nope: .*there is: toy-a, toy-b"):
                call()
        with pytest.raises(errors.UsageError, match="name one space"):
            remote.embed(path, space="toy-a,toy-b")


def test_a_client_that_asks_for_a_model_has_its_space(both: Path) -> None:
    path = both / "photos" / "3.png"
    with remote_of(both, "toy-b") as (remote, local):
        for query in (path, "id:3.png", Query((IdPart("1.png"), IdPart("2.png")))):
            assert len(remote.embed(query)) == 4
            np.testing.assert_allclose(
                remote.embed(query), local.embed(query, space="toy-b"), atol=1e-6
            )
        assert remote.search(path)[1].score == pytest.approx(
            local.search(path, space="toy-b")[1].score
        )
        assert [space.name for space in remote.spaces() if space.in_use] == ["toy-b"]


def test_a_space_is_added_and_watched(home: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with remote_of(home) as (remote, local):
        report = remote.add_space("toy-b", on_progress=lambda *far: told.append(far))
        assert (report.space, report.added, report.skipped) == ("toy-b", 6, 0)
        assert not report.interrupted
        assert all(done <= (total or 0) <= 6 for done, total in told)
        assert [space.behind for space in local.spaces()] == [0, 0]
        report = remote.add_space("toy-b", distance="dot")
        assert (report.space, report.added) == ("toy-b-dot", 6)
        assert local.spaces()[-1].distance == "dot"
        assert remote.add_space("toy-b").added == 0
        query = remote.embed(home / "photos" / "3.png", space="toy-b-dot")
        hits = remote.search("id:3.png", 1, space="toy-b-dot")
        assert hits[0].score == pytest.approx(float(query @ query), rel=1e-5)


def test_who_stops_watching_may_watch_again(home: Path, halt: Callable[[], None]) -> None:
    """The service goes on meanwhile; another model has to wait."""
    stop = Event()
    stop.set()
    with remote_of(home) as (remote, local):
        report = remote.add_space("toy-b", stop=stop)
        assert (report.added, report.skipped, report.interrupted) == (0, 0, True)
        with pytest.raises(errors.CollectionError, match=r"toy-b is being filled.*wait") as caught:
            remote.add_space("toy-a")
        assert "HTTP" not in str(caught.value)
        told: list[tuple[int, int | None]] = []
        watching = Thread(
            target=lambda: told.append(
                (remote.add_space("toy-b", on_progress=lambda *_: halt()).added, None)
            )
        )
        watching.start()
        watching.join(SOON)
        assert told == [(6, None)]
        assert [space.behind for space in local.spaces()] == [0, 0]


def test_images_that_a_space_does_not_get(home: Path) -> None:
    (home / "photos" / "2.png").unlink()
    with remote_of(home) as (remote, _):
        report = remote.add_space("toy-b")
        assert (report.added, report.skipped, report.interrupted) == (5, 1, False)
        assert remote.spaces()[1].behind == 1


def test_what_a_client_cannot_add(home: Path, server: HubServer) -> None:
    with remote_of(home) as (remote, _):
        for name, told in (
            ("nope", "nope: no such model"),
            (str(home / "models" / "toy-c"), "no such model"),
            ("toys/toy-c", "no such model"),
            ("toy-c", "imagefinder models pull toy-c"),
        ):
            with pytest.raises(errors.UsageError, match=told):
                remote.add_space(name)
        with pytest.raises(errors.UsageError, match="machine"):
            remote.drop_space("toy-a")
        assert [space.name for space in remote.spaces()] == ["toy-a"]
    assert server.requests == []


def test_a_model_that_the_service_cannot_load(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    for blob in (home / "hf" / "hub").rglob("*preprocessor_config.json"):
        if "toy-b" in str(blob):
            data = json.loads(blob.read_text())
            blob.resolve().write_text(json.dumps({**data, "image_mean": "none"}))
    with remote_of(home) as (remote, _), pytest.raises(errors.ImageFinderError, match="toy-b"):
        remote.add_space("toy-b")


@pytest.mark.parametrize("name", ["nope", "a/b", "..", "ü ?#%", "toy-a/", "x" * 300])
def test_a_space_that_is_not_there(both: Path, name: str) -> None:
    with remote_of(both) as (remote, _):
        with pytest.raises(errors.UsageError, match="no such space there; there is: toy-a, toy-b"):
            remote.use_space(name)
        assert remote.status().model == "toy-a"


def test_keys(both: Path) -> None:
    keys = (
        Key("r", "a-key-that-may-read", Access.READ),
        Key("w", "a-key-that-may-write", Access.WRITE),
    )
    options = ServeOptions(keys=keys)
    with remote_of(both, options=options, key="a-key-that-may-read") as (remote, _):
        assert len(remote.search("id:1.png", space="toy-b")) == 3
        for call in (lambda: remote.use_space("toy-b"), lambda: remote.add_space("toy-b")):
            with pytest.raises(errors.CollectionError, match="may read"):
                call()
        assert remote.status().model == "toy-a"
    with remote_of(both, options=options, key="a-key-that-may-write") as (remote, _):
        remote.use_space("toy-b")
        assert remote.status().model == "toy-b"


def test_what_is_read_and_written_follows_the_space_in_use(both: Path) -> None:
    with remote_of(both) as (remote, local):
        remote.add([Upload(png(50), "up.png")])
        for space, dim in (("toy-b", 4), ("toy-a", 24)):
            remote.use_space(space)
            rows = {record.id: row for record, row in remote.embedded()}
            assert sorted(rows) == sorted([*NAMES, "up.png"])
            assert {len(row) for row in rows.values()} == {dim}
            wanted = local.embeddings(list(rows), space=space)
            for id, row in rows.items():
                np.testing.assert_allclose(row, wanted[id], atol=1e-6)
            assert remote.export(both / f"{space}.npz") == 7


def test_the_command_line(
    both: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cli(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "mistake in imagefinder" not in err
        return code, out, err

    with remote_of(both) as (remote, _):
        monkeypatch.setenv("IMAGEFINDER_COLLECTION", remote.status().path)
        status = json.loads(cli("status", "--json")[1])
        assert (status["model"], status["spaces"]) == ("toy-a", ["toy-a", "toy-b"])
        assert [space["model"] for space in status["models"]] == ["", ""]
        query = both / "photos" / "3.png"
        for space, scores in (("toy-b", "cosine"), ("toy-a,toy-b", "fused")):
            code, out, _ = cli("search", query, "--space", space, "--json")
            found = json.loads(out)
            assert (code, found["model"], found["scores"]) == (0, space, scores)
            assert found["hits"][0]["id"] == "3.png"
        found = json.loads(cli("search", query, "--model", "toy-b", "--json")[1])
        assert (found["model"], found["scores"]) == ("toy-b", "cosine")
        code, out, err = cli("models", "add", "toy-b", "--distance", "dot", "--json")
        assert (code, json.loads(out)["added"], err) == (0, 6, "")
        found = json.loads(cli("search", query, "--space", "toy-b-dot", "--json")[1])
        assert found["scores"] == "dot"
        code, _, err = cli("models", "use", "toy-b")
        assert (code, err) == (0, "searches use toy-b now; back: imagefinder models use toy-a\n")
        for arguments, told in (
            (["models", "use", "nope"], "nope: there is no such space"),
            (["models", "drop", "toy-b", "--yes"], "works on the service's machine only"),
            (["models", "add", both / "models" / "toy-b"], "no such model"),
            (["index", both / "photos", "--distance", "dot"], "service's machine only"),
        ):
            code, out, err = cli(*arguments)
            assert (code, out) == (2, "")
            assert told in err
