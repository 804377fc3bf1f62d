"""The command line where something is odd: letters, pipes, questions, what a crash left."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from imagefinder.results_page import title
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures

Run = Callable[..., tuple[int, str, str]]
SPOILT = "\x1b[31m\x9b\nüñ日.png"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("IMAGEFINDER_COLLECTION", raising=False)
    return tmp_path / "data" / "imagefinder" / "collections"


@pytest.fixture(autouse=True)
def collection(tmp_path: Path, home: Path) -> Path:
    """A collection named mine, of three images, one with an odd name."""
    write_pictures(tmp_path / "photos", ["a.png", "b.png", SPOILT])
    with ImageFinder.open(home / "mine", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "photos")
    return home / "mine"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def process(
    *arguments: str | Path, stdin: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "imagefinder", *map(str, arguments)],
        input=stdin,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_list_json_of_images_without_metadata(cli: Run) -> None:
    code, out, _ = cli("list", "--json", "-c", "mine")
    assert (code, [record["id"] for record in json.loads(out)]) == (0, [SPOILT, "a.png", "b.png"])


def test_output_that_cannot_take_every_letter(tmp_path: Path) -> None:
    text = process("list", "-c", "mine", PYTHONIOENCODING="ascii")
    assert (text.returncode, text.stderr, len(text.stdout.splitlines())) == (0, "", 3)
    document = process("list", "-c", "mine", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(document.stdout)[0]["id"] == SPOILT


def test_errors_never_move_the_cursor(cli: Run) -> None:
    _, _, err = cli("show", "\x1b[2Jgone", "-c", "mine")
    assert "\\x1b[2Jgone" in err
    assert "\x1b" not in err


def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "imagefinder", "list", "-c", "mine"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_collection_is_not_deleted_without_a_yes(collection: Path, answer: str) -> None:
    ended = process("delete-collection", "mine", stdin=answer)
    assert ended.returncode == 1
    assert "nothing was changed" in ended.stderr
    assert "--yes" in ended.stderr
    assert (collection / "collection.json").is_file()


def test_a_damaged_collection_can_be_listed_and_deleted(cli: Run, collection: Path) -> None:
    (collection / "ledger.sqlite").write_bytes(b"not a database" * 100)
    code, out, _ = cli("collections", "--json")
    assert (code, json.loads(out)[0]["images"]) == (0, None)
    assert cli("collections")[1].split("\t")[:2] == ["mine", "damaged"]
    ended = process("delete-collection", "mine", stdin="y\n")
    assert (ended.returncode, collection.exists()) == (0, False)


def test_what_a_crash_left_of_a_restore_is_no_collection(cli: Run, home: Path) -> None:
    (home / ".restore-x").mkdir()
    (home / ".restore-x" / "collection.json").write_text('{"format": 1}')
    code, out, _ = cli("collections", "--json")
    assert (code, [item["name"] for item in json.loads(out)]) == (0, ["mine"])


def test_deleting_a_collection_that_is_a_link(cli: Run, home: Path, tmp_path: Path) -> None:
    (home / "mine").rename(tmp_path / "elsewhere")
    (home / "mine").symlink_to(tmp_path / "elsewhere")
    assert cli("delete-collection", "mine", "--yes")[0] == 0
    assert not (tmp_path / "elsewhere").exists()
    assert list(home.iterdir()) == []


def test_a_backup_into_the_collection_itself(cli: Run, collection: Path) -> None:
    code, _, err = cli("backup", collection / "b.tar", "-c", "mine")
    assert (code, "inside the collection" in err) == (1, True)


@pytest.mark.parametrize(("name", "code"), [("", 2), ("a" * 300, 1), ("photos.", 2), ("a ", 2)])
def test_names_that_no_collection_can_have(cli: Run, name: str, code: int) -> None:
    ended, _, err = cli("status", "-c", name)
    assert ended == code
    assert "mistake in imagefinder" not in err


def test_no_secret_in_the_title_of_a_page() -> None:
    shown = title(["https://user:hunter2@host/a.jpg?token=hunter2"], 3)
    assert shown == "3 images closest to a.jpg"


def test_completion() -> None:
    script = process(_IMAGEFINDER_COMPLETE="source_bash")  # without asking which shell this is
    assert (script.returncode, "imagefinder" in script.stdout) == (0, True)
    words = {"COMP_WORDS": "imagefinder sea", "COMP_CWORD": "1"}
    found = process(_IMAGEFINDER_COMPLETE="complete_bash", **words)
    assert found.stdout.split() == ["search"]
