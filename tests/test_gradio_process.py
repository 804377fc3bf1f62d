"""The Gradio app in processes of its own: `imagefinder gradio`, notebooks, and what leaves them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("gradio", reason="the app needs its extra")

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from imagefinder.testing import FakeEmbedder
from tests.gradio_requests import captions, search, upload
from tests.image_server import encoded
from tests.pictures import picture, write_pictures
from tests.serving import NAMES, served

ROOT = Path(__file__).resolve().parents[1]
SOON = 60.0  # seconds; what takes as long as that never comes
QUIET = {  # what it would use if it wanted to go anywhere
    "no_proxy": "*",
    "HF_HUB_OFFLINE": "",
    "GRADIO_ANALYTICS_ENABLED": "True",
    "PYTHONPATH": str(ROOT),
}

# Every address that the process looks up or connects to, on stderr.
WATCHED = """
import socket, sys

def told(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        sys.stderr.write(f"went to {arguments[1][0]}\\n")
    if event == "socket.getaddrinfo":
        sys.stderr.write(f"went to {arguments[0]}\\n")  # whole: there are several threads

sys.addaudithook(told)
"""
NOTEBOOK = """
import json, sys
from pathlib import Path
import httpx
from imagefinder import ImageFinder
from imagefinder.serve.gradio import gradio_app
from imagefinder.testing import FakeEmbedder

where, picture = sys.argv[1:]
embedder = None if where.startswith("http") else FakeEmbedder()
app = gradio_app(ImageFinder.open(where, embedder=embedder))
_, url, _ = app.launch(prevent_thread_lock=True, quiet=True)

def ask(path):
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    asked = {"data": [file, "fake", 3, True]}
    answer = httpx.post(f"{url}gradio_api/run/search", json=asked, timeout=30)
    return answer.status_code, answer.json()

page = httpx.get(url).text
files = {"files": ("query.png", Path(picture).read_bytes())}
[path] = httpx.post(f"{url}gradio_api/upload", files=files).json()
told = {"page": page, "answer": ask(path), "elsewhere": [ask(picture), ask("http://127.0.0.1:9/a")]}
print(json.dumps(told))
app.close(verbose=False)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `pictures` and a `collection` of them."""
    home = tmp_path_factory.mktemp("home")
    write_pictures(home / "pictures", NAMES)
    with ImageFinder.open(home / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(home / "pictures")
    return home


def python(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=2 * SOON,
        check=False,
    )


def places(stderr: str) -> set[str]:
    """Other machines that a watched process wanted something of."""
    here = {"127.0.0.1", "localhost", "::1", "None", "0.0.0.0"}
    return set(re.findall(r"went to (\S+)", stderr)) - here


def test_the_watch_sees_what_leaves() -> None:
    program = WATCHED + "socket.create_connection(('192.0.2.1', 9), timeout=0.01)"
    assert places(python(program).stderr) == {"192.0.2.1"}


@pytest.mark.parametrize("kind", ["directory", "service"])
def test_in_a_notebook(home: Path, kind: str, tmp_path: Path) -> None:
    """A service gives thumbnails also where it keeps the original images back."""
    with running_if(kind == "service", tmp_path) as url:
        arguments = [url or str(home / "collection"), str(home / "pictures" / NAMES[1])]
        ran = python(WATCHED + NOTEBOOK, *arguments)
    assert ran.returncode == 0, ran.stderr
    assert places(ran.stderr) == set()
    told = json.loads(ran.stdout.splitlines()[-1])
    status, answer = told["answer"]
    assert status == 200
    found = answer["data"][1]
    assert len(found) == 3
    assert all(item["image"]["url"].startswith("data:image/jpeg") for item in found)
    assert not any(NAMES[1] in item["caption"] for item in found)
    assert [status for status, _ in told["elsewhere"]] == [500, 500]
    config = json.loads(told["page"].partition("window.gradio_config = ")[2].partition(";<")[0])
    assert (config["stylesheets"], config["analytics_enabled"]) == ([], False)
    assert (config["run_history"], config["footer_links"]) == (False, [])


@contextmanager
def running_if(wanted: bool, folder: Path) -> Iterator[str]:
    """The URL of a service, or nothing."""
    if not wanted:
        yield ""
        return
    with served(folder) as service:
        yield service.url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_answers_fetches_nothing_and_leaves_nothing(
    tmp_path: Path, number: int
) -> None:
    write_pictures(tmp_path / "pictures", NAMES)
    with ImageFinder.open(tmp_path / "collection") as finder:
        finder.index(tmp_path / "pictures")
    (tmp_path / "tmp").mkdir()
    program = WATCHED + "from imagefinder.cli import main; main()"
    command = ["gradio", "-c", str(tmp_path / "collection"), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        env=os.environ | QUIET | {"TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    told = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if '"address"' in line:
                told.set()
        told.set()

    reading = threading.Thread(target=read)
    reading.start()
    try:
        assert told.wait(SOON)
        [url] = re.findall(r'"address": "(http://127[\d.:]+)"', "".join(lines))
        assert f"ImageFinder answers at {url}/gradio/" in "".join(lines)
        with httpx.Client(base_url=url, trust_env=False, timeout=SOON) as client:
            assert client.get("/gradio/").status_code == 200
            path = upload(client, encoded(picture(1), "PNG"))
            found = captions(search(client, path, model="efficientnet-lite0"))
            assert found[0].endswith(f" · {NAMES[1]}")
            assert list((tmp_path / "tmp").iterdir()) != []
            assert client.delete(f"/v1/images/{NAMES[1]}").status_code == 403
        process.send_signal(number)
        assert process.wait(SOON) == 0
    finally:
        process.kill()
        process.wait()
        reading.join()
        process.stderr.close()
    assert places("".join(lines)) == set()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_service_does_not_wait_for_gradio(home: Path) -> None:
    program = (
        "import sys; from imagefinder import ImageFinder;"
        "from imagefinder.serve.app import create_app;"
        f"create_app(ImageFinder.open({str(home / 'collection')!r}));"
        "print([name for name in ('gradio', 'pandas') if name in sys.modules])"
    )
    ran = python(program)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_without_gradio_the_command_says_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imagefinder.cli.gradio.find_spec", lambda _: None)
    assert run(["gradio", "-c", str(home / "collection")]) == 1
    assert capsys.readouterr().err == (
        "error: the Gradio app needs: pip install 'imagefinder[gradio]'\n"
    )


def test_a_collection_that_is_missing(tmp_path: Path) -> None:
    program = "from imagefinder.cli import main; main()"
    ran = python(program, "gradio", "-c", str(tmp_path / "none"), "--port", "0")
    assert ran.returncode == 1
    assert "there is no such collection" in ran.stderr


def test_a_port_that_is_taken(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        program = "from imagefinder.cli import main; main()"
        ran = python(program, "gradio", "-c", str(home / "collection"), "--port", str(port))
    assert ran.returncode == 2
    assert ran.stderr == (
        f"error: 127.0.0.1:{port}: address already in use;"
        " choose another port with --port, or stop what listens there\n"
    )
