"""Every row of the catalogue, from a stand-in of the hub: fetched, loaded, searched.

Through the library, the command line and HTTP. The graphs are small ones of the same structure.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder, errors
from imagefinder.models import DEFAULT_MODEL, catalog, find_model
from imagefinder.serve.options import ServeOptions
from tests.hub_catalog import at_the_rows_commits
from tests.hub_server import HubServer, hub
from tests.serving import serving
from tests.small_graphs import repositories

DEMO = Path(__file__).resolve().parents[1] / "src" / "imagefinder" / "demo" / "images"
NAMES = ["big-cat-06.png", "cat-01.png", "flower-02.jpg", "strings-06.png"]
COLOURS = ["red", "blue", "lime", "yellow"]
ROWS = list(catalog())
FETCHED = [name for name in ROWS if name != DEFAULT_MODEL]
VARIANTS = [f"{name}:{variant}" for name, row in catalog().items() for variant in row.variants]
WITH_TEXT = [name for name, row in catalog().items() if row.text]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub(repositories(), monkeypatch, tmp_path) as server:
        at_the_rows_commits(server)
        yield server


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((DEMO / name).read_bytes())
    for colour in COLOURS:
        Image.new("RGB", (64, 48), colour).save(folder / f"{colour}.png")
    return folder


@pytest.fixture
def cli(server: HubServer, tmp_path: Path) -> Run:
    """Runs a command in a process of its own, for which the stand-in is the hub."""

    def call(*arguments: str | Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, **server.environment(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "imagefinder", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.mark.parametrize("name", FETCHED + VARIANTS)
def test_a_row_is_fetched_loaded_and_searched(
    server: HubServer, tmp_path: Path, photos: Path, name: str
) -> None:
    told: list[tuple[str, int, int | None]] = []
    assert not find_model(name).present
    with ImageFinder.open(
        tmp_path / "c", model=name, on_fetch=lambda *progress: told.append(progress)
    ) as finder:
        assert finder.index(photos).added == len(NAMES) + len(COLOURS)
        row = catalog()[name.partition(":")[0]]
        assert finder.status().dim == row.dim == len(finder.embed(photos / NAMES[0]))
    assert find_model(name).present
    assert {file for file, *_ in told} == {file.path for file in find_model(name).files}  # type: ignore[attr-defined]
    assert all(done <= total for _, done, total in told if total is not None)
    server.requests.clear()
    with ImageFinder.open(tmp_path / "c") as finder:  # the collection knows its model
        for image in NAMES:
            hits = finder.search(photos / image, k=3)
            assert hits[0].id == image
            assert hits[0].score == pytest.approx(1, abs=1e-4)
            assert hits[1].score < 0.9999
    assert server.requests == []


def test_the_library_with_every_row_in_one_collection(
    server: HubServer, tmp_path: Path, photos: Path
) -> None:
    with ImageFinder.open(tmp_path / "c") as finder:
        finder.index(photos)
        for name in FETCHED:
            assert finder.add_space(name).added == len(NAMES) + len(COLOURS)
        assert [space.name for space in finder.spaces()] == ROWS
        assert [space.name for space in finder.spaces() if space.text] == WITH_TEXT
        hits = finder.search(photos / NAMES[1], k=2, space=ROWS)
        assert (hits[0].id, hits[0].score) == (NAMES[1], pytest.approx(1))
        Image.new("RGB", (64, 48), "white").save(photos / "new.png")
        report = finder.index(photos)
        assert [(filled.space, filled.added) for filled in report.spaces] == [
            (name, 1) for name in FETCHED
        ]
        for name in ROWS:
            assert finder.search("id:new.png", k=1, space=name)[0].id == "new.png"
            with pytest.raises(errors.ImageNotFoundError):
                finder.search("id:no.png", space=name)


@pytest.mark.parametrize("name", WITH_TEXT)
def test_words_find_what_they_name(
    server: HubServer, tmp_path: Path, photos: Path, name: str
) -> None:
    with ImageFinder.open(tmp_path / "c", model=name) as finder:
        finder.index(photos)
        for colour in COLOURS:
            assert finder.search(f"text:something {colour}", k=1)[0].id == f"{colour}.png"
            together = finder.search([f"text:{colour}", photos / f"{colour}.png"], k=1)
            assert together[0].id == f"{colour}.png"
        long = "text:blue " + "and so on " * 200
        assert finder.search(long, k=1)[0].id == "blue.png"


@pytest.mark.slow
def test_the_command_line(cli: Run, server: HubServer, tmp_path: Path, photos: Path) -> None:
    place = tmp_path / "c"
    rows = {row["name"]: row for row in json.loads(cli("models", "--json").stdout)}
    assert list(rows) == ROWS
    assert [name for name, row in rows.items() if row["present"]] == [DEFAULT_MODEL]
    table = [line.split("\t") for line in cli("models").stdout.splitlines()]
    assert [line[0] for line in table] == ROWS
    cli("index", photos, "-c", place)
    first = json.loads(cli("search", photos / NAMES[0], "-c", place, "--json").stdout)
    assert first["model"] == DEFAULT_MODEL
    for name in FETCHED:
        done = cli("models", "pull", name)
        assert f"{name}: " in done.stderr
        assert "verified" in done.stderr
        server.requests.clear()
        done = cli("models", "add", name, "-c", place, "--json", "--offline")
        assert json.loads(done.stdout) == {
            "space": name,
            "added": 8,
            "skipped": 0,
            "images": 8,
            "behind": 0,
        }
        found = cli("search", photos / NAMES[0], "-c", place, "--space", name, "--json").stdout
        assert json.loads(found)["hits"][0]["id"] == NAMES[0]
        assert json.loads(found)["model"] == name
        assert server.requests == []
    assert {row["present"] for row in json.loads(cli("models", "--json").stdout)} == {True}
    found = json.loads(
        cli("search", "text:lime", "-c", place, "--space", ",".join(WITH_TEXT), "--json").stdout
    )
    assert (found["scores"], found["hits"][0]["id"]) == ("fused", "lime.png")
    assert "searches use vgg16 now; back: imagefinder models use efficientnet-lite0" in (
        cli("models", "use", "vgg16", "-c", place).stderr
    )
    status = json.loads(cli("status", "-c", place, "--json").stdout)
    assert (status["model"], status["dim"], status["spaces"]) == ("vgg16", 4096, ROWS)
    assert "vgg16: 8 images, 4096 dimensions, in use" in cli("status", "-c", place).stdout
    cli("models", "use", DEFAULT_MODEL, "-c", place)
    assert json.loads(cli("search", photos / NAMES[0], "-c", place, "--json").stdout) == first
    # what is not here any more is fetched again, the same
    assert "freed" in cli("models", "remove", "vgg16").stderr
    assert "verified" in cli("models", "pull", "vgg16").stderr
    done = cli("models", "remove", "resnet50", DEFAULT_MODEL)
    assert f"{DEFAULT_MODEL}: comes with the package" in done.stderr
    done = cli("search", photos / NAMES[0], "-c", place, "--space", "resnet50", "--offline", code=1)
    assert "resnet50" in done.stderr
    assert "network is switched off" in done.stderr
    assert "imagefinder models pull resnet50, or" in done.stderr
    assert "efficientnet-lite0" in done.stderr


def test_http_and_the_reference_route(server: HubServer, tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "c") as finder:
        finder.index(photos)
        for name in FETCHED:
            finder.add_space(name)
        hits = {name: finder.search(photos / NAMES[2], k=3, space=name) for name in ROWS}
    finder = ImageFinder.open(tmp_path / "c")
    picture = (photos / NAMES[2]).read_bytes()
    with serving(finder, photos, ServeOptions()) as service:
        told = service.client.get("/v1/models").json()
        assert [model["name"] for model in told["models"]] == ROWS
        assert [model["name"] for model in told["models"] if model["text"]] == WITH_TEXT
        for name in ROWS:
            form = {"k": "3", "space": name}
            answer = service.client.post("/v1/search", data=form, files={"image": picture}).json()
            assert answer["model"] == name
            assert [hit["id"] for hit in answer["hits"]] == [hit.id for hit in hits[name]]
            np.testing.assert_allclose(
                [hit["score"] for hit in answer["hits"]],
                [hit.score for hit in hits[name]],
                atol=1e-5,
            )
            answer = service.client.post(
                "/v1/embed", data={"space": name}, files={"image": picture}
            ).json()
            assert answer["dim"] == catalog()[name].dim
        both = {"k": "1", "space": "resnet50,vgg16"}
        answer = service.client.post("/v1/search", data=both, files={"image": picture}).json()
        assert (answer["model"], answer["hits"][0]["score"]) == ("resnet50,vgg16", 1)
        for name in WITH_TEXT:
            form = {"text": "blue", "space": name, "k": "1"}
            answer = service.client.post("/v1/search", data=form).json()
            assert answer["hits"][0]["id"] == "blue.png"
        refused = service.client.post("/v1/search", data={"text": "blue", "space": "vgg16"})
        assert refused.status_code == 422
        assert (
            "search in a space that has one (clip-vit-b32, siglip2-base)"
            in refused.json()["detail"]
        )
        # as clients of the older services ask
        for name in ("resnet50", "vgg16"):
            form = {"model_name": name, "nb_similar_images": "2", "retrieved_ref": "id,score"}
            answer = service.client.post("/predict/", data=form, files={"file": picture}).json()
            assert answer["pretrained_model"] == name
            # which leaves out images with the bytes of the query
            wanted = [(hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in hits[name][1:]]
            assert [(hit["id"], hit["score"]) for hit in answer["top_2_similar_images"]] == wanted
        answer = service.client.post("/predict/", files={"file": picture}).json()
        assert answer["pretrained_model"] == "resnet50"  # what they have always got


def test_a_model_added_while_the_service_runs(
    server: HubServer, tmp_path: Path, photos: Path
) -> None:
    with ImageFinder.open(tmp_path / "c") as finder:
        finder.index(photos)
    finder = ImageFinder.open(tmp_path / "c")
    with serving(finder, photos) as service, ImageFinder.open(service.url) as remote:
        for name, told in (("nope", "no such model"), ("vgg16", "imagefinder models pull vgg16")):
            with pytest.raises(errors.UsageError, match=told):
                remote.add_space(name)
        assert server.requests == []
        find_model("vgg16").pull()  # type: ignore[attr-defined]
        done: list[tuple[int, int | None]] = []
        report = remote.add_space("vgg16", on_progress=lambda *far: done.append(far))
        assert (report.space, report.added, report.skipped) == ("vgg16", 8, 0)
        assert [(space.name, space.in_use) for space in remote.spaces()] == [
            (DEFAULT_MODEL, True),
            ("vgg16", False),
        ]
        query = photos / NAMES[0]
        assert len(remote.embed(query)) == 256
        assert len(remote.embed(query, space="vgg16")) == 4096
        assert len(remote.embed(f"id:{NAMES[0]}", space="vgg16")) == 4096
        before = remote.search(query, k=3)
        remote.use_space("vgg16")
        assert remote.status().model == "vgg16"
        assert remote.search(query, k=3) == remote.search(query, k=3, space="vgg16") != before
        remote.use_space(DEFAULT_MODEL)
        assert remote.search(query, k=3) == before
        with pytest.raises(errors.ImageFinderError, match="no such space"):
            remote.use_space("nope")
        with pytest.raises(errors.UsageError, match="machine"):
            remote.drop_space("vgg16")
        data = query.read_bytes() + b"another"
        sent = service.client.post("/v1/images", files={"image": ("up.png", data)})
        assert sent.status_code == 201
        for name in (DEFAULT_MODEL, "vgg16"):
            assert remote.search("id:up.png", k=1, space=name)[0].id in {"up.png", NAMES[0]}
        assert {space.behind for space in remote.spaces()} == {0}


def test_rows_of_ones_own(
    server: HubServer, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = tmp_path / "config" / "imagefinder" / "models.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "[my-vit]\n"
        'repository = "Xenova/dinov2-small"\n'
        'file = "onnx/model.onnx"\n'
        'processor = "preprocessor_config.json"\n'
        "dim = 384\nsize = 224\n"
        'output = "last_hidden_state"\npooling = "cls"\n'
    )
    with ImageFinder.open(tmp_path / "c", model="my-vit") as finder:
        finder.index(photos)
        assert finder.search(photos / NAMES[0], k=1)[0].id == NAMES[0]


BAD_ROWS = {
    "no table": ("x = 1\n", "x.*a model is a table"),
    "misspelt": (
        '[m]\ndim=1\nsize=1\nrepository="a/b"\nfile="f"\nprocesor="p"\n',
        "resize",
    ),
    "unknown key": (
        '[m]\ndim=1\nsize=1\nrepository="a/b"\nfile="f"\nprocessor="p"\ncolour=1\n',
        "there is no key colour",
    ),
    "no repository": ('[m]\ndim=1\nsize=1\nfile="f"\nprocessor="p"\n', "repository is missing"),
    "text for a number": ('[m]\ndim="many"\nsize=1\n', "dim must be a whole number"),
    "taken": ('[vgg16]\ndim=1\nsize=1\nrepository="a/b"\nfile="f"\nprocessor="p"\n', "already"),
    "a bad name": ('["a b"]\ndim=1\n', "a model's name has letters"),
    "no TOML": ("[m\n", "cannot be read"),
    "a bad word": (
        '[m]\ndim=1\nsize=1\nrepository="a/b"\nfile="f"\nresize="cut"\n',
        "resize must be one of squash, crop",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_mistake_in_ones_own_rows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "imagefinder").mkdir()
    text, told = BAD_ROWS[case]
    (tmp_path / "imagefinder" / "models.toml").write_text(text)
    with pytest.raises(errors.ModelError, match=f"models.toml.*{told}"):
        catalog()


def test_the_built_in_model_loads_nothing_of_the_hub() -> None:
    script = (
        "import sys; from imagefinder.models import load_embedder; load_embedder();"
        "print([m for m in ('huggingface_hub', 'httpx2', 'google.protobuf', 'tokenizers', 'torch')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
