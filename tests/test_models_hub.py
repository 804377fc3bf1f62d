"""Model files from the hub: fetched whole, verified, the same every time, or a clear error."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download, scan_cache_dir

from imagefinder.errors import ModelError
from imagefinder.models.catalog import DEFAULT_MODEL
from imagefinder.models.hub import cache as hub_cache
from imagefinder.models.hub import errors as hub_errors
from imagefinder.models.hub import pins
from imagefinder.models.hub import transfer as hub_transfer
from imagefinder.models.hub.files import OnProgress, cached, fetch, forget
from imagefinder.models.row import HubFile
from tests.hub_server import HubServer, hub

REPO = "owner/model"
GRAPH = bytes(range(256)) * 4000  # 1 MB
CONFIG = b'{"size": 224}'
FILES = {"onnx/model.onnx": GRAPH, "config.json": CONFIG}
LARGE, SMALL = HubFile(REPO, "onnx/model.onnx"), HubFile(REPO, "config.json")

# Fetches one file, and says what became of it.
SCRIPT = """
import json, sys
from imagefinder.errors import ModelError
from imagefinder.models.hub.files import fetch
from imagefinder.models.row import HubFile
def tell(*progress):
    print(*progress, flush=True)
try:
    fetched = fetch(HubFile(*sys.argv[1:]), on_progress=tell)
    print(json.dumps([str(fetched.path), fetched.sha256, fetched.commit]))
