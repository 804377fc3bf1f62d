"""The command line as a person or a script meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import Run
from tests.pictures import picture, write_pictures

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "src" / "imagefinder" / "demo"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", ["a.png", "b.png", "c.jpg"])
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Named collections go to a data directory of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("IMAGEFINDER_COLLECTION", raising=False)
    return tmp_path / "data" / "imagefinder" / "collections"


def start(*arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "imagefinder", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_finds_pictures_of_the_same_kind(cli: Run) -> None:
    code, out, _ = cli("index", DEMO / "images.csv", "--json")
    assert code == 0
    assert json.loads(out)["added"] == len(list((DEMO / "images").iterdir()))
    code, out, _ = cli("search", DEMO / "queries" / "flower.jpg", "-k", "5", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["model"] == "efficientnet-lite0"
    assert [set(hit) for hit in found["hits"]] == [{"id", "score", "uri", "metadata"}] * 5
    assert sum(hit["metadata"]["label"] == "flower" for hit in found["hits"]) >= 4
    assert all(Path(hit["uri"]).is_file() for hit in found["hits"])


def test_index_search_and_status_with_a_name(cli: Run, photos: Path, home: Path) -> None:
    code, out, _ = cli("index", photos, "-c", "photos")
    assert (code, out) == (0, "3 added\n")
    assert (home / "photos" / "collection.json").is_file()
    code, out, _ = cli("search", photos / "a.png", "-c", "photos", "-k", "2")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, len(lines)) == (0, 2)
    assert lines[0] == ["1.000", "a.png", str(photos / "a.png")]
    code, out, _ = cli("status", "-c", "photos", "--json")
    status = json.loads(out)
    assert {key: status[key] for key in ("collection", "model", "dim", "images", "skipped")} == {
        "collection": "photos",
        "model": "efficientnet-lite0",
        "dim": 256,
        "images": 3,
        "skipped": 0,
    }
    code, out, _ = cli("collections", "--json")
    assert [(item["name"], item["images"]) for item in json.loads(out)] == [("photos", 3)]


def test_the_environment_names_the_collection(
    cli: Run, photos: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFINDER_COLLECTION", "from-the-environment")
    cli("index", photos)
    assert (home / "from-the-environment").is_dir()


def test_index_json_has_the_seven_counts(cli: Run, photos: Path) -> None:
    (photos / "broken.jpg").write_text("<html>")
    (photos / "notes.txt").write_text("notes")
    code, out, _ = cli("index", photos, "--json")
    assert code == 0
    assert json.loads(out) == {
        "added": 3,
        "updated": 0,
        "unchanged": 0,
        "renamed": 0,
        "removed": 0,
        "ignored": 1,
        "skipped": 1,
    }
    code, _, _ = cli("index", photos, "--strict")
    assert code == 1
    code, out, _ = cli("skipped")
    assert (code, out.split("\t")[0]) == (0, str(photos / "broken.jpg"))


def test_prune_as_a_flag_and_with_a_value(cli: Run, photos: Path) -> None:
    cli("index", photos)
    (photos / "a.png").unlink()
    code, out, _ = cli("index", photos, "--prune", "--json")
    assert (code, json.loads(out)["removed"]) == (0, 1)
    (photos / "b.png").unlink()
    (photos / "c.jpg").unlink()
    picture(9).save(photos / "d.png")
    code, _, err = cli("index", photos, "--prune")
    assert code == 1
    assert "2 of 3 images" in err
    code, out, _ = cli("index", photos, "--prune=force", "--json")
    assert (code, json.loads(out)["removed"]) == (0, 2)
    code, _, err = cli("index", photos, "--prune=maybe")
    assert (code, "--prune=maybe" in err) == (2, True)


def test_show_list_remove(cli: Run, photos: Path) -> None:
    cli("index", photos)
    code, out, _ = cli("show", "a.png", "--json")
    assert (code, json.loads(out)["width"]) == (0, 40)
    code, out, _ = cli("list", "--filter", 'format == "png"')
    assert [line.split("\t")[0] for line in out.splitlines()] == ["a.png", "b.png"]
    code, out, err = cli("remove", "a.png", "nobody")
    assert (code, "nobody" in err, "nothing was removed" in err) == (1, True, True)
    assert cli("remove", "a.png")[0] == 0
    code, _, err = cli("show", "a.png")
    assert (code, "no image" in err) == (1, True)


def test_export_import_backup_restore_delete(cli: Run, photos: Path, tmp_path: Path) -> None:
    cli("index", photos, "-c", "one")
    before = cli("search", "id:a.png", "-c", "one", "--json")[1]
    assert cli("backup", tmp_path / "one.tar.gz", "-c", "one")[0] == 0
    code, _, err = cli("restore", tmp_path / "one.tar.gz", "-c", "one")
    assert (code, "there is a collection already" in err) == (1, True)
    assert cli("delete-collection", "one", "--yes")[0] == 0
    assert cli("search", "id:a.png", "-c", "one")[0] == 1
    assert cli("restore", tmp_path / "one.tar.gz", "-c", "one")[0] == 0
    assert cli("search", "id:a.png", "-c", "one", "--json")[1] == before
    assert cli("export", tmp_path / "one.csv", "-c", "one")[0] == 0
    code, _, err = cli("import", tmp_path / "one.csv", "-c", "two")
    assert (code, "efficientnet-lite0: 3 added" in err) == (0, True)
    assert cli("search", "id:a.png", "-c", "two", "--json")[1] == before
    assert cli("search", photos / "a.png", "-c", "two")[0] == 0


def test_an_embedding_file_that_runs_code_is_refused(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "features.pkl").write_bytes(b"\x80\x04N.")
    code, _, err = cli("import", tmp_path / "features.pkl", "-c", "two")
    assert code == 1
    assert "pickle" in err
    assert "numpy.savez" in err


def bad_calls(tmp_path: Path) -> list[tuple[list[str], int, list[str]]]:
    """Arguments, the exit code, and words that the message must have."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file.txt").write_text("mine")
    (tmp_path / "a-file").write_text("mine")
    missing = str(tmp_path / "missing")
    return [
        (["index", missing], 1, [missing, "no such file or folder"]),
        (["index", str(tmp_path / "empty")], 1, ["empty"]),
        (["index", str(tmp_path / "other")], 1, ["no image", "1 files"]),
        (["search", "x.jpg"], 1, ["default", "no such collection", "imagefinder index"]),
        (["status", "-c", "nobody"], 1, ["nobody", "no such collection"]),
        (["status", "-c", str(tmp_path / "other")], 1, ["neither empty nor a collection"]),
        (["status", "-c", str(tmp_path / "a-file") + "/"], 1, ["this is a file"]),
        (["status", "-c", "a:b"], 2, ["a:b", "name"]),
        (["status", "-c", "ftp://host/x"], 2, ["ftp://"]),
        (["index", "--model", "no-such-model", str(tmp_path)], 2, ["efficientnet-lite0"]),
        (["index"], 2, ["SOURCE"]),
        (["search"], 2, ["QUERY"]),
        (["search", "-k", "0", "x.jpg"], 2, ["-k"]),
        (["no-such-command"], 2, ["no-such-command"]),
        (["index", "--no-such-option", "x"], 2, ["--no-such-option"]),
        (["restore", missing + ".tar", "-c", "x"], 1, ["cannot be read"]),
        (["restore", str(tmp_path / "a-file"), "-c", "x"], 1, ["cannot be read"]),
        (["backup", str(tmp_path / "x.zip"), "-c", "x"], 1, [".tar"]),
        (["import", missing + ".csv", "-c", "x"], 1, [missing]),
        (["delete-collection", "nobody", "--yes"], 1, ["no such collection"]),
        (["relocate", "/a", "/b", "-c", "nobody"], 1, ["no such collection"]),
        (["download", missing + ".csv", str(tmp_path / "to")], 1, ["no such file"]),
    ]


