"""`imagefinder index --ray`, in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from imagefinder import ImageFinder
from tests.image_server import ImageServer
from tests.pictures import write_pictures
from tests.ray_cluster import ROOT, kill_worker, ray_cluster
from tests.ray_models import worked
from tests.ray_runs import only

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray warns of itself
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and leaves its processes' pipes open
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    write_pictures(folder, [f"{number:02}.png" for number in range(30)])
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Without a cluster, and with a home for the token of one."""
    left_out = {"RAY_ADDRESS", "RAY_AUTH_MODE"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "HOME": str(tmp_path / "home")}


@pytest.fixture
def web() -> Iterator[ImageServer]:
    with ImageServer().running() as server:
        yield server


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "imagefinder", "index", *map(str, arguments)]


def test_a_cluster_is_started_for_the_run_and_nothing_is_said_of_it(
    photos: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (photos / "bad.jpg").write_bytes(b"no image")
    done = subprocess.run(
        command(photos, "-c", tmp_path / "c", "--json", "--ray=local"),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert json.loads(done.stdout) == only(added=30, skipped=1)
    assert done.stderr == ""
    with ImageFinder.open(tmp_path / "c") as finder:
        rows = {record.id: row for record, row in finder.embedded()}
        assert [one.id for one in finder.skipped()] == ["bad.jpg"]
    with ImageFinder.open(tmp_path / "here") as finder:
        finder.index(photos)
        for record, row in finder.embedded():
            assert np.array_equal(rows.pop(record.id), row)
    assert not rows


def test_the_death_of_a_worker_does_not_show(tmp_path: Path, environment: dict[str, str]) -> None:
    folder, notes = tmp_path / "photos", tmp_path / "notes"
    write_pictures(folder, [f"{number:03}.png" for number in range(100)])
    notes.mkdir()
    script = f"""
import json
from pathlib import Path
from imagefinder import ImageFinder
from tests.ray_models import Watched

model = Watched(Path({str(notes)!r}), 0.05)
with ImageFinder.open({str(tmp_path / "c")!r}, embedder=model) as finder:
    print(json.dumps(finder.index({str(folder)!r}, ray="local").counts()))
"""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONPATH": path},
    )
    while sum(worked(notes).values()) < 30:
        assert process.poll() is None
        Event().wait(0.05)
    kill_worker(notes)
    said, complained = process.communicate(timeout=180)
    assert json.loads(said) == only(added=100)
    assert complained == ""


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    web: ImageServer, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The whole group of processes gets it, as from a terminal."""
    table = tmp_path / "table.csv"
    names = [f"http://127.0.0.1:{web.port}/{number}.jpg" for number in range(200)]
    table.write_text("\n".join(["url", *names]))
    wait = Event()
    web.before.append(wait)
    run = command(table, "-c", tmp_path / "c", "--json", "--ray=local")
    process = subprocess.Popen(
        run,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert web.arrived.acquire(timeout=300)
    os.killpg(process.pid, signal.SIGINT)
    Event().wait(1)
    web.before.clear()
    wait.set()
    said, complained = process.communicate(timeout=120)
    assert process.returncode == 130, complained
    first = json.loads(said)["added"]
    assert 0 < first < 200
    assert "Traceback" not in complained
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == only(added=200 - first, unchanged=first)
    assert sum(web.requests.values()) == 200  # nothing that was begun was lost


def test_an_address_can_follow_the_option(photos: Path, tmp_path: Path) -> None:
    with ray_cluster(2) as cluster:
        for ray in (["--ray", cluster.address], [f"--ray={cluster.address}"]):
            done = subprocess.run(
                command(photos, "-c", tmp_path / "c", *ray, "--json", "--sample", "5"),
                capture_output=True,
                text=True,
                check=True,
            )
            assert sum(json.loads(done.stdout).values()) == 5
            assert "error" not in done.stderr  # that a busy machine is slow may be said


def test_what_a_cluster_cannot_be_is_said_in_a_line(photos: Path, tmp_path: Path) -> None:
    for address, code, words in [
        ("127.0.0.1:9", 1, "no Ray cluster answers there"),
        ("somewhere", 2, "host:port of its head"),
    ]:
        done = subprocess.run(
            command(photos, "-c", tmp_path / "c", f"--ray={address}"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
