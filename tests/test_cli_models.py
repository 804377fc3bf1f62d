"""The command line with several models: listed, added, used, dropped, searched."""

import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from imagefinder.models import catalog
from tests.hub_server import HubServer
from tests.pictures import picture, write_pictures
from tests.toy_models import write_clip, write_model

NAMES = [f"{number}.png" for number in range(6)]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "mistake in imagefinder" not in err
        return code, out, err

    return call


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos and two models; the collection of the environment is the test's own, and so are the
    user's files. There is no network."""
    write_pictures(tmp_path / "photos", NAMES)
    write_model(tmp_path / "toy-a", dim=24, seed=1)
    write_model(tmp_path / "toy-b", dim=4, seed=2)
    for name in ("DATA", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("IMAGEFINDER_COLLECTION", str(tmp_path / "c"))
    return tmp_path


@pytest.fixture
def both(home: Path, cli: Run) -> Path:
    """The photos are in the spaces toy-a, which is in use, and toy-b."""
    assert cli("index", home / "photos", "--model", home / "toy-a")[0] == 0
    assert cli("models", "add", home / "toy-b")[0] == 0
    return home


def process(*arguments: str | Path, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "imagefinder", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def at_a_terminal(*arguments: str | Path) -> str:
    """What a person sees, whose terminal takes stdout and stderr."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "140", "LINES": "40", "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "imagefinder", *map(str, arguments)]
    ran = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so that nobody writes any more
        pass
    os.close(ours)
    assert ran.wait() == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_the_list_plain_and_as_json(cli: Run) -> None:
    code, out, err = cli("models")
    assert (code, err) == (0, "")
    assert [row[0] for row in rows(out)] == list(catalog())
    assert {len(row) for row in rows(out)} == {8}
    assert rows(out)[0][:3] == ["efficientnet-lite0", "256", "224 px"]
    code, out, _ = cli("models", "--json")
    found = {row["name"]: row for row in json.loads(out)}
    assert list(found) == list(catalog())
    assert found["efficientnet-lite0"] == {
        "name": "efficientnet-lite0",
        "dim": 256,
        "size": 224,
        "bytes": 0,
        "licence": found["efficientnet-lite0"]["licence"],
        "text": False,
        "present": True,
        "tried": True,
        "variants": [],
    }
    assert [name for name, row in found.items() if row["text"]] == ["clip-vit-b32", "siglip2-base"]
    assert [name for name, row in found.items() if row["present"]] == ["efficientnet-lite0"]


def test_the_list_at_a_terminal_has_titles() -> None:
    lines = at_a_terminal("models").splitlines()
    assert " ".join(lines[0].split()) == "model dim input download licence text here tried with"
    assert lines[1].startswith("efficientnet-lite0")


def test_showing_a_model(cli: Run, home: Path) -> None:
    code, out, err = cli("models", "show", home / "toy-a", "--json")
    shown = json.loads(out)
    assert (code, err, shown["name"], shown["dim"], shown["text"]) == (0, "", "toy-a", 24, False)
    assert shown["fingerprint"].startswith("toy-a:")
    code, out, _ = cli("models", "show", home / "toy-a")
    plain = dict(rows(out))
    assert (plain["name"], plain["dim"], plain["input"]) == ("toy-a", "24", "32 x 32")
    assert plain["fingerprint"] == shown["fingerprint"]
    write_clip(home / "clip")
    assert json.loads(cli("models", "show", home / "clip", "--json")[1])["text"] is True
    assert json.loads(cli("models", "show", "efficientnet-lite0", "--json")[1])["dim"] == 256


def test_a_model_is_added_used_and_dropped(cli: Run, home: Path) -> None:
    query = home / "photos" / "3.png"
    assert cli("index", home / "photos", "--model", home / "toy-a")[1] == "6 added\n"
    first = cli("search", query, "--json")[1]
    code, out, err = cli("models", "add", home / "toy-b")
    assert (code, out) == (0, "")
    assert err.splitlines() == [
        "  toy-b: 6 embedded",
        "  to search by it: --space toy-b; from now on: imagefinder models use toy-b",
    ]
    assert cli("search", query, "--json")[1] == first
    code, out, err = cli("models", "use", "toy-b")
    assert (code, out) == (0, "")
    assert err == "searches use toy-b now; back: imagefinder models use toy-a\n"
    second = json.loads(cli("search", query, "--json")[1])
    assert (second["model"], second["hits"][0]["id"]) == ("toy-b", "3.png")
    assert json.loads(first)["hits"] != second["hits"]
    code, _, err = cli("models", "use", "toy-b")
    assert (code, err) == (0, "searches use toy-b now\n")
    assert cli("models", "use", "toy-a")[0] == 0
    assert cli("search", query, "--json")[1] == first
    code, out, err = cli("models", "drop", "toy-b", "--yes")
    assert (code, out, err) == (0, "", "dropped toy-b\n")
    assert json.loads(cli("status", "--json")[1])["spaces"] == ["toy-a"]


def test_adding_tells_programs_how_much(cli: Run, home: Path) -> None:
    cli("index", home / "photos", "--model", home / "toy-a")
    (home / "photos" / "2.png").unlink()
    code, out, err = cli("models", "add", home / "toy-b", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "space": "toy-b",
        "added": 5,
        "skipped": 1,
        "images": 5,
        "behind": 1,
    }
    code, out, err = cli("models", "add", home / "toy-b")
    assert (code, out) == (0, "")
    assert err.splitlines()[:2] == [
        "  toy-b: 0 embedded, 1 skipped",
        "    skipped 2.png: no such file",
    ]


def test_a_bar_for_people(home: Path, cli: Run) -> None:
    cli("index", home / "photos", "--model", home / "toy-a")
    shown = at_a_terminal("models", "add", home / "toy-b")
    assert "embedding" in shown
    assert "6/6" in shown
    assert "toy-b: 6 embedded" in shown


def test_distances(cli: Run, home: Path) -> None:
    code, _, _ = cli("index", home / "photos", "--model", home / "toy-a", "--distance", "euclidean")
    assert code == 0
    code, _, err = cli("models", "add", home / "toy-b", "--distance", "dot")
    assert (code, "toy-b-dot: 6 embedded" in err) == (0, True)
    cli("models", "add", home / "toy-b")
    query = home / "photos" / "3.png"
    for space, scores, title in (
        ("toy-a-euclidean", "euclidean", "minus-distance"),
        ("toy-b-dot", "dot", "dot-product"),
        ("toy-b", "cosine", "score"),
        ("toy-b,toy-b-dot", "fused", "fused-rank"),
    ):
        found = json.loads(cli("search", query, "--space", space, "--json")[1])
        assert (found["model"], found["scores"]) == (space, scores)
        assert at_a_terminal("search", query, "--space", space).split()[0] == title
    found = json.loads(cli("search", query, "--json")[1])
    assert (found["model"], found["scores"]) == ("toy-a-euclidean", "euclidean")
    assert found["hits"][0]["score"] == pytest.approx(0, abs=1e-5)
    assert "toy-b-dot: 6 images, 4 dimensions, dot" in cli("status")[1]
    code, _, err = cli("index", home / "photos", "--distance", "cosine")
    assert (code, "compares by euclidean" in err) == (2, True)


def test_the_status_of_several_spaces(cli: Run, both: Path) -> None:
    (both / "photos" / "2.png").unlink()
    shutil.rmtree(both / "toy-b")
    picture(50).save(both / "photos" / "new.png")
    assert cli("index", both / "photos", "--prune")[0] == 0
    status = json.loads(cli("status", "--json")[1])
    assert (status["model"], status["spaces"]) == ("toy-a", ["toy-a", "toy-b"])
    assert status["models"] == [
        {
            "name": "toy-a",
            "model": str(both / "toy-a"),
            "dim": 24,
            "distance": "cosine",
            "images": 6,
            "behind": 0,
            "in_use": True,
            "text": False,
        },
        {
            "name": "toy-b",
            "model": str(both / "toy-b"),
            "dim": 4,
            "distance": "cosine",
            "images": 5,
            "behind": 1,
            "in_use": False,
            "text": False,
        },
    ]
    lines = rows(cli("status")[1])
    assert [row[1] for row in lines if row[0] == "space"] == [
        "toy-a: 6 images, 24 dimensions, in use",
        "toy-b: 5 images, 4 dimensions, 1 behind",
    ]


def test_what_a_space_lacks_is_told_and_how_to_mend_it(cli: Run, both: Path) -> None:
    cli("models", "add", both / "toy-b", "--distance", "dot")
    shutil.move(both / "photos" / "2.png", both / "2.png")
    picture(50).save(both / "photos" / "2.png")
    os.utime(both / "photos" / "2.png", (1, 1))
    shutil.move(both / "toy-b", both / "gone")
    cli("index", both / "photos")
    (both / "gone").rename(both / "toy-b")
    for space, more in (("toy-b", ""), ("toy-b-dot", " --distance dot")):
        hint = f"imagefinder models add {both / 'toy-b'}{more}"
        told = f"{space} lacks 1 of the collection's images; to try them again: {hint}\n"
        code, _, err = cli("search", "id:1.png", "--space", f"toy-a,{space}")
        assert (code, err) == (0, told)
        assert told in cli("models", "use", space)[2]
        assert cli(*hint.split()[1:])[0] == 0
        assert cli("search", "id:1.png", "--space", space)[2] == ""
    assert cli("models", "use", "toy-a")[0] == 0
    assert json.loads(cli("status", "--json")[1])["spaces"] == ["toy-a", "toy-b", "toy-b-dot"]


def test_indexing_says_what_other_spaces_got(cli: Run, both: Path) -> None:
    picture(50).save(both / "photos" / "new.png")
    code, out, err = cli("index", both / "photos")
    assert (code, out, err) == (0, "1 added, 6 unchanged\n", "  toy-b: 1 embedded\n")
    code, out, err = cli("index", both / "photos")
    assert (code, out, err) == (0, "6 unchanged\n".replace("6", "7"), "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "id:1.png", "--space", "nope"], "nope: there is no such space here"),
        (["search", "id:1.png", "--space", "toy-a,nope"], "there is: toy-a, toy-b"),
        (["search", "id:1.png", "--space", ""], "there is no such space"),
        (["models", "use", "nope"], "nope: there is no such space here; there is: toy-a, toy-b"),
        (["models", "drop", "nope", "--yes"], "nope: there is no such space"),
        (["models", "drop", "nope"], "nope: there is no such space"),
        (["models", "add", "nope"], "nope: no such model; there are: "),
        (["models", "add", "./nope"], "./nope: there is no such folder"),
        (["models", "add", "efficientnet-lite0:fp16"], "there is no such variant"),
        (["models", "add", "toy-a", "--distance", "far"], "one of cosine, euclidean, dot"),
        (["index", "photos", "--distance", "far"], "--distance far: it is one of"),
        (["models", "show", "nope"], "no such model"),
        (["models", "pull", "nope"], "no such model"),
        (["models", "remove", "nope"], "no such model"),
        (["search", "id:1.png", "--model", "nope"], "no such model"),
    ],
)
def test_wrong_calls(
    cli: Run, both: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(both)
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert told in err
    assert len(err.splitlines()) <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "add"],
        ["models", "use"],
        ["models", "drop"],
        ["models", "nope"],
        ["models", "-x"],
    ],
)
def test_calls_that_lack_something(cli: Run, arguments: list[str]) -> None:
    code, out, err = cli(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert err.splitlines()[1].startswith("help: imagefinder models")


def test_a_collection_that_is_not_there(cli: Run, home: Path) -> None:
    for arguments in (
        ["models", "add", home / "toy-a"],
        ["models", "add", "resnet50"],  # which nobody begins to fetch
        ["models", "use", "toy-a"],
        ["models", "drop", "toy-a", "--yes"],
    ):
        code, out, err = cli(*arguments)
        assert (code, out) == (1, "")
        assert "there is no such collection" in err
    assert not (home / "c").exists()


def test_an_empty_collection(cli: Run, home: Path) -> None:
    with ImageFinder.open(home / "c") as finder:
        finder.create()  # type: ignore[attr-defined]
    for arguments in (["models", "use"], ["models", "drop", "--yes"]):
        code, out, err = cli(*arguments, "efficientnet-lite0")
        assert (code, out) == (2, "")
        assert "efficientnet-lite0: there is no such space here; there is: none" in err


def test_dropping_asks_first(both: Path) -> None:
    dropping = process("models", "drop", "toy-b", stdin=subprocess.PIPE)
    out, err = dropping.communicate("n\n", timeout=60)
    assert (dropping.returncode, out.strip()) == (1, "")
    assert "Delete the 6 embeddings of toy-b?" in err
    assert "not confirmed" in err
    dropping = process("models", "drop", "toy-b", stdin=subprocess.PIPE)
    out, err = dropping.communicate("y\n", timeout=60)
    assert (dropping.returncode, err.splitlines()[-1].endswith("dropped toy-b")) == (0, True)
    dropping = process("models", "drop", "toy-a", "--yes", stdin=subprocess.DEVNULL)
    _, err = dropping.communicate(timeout=60)
    assert (dropping.returncode, "only space" in err) == (2, True)
    assert (both / "c" / "spaces" / "toy-a").is_dir()


def test_images_that_only_the_dropped_space_has(cli: Run, home: Path) -> None:
    cli("index", home / "photos", "--model", home / "toy-a")
    (home / "photos" / "2.png").unlink()
    cli("models", "add", home / "toy-b")
    code, out, err = cli("models", "drop", "toy-a", "--yes")
    assert (code, out) == (1, "")
    assert "toy-a: 1 images are in no other space" in err
    assert json.loads(cli("status", "--json")[1])["spaces"] == ["toy-a", "toy-b"]


@pytest.mark.parametrize("where", [0, 1, 3, 5])
def test_offline_may_stand_anywhere(home: Path, where: int) -> None:
    """Nothing is asked of the hub, and what is missing is named."""
    arguments = ["index", str(home / "photos"), "--model", "resnet50", "--json"]
    arguments.insert(where, "--offline")
    with HubServer({"Qdrant/resnet50-onnx": {"model.onnx": b""}}) as server:
        environment = {**os.environ, **server.environment(home), "HF_HUB_OFFLINE": "0"}
        ran = process(*arguments, env=environment)
        out, err = ran.communicate(timeout=120)
        assert (ran.returncode, out) == (1, "")
        assert "resnet50" in err
        assert "network is switched off" in err
        assert server.requests == []
        arguments.remove("--offline")
        ran = process(*arguments, env=environment)
        assert (ran.communicate(timeout=120)[0], bool(server.requests)) == ("", True)


def behind(collection: Path) -> int:
    """How many images toy-b lacks by now, seen from outside; -1 before it is there."""
    try:
        with closing(sqlite3.connect(f"file:{collection}/ledger.sqlite?mode=ro", uri=True)) as db:
            if not db.execute("SELECT 1 FROM spaces WHERE name = 'toy-b'").fetchall():
                return -1
            return int(
                db.execute("SELECT count(*) FROM behind WHERE space = 'toy-b'").fetchone()[0]
            )
    except sqlite3.OperationalError:
        return -1


def until_some_are_done(collection: Path, total: int, running: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not 0 <= behind(collection) < total:
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)


@pytest.fixture
def many(home: Path, cli: Run) -> int:
    """So many photos in the space toy-a."""
    names = [f"{number:04}.png" for number in range(1500)]
    write_pictures(home / "photos", names)
    cli("index", home / "photos", "--model", home / "toy-a")
    return len(names) + len(NAMES)


def test_ctrl_c_while_a_space_is_filled(cli: Run, home: Path, many: int) -> None:
    """What is under way is kept, the first space answers, and the same command goes on."""
    adding = process("models", "add", home / "toy-b")
    until_some_are_done(home / "c", many, adding)
    adding.send_signal(signal.SIGINT)
    out, err = adding.communicate(timeout=60)
    assert (adding.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "the same command goes on where this one stopped" in err
    added = int(err.partition("toy-b: ")[2].split()[0])
    assert 0 < added < many
    assert behind(home / "c") == many - added
    assert json.loads(cli("search", "id:0000.png", "--json")[1])["model"] == "toy-a"
    code, out, _ = cli("models", "add", home / "toy-b", "--json")
    assert code == 0
    assert json.loads(out) == {
        "space": "toy-b",
        "added": many - added,
        "skipped": 0,
        "images": many,
        "behind": 0,
    }


def test_kill_9_while_a_space_is_filled(cli: Run, home: Path, many: int) -> None:
    """Several times: nothing that was written is embedded again, and at the end all is there."""
    left = many
    for _ in range(3):
        adding = process("models", "add", home / "toy-b")
        until_some_are_done(home / "c", left, adding)
        adding.kill()
        adding.communicate()
        left = behind(home / "c")
        if left == 0:
            break
        assert json.loads(cli("search", "id:0000.png", "--json")[1])["model"] == "toy-a"
    code, out, _ = cli("models", "add", home / "toy-b", "--json")
    told = json.loads(out)
    assert (code, told["added"], told["images"], told["behind"]) == (0, left, many, 0)
    fresh = home / "fresh"
    cli("index", home / "photos", "--model", home / "toy-b", "-c", fresh)
    asked = ["search", home / "photos" / "0007.png", "-k", "100", "--exact"]
    wanted = cli(*asked, "-c", fresh)[1]
    assert cli(*asked, "--space", "toy-b")[1] == wanted
