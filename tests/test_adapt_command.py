"""imagefinder adapt, as a person or a program runs it."""

import json
from pathlib import Path

from tests.commands import Run
from tests.faint_classes import CLASSES, EACH


def test_a_person_learns_uses_and_takes_back(trees: Path, cli: Run) -> None:
    code, out, err = cli("adapt", trees / "photos", "-c", trees / "c", "--name", "trees")
    assert code == 0
    assert "learned from 140 images of 4 classes, tested on 60 others (seed 0)" in err
    assert "mAP on the test part: 0.2" in out
    assert "as it is, 0.9" in out
    assert "the same thing from a score of 0." in out
    assert f"imagefinder models use trees -c {trees / 'c'}" in err

    code, out, err = cli("models", "use", "trees", "-c", trees / "c")
    assert (code, err.split(";")[0]) == (0, "searches use trees now")
    picture = trees / "photos" / CLASSES[2] / "07.png"
    code, out, _ = cli("search", picture, "-k", "9", "-c", trees / "c", "--json")
    hits = json.loads(out)["hits"]
    assert sum(hit["id"].startswith(CLASSES[2]) for hit in hits) >= 7

    labels = ("evaluate", trees / "photos", "-c", trees / "c")
    learned = "trees is adapted: only labels that it has not learned from say how good it is"
    assert learned in cli(*labels)[2]
    assert learned not in cli(*labels, "--space", "toy")[2]
    cli("models", "use", "toy", "-c", trees / "c")
    assert cli("models", "drop", "trees", "-c", trees / "c", "--yes")[0] == 0
    code, out, _ = cli("status", "-c", trees / "c", "--json")
    assert json.loads(out)["spaces"] == ["toy"]
    code, _, err = cli("adapt", trees / "photos", "-c", trees / "c", "--name", "trees")
    assert code == 0  # what was left of it is not in the way


def test_hits_below_a_score_are_left_out(trees: Path, cli: Run) -> None:
    searched = ("search", "id:ash/00.png", "-k", "5", "-c", trees / "c")
    scores = [hit["score"] for hit in json.loads(cli(*searched, "--json")[1])["hits"]]
    least = scores[2]
    _, out, _ = cli(*searched, "--min-score", repr(least), "--json")
    assert [hit["score"] for hit in json.loads(out)["hits"]] == scores[:3]
    code, out, err = cli(*searched, "--min-score", "1.5")
    assert (code, out) == (0, "")
    assert err == f"no image has a score of 1.5; the closest has {scores[0]:.3f}\n"


def test_a_program_reads_what_came_of_it(trees: Path, cli: Run, tmp_path: Path) -> None:
    options = ("--output", tmp_path / "oaks", "--json", "--seed", "3", "--test", "0.4")
    code, out, _ = cli("adapt", trees / "photos", "-c", trees / "c", *options)
    found = json.loads(out)
    assert (code, found["kept"], found["space"]) == (0, True, "oaks")
    assert found["train"] == 120 == len(CLASSES) * EACH - found["test"]
    assert found["tried"][found["method"]] == max(found["tried"].values())
    assert found["difference"]["low"] > found["chance"] > 0
    assert json.loads((Path(found["folder"]) / "adapted.json").read_text())["facts"]["seed"] == 3


def test_what_is_no_better_is_not_kept(trees: Path, cli: Run, tmp_path: Path) -> None:
    table = tmp_path / "noise.csv"
    lines = [
        f"{name}/{number:02}.png,{'xyz'[(7 * number + len(name)) % 3]}"
        for name in CLASSES
        for number in range(EACH)
    ]
    table.write_text("id,label\n" + "\n".join(lines) + "\n")
    code, out, err = cli("adapt", table, "-c", trees / "c", "--name", "noise")
    assert code == 1
    assert "not kept: " in err
    assert "nothing has changed" in err
    code, out, _ = cli("status", "-c", trees / "c", "--json")
    assert "noise" not in json.loads(out)["spaces"]


def test_what_cannot_be_is_told(trees: Path, cli: Run) -> None:
    code, _, err = cli("adapt", trees / "photos", "-c", "http://127.0.0.1:9")
    assert (code, err[:26]) == (2, "error: http://127.0.0.1:9:")
    code, _, err = cli("adapt", trees / "nowhere", "-c", trees / "c", "--name", "x")
    assert (code, "no folder and no table" in err) == (1, True)
