"""imagefinder evaluate, as a person or a program runs it."""

import json
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder
from imagefinder.cli import evaluated, output
from imagefinder.labels import read_labels
from tests.commands import Run
from tests.pictures import picture, write_kinds
from tests.serving import served
from tests.toy_models import write_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two model folders, and named collections in a data directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("IMAGEFINDER_COLLECTION", raising=False)
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "toy-a", dim=16, seed=1)
    write_model(tmp_path / "toy-b", dim=2, seed=2)
    write_kinds(tmp_path / "photos")
    return tmp_path


@pytest.fixture
def shop(home: Path) -> Path:
    """A collection with two spaces, and metadata."""
    with ImageFinder.open(home / "shop", model="./toy-a") as finder:
        finder.index(home / "photos")
        finder.add_space("./toy-b")
        for number, record in enumerate([*finder.images()]):
            finder.update_metadata(record.id, {"category": f"c{number % 2}"})
    return home / "shop"


def test_a_folder(cli: Run) -> None:
    code, out, err = cli("evaluate", "photos", "--model", "./toy-a")
    assert code == 0
    (line,) = out.splitlines()
    cells = line.split("\t")
    assert cells[:2] == ["toy-a", "1.000 ± 0.00"]
    assert len(cells) == 6
    assert err.splitlines() == ["12 searches among 12 images of 3 classes"]
    assert not list(Path("data").rglob("ledger*"))


def test_models_are_compared_in_one_table(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_person", lambda stream=None: True)
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = cli("evaluate", "photos", "--model", "./toy-a", "--model", "toy-b/", "-k", "2")
    assert code == 0
    title, first, second = out.splitlines()
    assert title.split() == ["setting", "mAP", "P@2", "R@2", "nDCG@2", "F1@2"]
    assert first.startswith("toy-a")
    assert second.startswith("toy-b")
    assert "toy-b to toy-a: mAP -" in err


def test_skipped_and_unlabelled_images_are_told(cli: Run) -> None:
    Path("photos/kind0/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    picture(70).save("photos/stray.png")
    picture(71).save("photos/alone.png")
    Path("photos/one").mkdir()
    picture(72).save("photos/one/1.png")
    code, _, err = cli("evaluate", "photos", "--model", "./toy-a")
    assert code == 0
    told = err.splitlines()
    assert told[0] == "1 image skipped, which counts as if it were not there"
    assert told[1].startswith("  skipped ")
    assert told[2:] == [
        "12 searches among 13 images of 4 classes",
        "2 images without a label, left out",
        "1 image without a right answer, as no other one has the label: not searched with",
    ]


def test_a_table_without_a_collection(cli: Run) -> None:
    lines = [f"photos/kind{kind}/{number}.png,{kind}" for kind in range(3) for number in range(4)]
    Path("t.csv").write_text("\n".join(["where,kind", *lines]))
    given = ["--location-column", "where", "--label", "kind", "--model", "./toy-a", "--json"]
    code, out, _ = cli("evaluate", "t.csv", *given)
    assert code == 0
    assert json.loads(out)["classes"] == 3
    code, _, err = cli("evaluate", "t.csv", "--location-column", "where", "--model", "./toy-a")
    assert code == 1
    assert "no column of labels" in err


def test_json_of_spaces_and_limits(cli: Run, shop: Path) -> None:
    spaces = ["--space", "toy-a", "--space", "toy-b", "--space", "toy-a,toy-b"]
    limits = ["--fail-under", "mAP=0.95", "--fail-under", "r@4=0.1"]
    code, out, err = cli(
        "evaluate", "photos", "-c", shop, *spaces, *limits, "-k", "4,1", "--seed", "7", "--json"
    )
    found = json.loads(out)
    assert (found["queries"], found["images"], found["classes"]) == (12, 12, 3)
    assert (found["seed"], found["depth"]) == (7, 1000)
    first, second, fused = found["settings"]
    assert [each["name"] for each in found["settings"]] == ["toy-a", "toy-b", "toy-a,toy-b"]
    assert first["measures"]["mAP"] == {"value": 1, "low": 1, "high": 1}
    assert first["per_class"]["kind1"] == {
        "mAP": 1,
        "MRR": 1,
        "P@1": 1,
        "P@4": 3 / 4,
        "R@1": 1 / 3,
        "R@4": 1,
        "queries": 4,
        "nDCG@1": 1,
        "nDCG@4": 1,
        "F1@1": 1 / 2,
        "F1@4": pytest.approx(6 / 7),
    }
    low = second["measures"]["mAP"]
    assert low["low"] < low["value"] < low["high"] < 0.95
    assert [(one["of"], one["to"]) for one in found["differences"] if one["measure"] == "mAP"] == [
        ("toy-b", "toy-a"),
        ("toy-a,toy-b", "toy-a"),
    ]
    assert code == 1
    failed = [
        {"setting": each["name"], "measure": "mAP", "value": value, "least": 0.95}
        for each in (second, fused)
        if (value := each["measures"]["mAP"]["value"]) < 0.95
    ]
    assert found["failed"] == failed
    assert f"toy-b: mAP is {low['value']:.3f}, under 0.95" in err


def test_labels_of_the_metadata(cli: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = cli("evaluate", "-c", shop, "--label", "category")
    assert code == 0
    assert out.startswith("toy-a\t")
    assert "12 images of 2 classes" in err
    monkeypatch.setenv("IMAGEFINDER_COLLECTION", str(shop))
    assert cli("evaluate")[1] == out


def test_a_ground_truth(cli: Run, shop: Path) -> None:
    Path("truth.csv").write_text(
        "query,relevant\nkind0/0.png,kind0/1.png kind0/2.png kind0/3.png\nkind1/0.png,lost.png\n"
    )
    code, out, err = cli("evaluate", "truth.csv", "-c", shop, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["queries"], found["images"], found["classes"]) == (1, 12, 0)
    assert found["settings"][0]["measures"]["mAP"]["value"] == 1
    assert found["settings"][0]["per_class"] == {}
    assert err.splitlines() == [
        "1 search among 12 images",
        "1 label for no image of the collection",
        "1 image without a right answer, as no other one has the label: not searched with",
    ]
    code, _, err = cli("evaluate", "truth.csv")
    assert code == 2
    assert "name it with -c" in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["photos", "--space", "toy-a"], "name it with -c"),
        (["photos", "-c", "shop", "--model", "toy-a"], "of a collection take --space"),
        (["--model", "toy-a"], "of a collection take --space"),
        (["photos", "-c", "shop", "--id-column", "id"], "are for a table without -c"),
        (["photos", "-c", "./shop", "--space", "toy-a,toy-c"], "toy-c: there is no such space"),
        (["photos", "-k", "1,x"], "a number of hits, or several"),
        (["photos", "-k", "0"], "it is at least 1"),
        (["photos", "-k", "2000"], "the depth is"),
        (["photos", "--fail-under", "P@3=0.5"], "P@3 is not measured; there is mAP, MRR, P@1"),
        (["photos", "--beta", "0"], "beta is 0"),
    ],
)
def test_what_cannot_be_meant(cli: Run, shop: Path, arguments: list[str], problem: str) -> None:
    code, out, err = cli("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert problem in err


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("photos/kind0", "sort them into one for each class"),
        ("nothing", "no such file or folder"),
        ("photos/kind0/0.png", "name could be its class"),
    ],
)
def test_what_has_no_labels(cli: Run, where: str, problem: str) -> None:
    code, _, err = cli("evaluate", where, "--model", "./toy-a")
    assert code == 1
    assert problem in err