@pytest.mark.parametrize("number", range(22))
def test_bad_input_gets_a_message_and_an_exit_code(cli: Run, tmp_path: Path, number: int) -> None:
    arguments, expected, words = bad_calls(tmp_path)[number]
    code, out, err = cli(*arguments)
    assert code == expected, err
    assert out == ""
    assert len(err.splitlines()) <= 3, err
    for word in words:
        assert word in err, err


@pytest.mark.parametrize(
    ("call", "problem", "help"),
    [
        ("search", "Missing argument 'QUERY'.", "imagefinder search --help"),
        ("serch photo.jpg", "No such command 'serch'. Did you mean", "imagefinder --help"),
        ("search photo.jpg -k many", "Invalid value for '-k'", "imagefinder search --help"),
        ("index here --prun", "No such option: --prun", "imagefinder index --help"),
    ],
)
def test_a_wrong_call_is_told_in_two_lines(cli: Run, call: str, problem: str, help: str) -> None:
    code, out, err = cli(*call.split())
    assert (code, out) == (2, "")
    told, way_out = err.splitlines()
    assert told.startswith(f"error: {problem}")
    assert way_out == f"help: {help}"


def test_a_query_that_is_larger_than_the_limit(cli: Run, photos: Path) -> None:
    cli("index", photos)
    code, _, err = cli("search", photos / "a.png", "--max-megapixels", "0.01")
    assert code == 0
    picture(1, (200, 100)).save(photos.parent / "large.png")
    code, _, err = cli("search", photos.parent / "large.png", "--max-megapixels", "0.01")
    assert code == 1
    assert "0.1 megapixels, the limit is 0.1; raise --max-megapixels to use it" in err