except ModelError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(hub_transfer, "PAUSES", (0.01, 0.01))
    with hub({REPO: FILES}, monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture
def blobs(server: HubServer) -> Path:
    return Path(constants.HF_HUB_CACHE) / "models--owner--model" / "blobs"


def without_cache() -> None:
    shutil.rmtree(constants.HF_HUB_CACHE)


def without_pins() -> None:
    pins.place().unlink()


def message(file: HubFile, *, offline: bool = False) -> str:
    """Of the error that fetching must end in."""
    with pytest.raises(ModelError) as error:
        fetch(file, offline=offline)
    assert str(error.value).startswith(f"{file.path} of {file.repository}")
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def stop_at(limit: int) -> OnProgress:
    def on_progress(name: str, done: int, total: int | None) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    return on_progress


# -- fetching


@pytest.mark.parametrize("file", [LARGE, SMALL], ids=["large", "small"])
def test_a_file_is_fetched_verified_and_pinned(server: HubServer, file: HubFile) -> None:
    fetched = fetch(file)
    assert fetched.path.read_bytes() == FILES[file.path]
    assert fetched.sha256 == sha256(FILES[file.path]).hexdigest()
    assert fetched.commit == server.commit(REPO)
    pin = pins.find(file)
    assert pin is not None
    assert (pin.commit, pin.sha256) == (fetched.commit, fetched.sha256)


def test_what_is_here_needs_no_network(server: HubServer) -> None:
    first = [fetch(LARGE), fetch(SMALL)]
    server.requests.clear()
    assert [fetch(LARGE), fetch(SMALL)] == first
    assert [cached(LARGE), cached(SMALL)] == first
    assert server.requests == []


def test_progress_is_told_in_bytes(server: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[str, int, int | None]] = []
    fetch(LARGE, on_progress=lambda *told: seen.append(told))
    assert {(name, total) for name, _, total in seen} == {(LARGE.path, len(GRAPH))}
    done = [bytes for _, bytes, _ in seen]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == len(GRAPH)
    assert len(done) > 10
    assert capfd.readouterr() == ("", "")


def test_other_programs_find_what_was_fetched(server: HubServer) -> None:
    fetched = [fetch(LARGE), fetch(SMALL)]
    server.down = True
    found = [hf_hub_download(REPO, path, local_files_only=True) for path in FILES]
    assert [Path(path) for path in found] == [file.path for file in fetched]
    scanned = scan_cache_dir(constants.HF_HUB_CACHE)
    assert scanned.warnings == []
    assert scanned.size_on_disk == len(GRAPH) + len(CONFIG)


def test_what_another_program_fetched_is_used_verified_and_pinned(server: HubServer) -> None:
    path = hf_hub_download(REPO, LARGE.path)
    server.requests.clear()
    fetched = fetch(LARGE, offline=True)
    assert fetched.path == Path(path)
    assert fetched.sha256 == sha256(GRAPH).hexdigest()
    assert fetched.commit == server.commit(REPO)
    assert pins.find(LARGE)
    assert server.requests == []


def test_the_bytes_of_another_commit_are_not_fetched_again(server: HubServer) -> None:
    fetch(LARGE)
    without_pins()
    server.push(REPO, "config.json", b"{}")
    new = HubFile(REPO, LARGE.path, server.commit(REPO))
    assert fetch(new).path != fetch(LARGE).path
    assert len(server.asked(LARGE.path, "GET")) == 1


def test_the_token_goes_to_the_hub_and_no_further(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.private.add(REPO)
    monkeypatch.setenv("HF_TOKEN", server.token)
    fetch(LARGE)
    assert {request.token for request in server.requests if not request.store} == {server.token}
    assert {request.token for request in server.requests if request.store} == {""}


def test_large_files_come_by_plain_http_from_where_the_hub_says(server: HubServer) -> None:
    """The other way, Xet, does not resume, and speaks with hosts that a proxy may not know."""
    server.xet = True
    assert fetch(LARGE).path.read_bytes() == GRAPH
    assert [str(request).partition("/resolve/")[0] for request in server.requests] == [
        "HEAD /owner/model",
        "GET /owner/model",
        f"GET /owner/model/{server.commit(REPO)}/onnx/model.onnx",
    ]


# -- interruptions


def test_an_interrupted_fetch_goes_on_where_it_stopped(server: HubServer, blobs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(LARGE, on_progress=stop_at(300_000))
    (part,) = blobs.iterdir()
    done = part.stat().st_size
    assert done >= 300_000
    assert cached(LARGE) is None
    seen: list[int] = []
    fetched = fetch(LARGE, on_progress=lambda name, done, total: seen.append(done))
    assert fetched.path.read_bytes() == GRAPH
    assert [request.range for request in server.asked(LARGE.path, "GET")] == ["", f"bytes={done}-"]
    assert seen[0] == done
    assert [path.name for path in blobs.iterdir()] == [fetched.sha256]


def test_a_broken_connection_is_taken_up_again(server: HubServer) -> None:
    server.cut(LARGE.path, after=100_000, times=5)  # more often than it is tried without progress
    assert fetch(LARGE).path.read_bytes() == GRAPH
    ranges = [request.range for request in server.asked(LARGE.path, "GET")]
    assert ranges == ["", *(f"bytes={n * 100_000}-" for n in range(1, 6))]


def test_a_connection_that_stays_broken_is_told_and_taken_up_the_next_time(
    server: HubServer,
) -> None:
    server.cut(LARGE.path, after=0, times=3)
    server.cut(SMALL.path, after=5, times=1)
    assert "run it again, and it goes on where it stopped" in message(LARGE)
    assert fetch(LARGE).path.read_bytes() == GRAPH
    assert fetch(SMALL).path.read_bytes() == CONFIG
    assert [request.range for request in server.asked(SMALL.path, "GET")] == ["", "bytes=5-"]


def test_a_server_without_ranges_sends_the_whole_again(server: HubServer) -> None:
    server.ignores_ranges = True
    server.cut(LARGE.path, after=100_000)
    assert fetch(LARGE).path.read_bytes() == GRAPH
    assert len(server.asked(LARGE.path, "GET")) == 2


def test_a_killed_process_leaves_what_the_next_one_needs(server: HubServer, tmp_path: Path) -> None:
    server.hang(LARGE.path, after=200_000, times=1)
    process = in_process(server, tmp_path)
    assert process.stdout is not None
    assert any(f"{LARGE.path} 200000 " in line for line in process.stdout)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    fetch(LARGE)
    assert [request.range for request in server.asked(LARGE.path, "GET")][-1] == "bytes=200000-"


def test_trouble_that_passes_is_waited_out(server: HubServer) -> None:
    server.fail(LARGE.path, 503, times=2)
    assert fetch(LARGE).path.read_bytes() == GRAPH


# -- damage


def test_a_damaged_download_is_fetched_once_more(server: HubServer, blobs: Path) -> None:
    for file in (LARGE, SMALL):
        server.corrupt(file.path, times=1)
        assert fetch(file).path.read_bytes() == FILES[file.path]
        assert len(server.asked(file.path, "GET")) == 2
    assert all("." not in path.name for path in blobs.iterdir())


@pytest.mark.parametrize("file", [LARGE, SMALL], ids=["large", "small"])
def test_nothing_is_kept_of_a_download_that_stays_damaged(
    server: HubServer, blobs: Path, file: HubFile
) -> None:
    server.corrupt(file.path, times=2)
    text = message(file)
    assert "damaged" in text
    assert "nothing of it was kept" in text
    assert text.endswith(hub_errors.BUILT_IN)
    assert list(blobs.iterdir()) == []
    assert cached(file) is None
    assert pins.find(file) is None
    assert fetch(file).path.read_bytes() == FILES[file.path]


def test_a_damaged_beginning_does_not_spoil_what_follows(server: HubServer, blobs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(LARGE, on_progress=stop_at(300_000))
    (part,) = blobs.iterdir()
    part.write_bytes(b"x" * part.stat().st_size)
    assert fetch(LARGE).path.read_bytes() == GRAPH


def test_too_long_a_beginning_is_thrown_away(server: HubServer, blobs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(LARGE, on_progress=stop_at(1))
    (part,) = blobs.iterdir()
    part.write_bytes(GRAPH + b"x")
    assert fetch(LARGE).path.read_bytes() == GRAPH


def test_a_file_damaged_in_the_cache_is_noticed_and_fetched_again(server: HubServer) -> None:
    path = fetch(LARGE).path
    path.resolve().write_bytes(b"x" * len(GRAPH))
    os.utime(path, ns=(0, 0))  # whatever the clock's grain
    assert cached(LARGE) is None
    assert "the file in the cache is damaged" in message(LARGE, offline=True)
    assert fetch(LARGE).path.read_bytes() == GRAPH
    assert cached(LARGE)


def test_what_another_program_left_damaged_is_not_believed(server: HubServer) -> None:
    path = Path(hf_hub_download(REPO, SMALL.path))
    path.resolve().write_bytes(b"x" * len(CONFIG))
    assert cached(SMALL) is None
    assert "damaged" in message(SMALL, offline=True)
    assert pins.find(SMALL) is None
    assert fetch(SMALL).path.read_bytes() == CONFIG


# -- the same every time


def test_a_pinned_file_is_the_same_after_the_branch_moved(server: HubServer) -> None:
    first = fetch(LARGE)
    server.push(REPO, LARGE.path, b"another model")
    without_cache()
    again = fetch(LARGE)
    assert (again.commit, again.sha256) == (first.commit, first.sha256)
    assert again.path.read_bytes() == GRAPH


def test_the_files_of_a_repository_are_of_one_commit(server: HubServer) -> None:
    first = fetch(LARGE)
    server.push(REPO, SMALL.path, b"for another model")
    server.push(REPO, "new.json", b"{}")
    assert fetch(SMALL).commit == first.commit
    assert fetch(SMALL).path.read_bytes() == CONFIG
    assert fetch(HubFile(REPO, "new.json")).commit == server.commit(REPO)  # was not there before


def test_a_commit_in_the_row_is_simply_used(server: HubServer) -> None:
    old = server.commit(REPO)
    server.push(REPO, SMALL.path, b"new")
    fetched = fetch(HubFile(REPO, SMALL.path, old))
    assert (fetched.commit, fetched.path.read_bytes()) == (old, CONFIG)
    assert fetch(SMALL).path.read_bytes() == b"new"


def test_a_branch_with_a_slash(server: HubServer) -> None:
    server.branch(REPO, "refs/pr/1")
    server.push(REPO, SMALL.path, b"new")
    assert fetch(HubFile(REPO, SMALL.path, "refs/pr/1")).path.read_bytes() == CONFIG


def test_another_file_at_the_same_commit_is_refused(server: HubServer, blobs: Path) -> None:
    for file in (LARGE, SMALL):
        fetch(file)
    without_cache()
    server._commits[REPO][server.commit(REPO)] |= {LARGE.path: b"other", SMALL.path: b"other"}
    for file in (LARGE, SMALL):
        text = message(file)
        assert "the hub no longer has what was fetched first" in text
        assert str(pins.place()) in text
        assert cached(file) is None
    assert list(blobs.iterdir()) == []
    assert len(server.asked(LARGE.path, "GET")) == 1  # its name tells already


def test_a_commit_that_is_gone_is_told(server: HubServer) -> None:
    first = fetch(SMALL)
    server.push(REPO, SMALL.path, b"new")
    server.erase(REPO, first.commit)
    without_cache()
    assert f"at commit {first.commit[:7]}" in message(SMALL)


def test_the_pins_say_what_they_are(server: HubServer) -> None:
    fetched = fetch(SMALL)
    (row,) = json.loads(pins.place().read_text())["files"]
    assert row["repository"] == REPO
    assert row["revision"] == "main"
    assert row["path"] == SMALL.path
    assert row["commit"] == fetched.commit
    assert row["sha256"] == fetched.sha256
    assert [path.suffix for path in pins.place().parent.iterdir() if path.suffix != ".lock"] == [
        ".json"
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"files": [{}]}', '{"files": 3}'])
def test_damaged_pins_are_told(server: HubServer, text: str) -> None:
    fetch(SMALL)
    pins.place().write_text(text)
    with pytest.raises(ModelError, match=r"models\.json: damaged; remove it"):
        fetch(SMALL)


def test_a_first_pin_stays(server: HubServer) -> None:
    pin = pins.Pin("a" * 40, "b" * 64, 1, 2)
    pins.record(SMALL, pin)
    pins.record(SMALL, pins.Pin("c" * 40, "d" * 64, 3, 4))
    assert pins.find(SMALL) == pins.Pin("a" * 40, "b" * 64, 3, 4)


def test_pins_that_cannot_be_written_keep_nobody_from_a_model(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.setattr(pins, "record", refuse_to_write)
    assert fetch(LARGE).path.read_bytes() == GRAPH
    assert cached(LARGE)


def refuse_to_write(*_: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


# -- without a network


@pytest.mark.parametrize("how", ["argument", "environment", "library"])
def test_switched_off_nothing_is_asked(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    fetch(SMALL)
    server.requests.clear()
    if how == "environment":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if how == "library":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = how == "argument"
    assert fetch(SMALL, offline=offline).path.read_bytes() == CONFIG
    assert message(LARGE, offline=offline) == (
        "onnx/model.onnx of owner/model is not on this machine and the network is switched off;"
        " fetch it where there is a network: imagefinder models pull NAME,"
        " or use the built-in model, efficientnet-lite0, which needs no network"
    )
    assert server.requests == []


def test_a_process_that_is_switched_off_asks_nothing(server: HubServer, tmp_path: Path) -> None:
    out, _ = in_process(server, tmp_path, HF_HUB_OFFLINE="1").communicate()
    assert "the network is switched off" in out
    assert server.requests == []
    fetch(LARGE)
    server.requests.clear()
    out, err = in_process(server, tmp_path, HF_HUB_OFFLINE="1").communicate()
    assert json.loads(out)[1] == sha256(GRAPH).hexdigest()
    assert (err, server.requests) == ("", [])


def test_looking_into_the_cache_asks_nothing(server: HubServer) -> None:
    assert cached(LARGE) is None
    assert server.requests == []
    assert not Path(constants.HF_HUB_CACHE).exists()


# -- errors in words


def test_the_hint_is_the_model_that_is_built_in() -> None:
    assert DEFAULT_MODEL in hub_errors.BUILT_IN


def test_a_repository_that_is_not_there(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = message(HubFile("owner/none", "model.onnx"))
    assert f"{server.url[7:]} has no such repository, or it is private" in text
    assert "set HF_TOKEN" in text
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "no such repository" in message(HubFile("owner/none", "model.onnx"))


def test_a_gated_repository(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.gated.add(REPO)
    assert "the repository is gated; accept its terms on 127.0.0.1" in message(LARGE)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    text = message(LARGE)
    assert "gated" in text
    assert "hf_secret" not in text
    monkeypatch.setenv("HF_TOKEN", server.token)
    assert fetch(LARGE).path.read_bytes() == GRAPH


def test_a_file_or_a_revision_that_is_not_there(server: HubServer) -> None:
    assert "has no such file at 'main'; check the model's row" in message(HubFile(REPO, "no.onnx"))
    assert "has no revision 'v9'" in message(HubFile(REPO, LARGE.path, "v9"))
    assert "has no revision" in message(HubFile(REPO, LARGE.path, "0" * 40))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "refuses access (HTTP 401); check HF_TOKEN"),
        (403, "refuses access (HTTP 403); check HF_TOKEN"),
        (429, "too many requests (HTTP 429); wait a few minutes"),
        (500, "is in trouble (HTTP 500); try again later, or use the built-in model"),
        (418, "answers HTTP 418; check the model's row and HF_ENDPOINT"),
    ],
)
def test_other_refusals(server: HubServer, status: int, text: str) -> None:
    server.fail(LARGE.path, status)
    assert text in message(LARGE)


def test_a_hub_that_drops_every_connection(server: HubServer) -> None:
    server.down = True
    assert "the connection to 127.0.0.1" in message(LARGE)


def test_no_connection_is_told_at_once(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_transfer, "PAUSES", (60.0,))  # longer than the test may take
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub_at(f"http://{address}"))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://{address}")
        text = message(LARGE)
    assert f"{address} cannot be reached (Connection refused); check the network" in text
    assert text.endswith("or use the built-in model, efficientnet-lite0, which needs no network")


def test_a_server_that_says_nothing(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    server.hang(LARGE.path)
    assert "is too slow; run it again" in message(LARGE)


def test_a_server_that_is_no_hub(server: HubServer) -> None:
    server.strange = True
    assert "does not answer like a model hub; check HF_ENDPOINT" in message(LARGE)


@pytest.mark.parametrize("endpoint", ["localhost:1", "ftp://user:secret@localhost", ""])
def test_an_endpoint_that_is_no_address(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub_at(endpoint))
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    text = message(LARGE)
    assert "HF_ENDPOINT is not an address" in text
    assert "secret" not in text


def test_an_address_is_named_without_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for endpoint, name in (
        ("http://me:secret@there:80/x", "there:80"),
        ("http://[", "HF_ENDPOINT"),
    ):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        assert hub_errors.host() == name


def test_a_token_that_cannot_be_sent_is_not_shown(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_s\u00e9cret")
    with pytest.raises(ModelError, match="check HF_TOKEN for a stray character") as error:
        fetch(LARGE)
    shown = "".join(traceback.format_exception(error.value))
    assert "hf_s" not in shown


def test_names_that_are_none(server: HubServer) -> None:
    for file in (
        HubFile("a/b/c", "model.onnx"),
        HubFile(REPO, "../../model.onnx"),
        HubFile(REPO, "/model.onnx"),
        HubFile(REPO, "model.onnx", "../../../main"),
        HubFile(REPO, "model.onnx", "/main"),
    ):
        assert "no file of the hub has such a name" in message(file)
    assert server.requests == []


def test_a_full_disk(server: HubServer, monkeypatch: pytest.MonkeyPatch, blobs: Path) -> None:
    usage = shutil.disk_usage(Path.cwd())
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(GRAPH) - 1))
        text = message(LARGE)
        assert f"no space left in {constants.HF_HUB_CACHE}; free some, or set HF_HOME" in text
        assert list(blobs.iterdir()) == []
    if not Path("/dev/full").exists():
        return
    part = hub_cache.part_of(LARGE, sha256(GRAPH).hexdigest())
    part.symlink_to("/dev/full")
    assert "no space left" in message(LARGE)


def test_a_cache_that_cannot_be_written(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    text = message(LARGE)
    assert f"the cache {tmp_path / 'file' / 'hub'} cannot be used (Not a directory)" in text
    assert "set HF_HOME" in text


# -- forgetting


def test_a_forgotten_file_is_gone_and_its_pin_stays(server: HubServer) -> None:
    first = fetch(LARGE)
    server.push(REPO, LARGE.path, b"another model")
    assert forget([LARGE]) == len(GRAPH)
    assert cached(LARGE) is None
    assert not Path(constants.HF_HUB_CACHE, "models--owner--model").exists()
    assert fetch(LARGE).sha256 == first.sha256
    assert forget([LARGE, LARGE, SMALL]) == len(GRAPH)


def test_the_other_files_of_a_repository_stay(server: HubServer) -> None:
    fetch(LARGE)
    other = fetch(SMALL)
    notice = Path(hf_hub_download(REPO, SMALL.path))
    assert forget([LARGE]) == len(GRAPH)
    assert cached(SMALL) == other
    assert notice.read_bytes() == CONFIG
    assert scan_cache_dir(constants.HF_HUB_CACHE).warnings == []
    assert scan_cache_dir(constants.HF_HUB_CACHE).size_on_disk == len(CONFIG)


def test_a_blob_stays_while_another_commit_has_it(server: HubServer) -> None:
    fetch(LARGE)
    server.push(REPO, SMALL.path, b"new")
    other = Path(hf_hub_download(REPO, LARGE.path))  # at the new commit
    assert other != fetch(LARGE).path
    assert forget([LARGE]) == 0
    assert other.read_bytes() == GRAPH
    assert cached(LARGE) is None
    assert scan_cache_dir(constants.HF_HUB_CACHE).warnings == []


def test_a_branch_at_nothing_is_forgotten_too(server: HubServer) -> None:
    fetch(LARGE)
    server.push(REPO, SMALL.path, b"new")
    other = HubFile(REPO, SMALL.path, server.commit(REPO))
    fetch(other)
    assert forget([LARGE]) == len(GRAPH)
    assert cached(other)
    assert scan_cache_dir(constants.HF_HUB_CACHE).warnings == []


def test_a_file_with_two_names_is_freed_once(server: HubServer) -> None:
    server.push(REPO, "copy.onnx", GRAPH)
    copy = HubFile(REPO, "copy.onnx")
    fetch(LARGE)
    fetch(copy)
    assert forget([copy]) == 0
    assert fetch(LARGE, offline=True).path.read_bytes() == GRAPH
    assert forget([LARGE]) == len(GRAPH)


def test_an_unfinished_download_is_forgotten_too(server: HubServer, blobs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(LARGE, on_progress=stop_at(300_000))
    fetch(SMALL)
    size = next(blobs.glob("*.incomplete")).stat().st_size
    assert forget([SMALL]) == len(CONFIG)
    assert forget([LARGE]) == size
    assert not blobs.exists()


def test_a_link_out_of_the_cache_is_not_followed(server: HubServer, tmp_path: Path) -> None:
    path = fetch(LARGE).path
    path.unlink()
    (tmp_path / "mine.onnx").write_bytes(GRAPH)
    path.symlink_to(tmp_path / "mine.onnx")
    forget([LARGE])
    assert not path.is_symlink()
    assert (tmp_path / "mine.onnx").read_bytes() == GRAPH


def test_a_cache_without_links(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    fetched = fetch(LARGE)
    assert not fetched.path.is_symlink()
    assert scan_cache_dir(constants.HF_HUB_CACHE).size_on_disk == len(GRAPH)
    assert cached(LARGE) == fetched
    fetched.path.write_bytes(b"damaged")
    assert cached(LARGE) is None
    assert fetch(LARGE) == fetched
    assert forget([LARGE]) == len(GRAPH)


# -- several at once


def test_threads_that_want_the_same_file_fetch_it_once(server: HubServer) -> None:
    found: list[str] = []
    wanted = [LARGE, LARGE, LARGE, SMALL]
    threads = [
        threading.Thread(target=lambda file=f: found.append(fetch(file).sha256)) for f in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(sha256(FILES[file.path]).hexdigest() for file in wanted)
    assert len(server.asked(LARGE.path, "GET")) == 1
    assert pins.find(LARGE)
    assert pins.find(SMALL)


def test_no_pin_is_lost_when_many_are_made_at_once(server: HubServer) -> None:
    files = [HubFile(REPO, str(number)) for number in range(16)]
    start = threading.Barrier(len(files))

    def record(file: HubFile) -> None:
        start.wait()
        pins.record(file, pins.Pin("a" * 40, "b" * 64, 1, 2))

    threads = [threading.Thread(target=record, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(pins.load()) == set(files)


def test_processes_that_want_the_same_file_fetch_it_once(server: HubServer, tmp_path: Path) -> None:
    processes = [in_process(server, tmp_path) for _ in range(2)]
    processes.append(in_process(server, tmp_path, file=SMALL))
    results = [result_of(process) for process in processes]
    assert results[0] == results[1]
    assert results[0][1] == sha256(GRAPH).hexdigest()
    assert results[2][1] == sha256(CONFIG).hexdigest()
    assert len(server.asked(LARGE.path, "GET")) == 1
    assert {file.path for file in pins.load()} == set(FILES)


def test_a_process_writes_nothing_but_what_it_is_told_to(server: HubServer, tmp_path: Path) -> None:
    out, err = in_process(server, tmp_path).communicate()
    *progress, _ = out.splitlines()
    assert progress[-1] == f"{LARGE.path} {len(GRAPH)} {len(GRAPH)}"
    assert err == ""


def hub_at(endpoint: str) -> str:
    return endpoint + "/{repo_id}/resolve/{revision}/{filename}"


def in_process(
    server: HubServer, home: Path, *, file: HubFile = LARGE, **environment: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, file.repository, file.path],
        env={**os.environ, **server.environment(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process: "subprocess.Popen[str]") -> Sequence[str]:
    out, err = process.communicate(timeout=60)
    assert err == ""
    result: Sequence[str] = json.loads(out.splitlines()[-1])
    return result