def test_a_folder_whose_images_cannot_be_read(cli: Run) -> None:
    Path("bad/a").mkdir(parents=True)
    Path("bad/a/1.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    code, _, err = cli("evaluate", "bad", "--model", "./toy-a")
    assert code == 1
    assert "none of its images could be read" in err


def test_a_service_is_measured_as_its_collection_is(cli: Run, tmp_path: Path) -> None:
    with served(tmp_path / "served") as service:
        for number, id in enumerate(("animals/cat.png", "animals/dog.png", "bird.png")):
            service.finder.update_metadata(id, {"label": "xyx"[number]})
        code, out, err = cli("evaluate", "-c", service.url, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["queries"], found["images"]) == (2, 3)
        ids = [hit.id for hit in service.finder.search("id:bird.png", 9, exact=True)]
        known = [id for id in ids if id in ("animals/cat.png", "animals/dog.png")]
        other = [hit.id for hit in service.finder.search("id:animals/cat.png", 9, exact=True)]
        rest = [id for id in other if id in ("bird.png", "animals/dog.png")]
        expected = [1 / (known.index("animals/cat.png") + 1), 1 / (rest.index("bird.png") + 1)]
        value = found["settings"][0]["measures"]["MRR"]["value"]
        assert value == pytest.approx(np.mean(expected))
        assert len(read_labels(None, service.finder)) == 3


def test_counts_in_words() -> None:
    assert evaluated.counted(1, "search", "es") == "1 search"
    assert evaluated.counted(2000, "search", "es") == "2,000 searches"