def test_a_bad_filter_points_at_its_column(cli: Run, photos: Path) -> None:
    cli("index", photos)
    code, _, err = cli("search", photos / "a.png", "--filter", "width >= ")
    assert code == 2
    assert "column" in err
    assert err.splitlines()[2].strip() == "^"


def test_a_collection_that_is_open_elsewhere(cli: Run, photos: Path) -> None:
    cli("index", photos)
    script = (
        "from imagefinder import ImageFinder\n"
        "import sys\n"
        "with ImageFinder.open('default') as finder:\n"
        "    len(finder); print('open', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    code, _, err = cli("search", photos / "a.png")
    assert (code, f"process {holder.pid}" in err) == (1, True)
    holder.communicate("")
    assert cli("search", photos / "a.png")[0] == 0


def test_kill_9_while_indexing_loses_nothing_acknowledged(cli: Run, tmp_path: Path) -> None:
    names = [f"{number:04}.png" for number in range(1500)]
    write_pictures(tmp_path / "many", names)
    where = tmp_path / "collection"
    process = start("index", tmp_path / "many", "-c", where)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until something is committed
        ledger = where / "ledger.sqlite"
        if ledger.exists() and committed(ledger) > 0:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    acknowledged = committed(where / "ledger.sqlite")
    assert 0 < acknowledged < 1500
    code, out, _ = cli("index", tmp_path / "many", "-c", where, "--json")
    counts = json.loads(out)
    assert (code, counts["unchanged"], counts["added"]) == (0, acknowledged, 1500 - acknowledged)
    code, out, _ = cli("search", "id:0000.png", "-k", "2000", "--exact", "-c", where)
    ids = [line.split("\t")[1] for line in out.splitlines()]
    assert sorted(ids) == names


def committed(ledger: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM images").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def test_ctrl_c_while_indexing_ends_with_a_summary(tmp_path: Path) -> None:
    write_pictures(tmp_path / "many", [f"{number:04}.png" for number in range(3000)])
    where = tmp_path / "collection"
    process = start("index", tmp_path / "many", "-c", where)
    deadline = time.monotonic() + 60
    while committed(where / "ledger.sqlite") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert out.startswith("interrupted: ")
    added = int(out.split()[1])
    assert 0 < added < 3000
    assert committed(where / "ledger.sqlite") == added


def test_a_closed_pipe_is_no_error(photos: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "imagefinder", "index", photos, "-c", tmp_path / "c"], check=True
    )
    result = subprocess.run(
        f"{sys.executable} -m imagefinder list -c {tmp_path / 'c'} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""


def test_help_is_there_for_every_command_with_an_example(cli: Run) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    commands = [
        line.split()[1] for line in out.splitlines() if line.startswith("│ ") and "--" not in line
    ]
    names = [name for name in commands if name.isascii() and name.replace("-", "").isalpha()]
    for name in ("index", "search", "status", "download", "backup"):
        assert name in names
        code, out, _ = cli(name, "--help")
        assert (code, "Example:" in out) == (0, True), name


def test_no_color_is_honoured(photos: Path) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": ""}
    out = subprocess.run(
        [sys.executable, "-m", "imagefinder", "--help"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "\x1b[3" not in out


def test_a_damaged_collection_says_so(cli: Run, photos: Path, home: Path) -> None:
    cli("index", photos)
    (home / "default" / "ledger.sqlite").write_bytes(b"no database" * 100)
    for suffix in ("-wal", "-shm"):
        (home / "default" / f"ledger.sqlite{suffix}").unlink(missing_ok=True)
    code, _, err = cli("status")
    assert (code, "damaged" in err) == (1, True)
    (home / "default" / "collection.json").write_text("{")
    code, _, err = cli("status")
    assert (code, "collection.json" in err) == (1, True)


def test_a_newer_format_is_refused(cli: Run, photos: Path, home: Path) -> None:
    cli("index", photos)
    (home / "default" / "collection.json").write_text('{"format": 99}')
    code, _, err = cli("status")
    assert (code, "format 99" in err, "upgrade" in err) == (1, True, True)
