"""The container's files: what holds of them without a container engine.

`container/prove.sh` takes the Dockerfile's steps for real.
"""

import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from container.recipe import Stage, Step, build_context, is_ignored, read_stages, read_steps

ROOT = Path(__file__).resolve().parents[1]
STAGES = read_stages(ROOT / "Dockerfile")
BUILD, FINAL = STAGES
PACKAGE = ("__init__.py", "py.typed", "demo/images.csv", "demo/queries/tiger.jpg")
SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|credential)")


def of(stage: Stage, keyword: str) -> list[Step]:
    return [step for step in stage.steps if step.keyword == keyword]


# the Dockerfile


def test_both_stages_begin_with_one_pinned_slim_python() -> None:
    assert BUILD.base == FINAL.base
    version = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", FINAL.base)
    assert version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


def test_what_is_installed_is_locked_and_the_wheel_brings_nothing() -> None:
    installs = [part for step in of(BUILD, "RUN") for part in step.value.split("&&")]
    installs = [" ".join(part.split()) for part in installs if " install " in part]
    assert len(installs) == 3
    for install in installs:
        assert "--no-cache-dir" in install
        locked = re.search(r"--require-hashes -r requirements/(base|build)\.txt$", install)
        assert locked or re.search(r"--no-index --no-deps dist/\*\.whl$", install), install
    assert not any(re.search(r"\bpip\b", step.value) for step in of(FINAL, "RUN"))


def test_the_final_stage_runs_as_a_numbered_user_without_rights() -> None:
    last = [step.keyword for step in FINAL.steps].index("USER")
    assert FINAL.last("USER").value == "10001:10001"
    assert not [step for step in FINAL.steps[last:] if step.keyword in {"RUN", "COPY"}]


def test_the_final_stage_takes_from_the_build_only_the_environment() -> None:
    copies = [(step.flag("from"), step.value) for step in of(FINAL, "COPY")]
    assert copies == [
        ("build", "/opt/imagefinder /opt/imagefinder"),
        (None, "container/healthcheck.py /opt/imagefinder/healthcheck.py"),
    ]
    # Whatever the umask of who checked the project out, the container's user can read it.
    assert of(FINAL, "COPY")[1].flag("chmod") == "0644"


def test_all_that_is_written_goes_to_the_volume() -> None:
    environment, volume = FINAL.environment(), FINAL.last("VOLUME").value
    assert volume == "/data"
    for name in ("HOME", "XDG_DATA_HOME", "IMAGEFINDER_COLLECTION"):
        assert (environment[name] + "/").startswith(f"{volume}/"), name
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_it_serves_the_demo_images_on_all_addresses_and_the_port_it_exposes() -> None:
    environment = FINAL.environment()
    assert FINAL.words("ENTRYPOINT") == ["imagefinder"]
    assert FINAL.words("CMD") == ["serve", "--demo"]
    assert environment["IMAGEFINDER_HOST"] == "0.0.0.0"
    assert environment["IMAGEFINDER_PORT"] == FINAL.last("EXPOSE").value
    assert FINAL.last("STOPSIGNAL").value == "SIGTERM"
    assert environment["PATH"].startswith("/opt/imagefinder/bin:")


def test_its_health_check_is_the_file_that_is_copied() -> None:
    step = FINAL.last("HEALTHCHECK")
    assert FINAL.words("HEALTHCHECK") == ["python", "-I", "/opt/imagefinder/healthcheck.py"]
    assert {name for name, _ in step.flags} == {"interval", "timeout", "start-period", "retries"}


def test_no_secret_stands_in_a_step() -> None:
    named = [
        step
        for stage in STAGES
        for step in stage.steps
        if step.keyword in {"ARG", "ENV", "LABEL"} and SECRET.search(step.value)
    ]
    assert named == []
    mounts = [mount for stage in STAGES for step in stage.steps for mount in step.mounts()]
    assert [mount["type"] for mount in mounts] == ["secret"]


# .dockerignore


def test_every_file_that_is_copied_gets_into_the_build_and_no_other() -> None:
    context = {path.as_posix() for path in build_context(ROOT)}
    copied = {
        name
        for stage in STAGES
        for step in of(stage, "COPY")
        if step.flag("from") is None
        for name in step.value.split()[:-1]
    }
    assert {path for path in context if not path.startswith("src/")} == copied - {"src"}
    assert {f"src/imagefinder/{name}" for name in PACKAGE} <= context


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".git/config",
        ".imagefinder/demo/collection.json",
        ".venv/bin/python",
        "container/prove.sh",
        "keys.txt",
        "requirements/dev.txt",
        "src/imagefinder/.env",
        "src/imagefinder/__pycache__/errors.cpython-313.pyc",
        "tests/test_container.py",
    ],
)
def test_what_a_build_does_not_need_stays_out(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert is_ignored(name, [line for line in lines if line and not line.startswith("#")])


# compose.yaml


def compose(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return loaded


def test_compose_gives_the_container_no_rights() -> None:
    service = compose("compose.yaml")["services"]["imagefinder"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [tmpfs.partition(":")[0] for tmpfs in service["tmpfs"]] == ["/tmp"]
    assert {"mem_limit", "pids_limit", "stop_grace_period"} <= set(service)
    assert not {"privileged", "cap_add", "user", "network_mode", "healthcheck"} & set(service)


def test_compose_publishes_the_port_to_this_machine_alone() -> None:
    service = compose("compose.yaml")["services"]["imagefinder"]
    exposed = FINAL.last("EXPOSE").value
    assert service["ports"] == [f"127.0.0.1:${{PORT:-8000}}:{exposed}"]


def test_compose_keeps_the_collections_in_a_volume() -> None:
    loaded = compose("compose.yaml")
    assert loaded["services"]["imagefinder"]["volumes"] == [
        f"collections:{FINAL.last('VOLUME').value}"
    ]
    assert set(loaded["volumes"]) == {"collections"}


def test_the_keys_come_from_a_secret_file() -> None:
    loaded = compose("container/compose.keys.yaml")
    (name,) = loaded["secrets"]
    service = loaded["services"]["imagefinder"]
    assert service["secrets"] == [name]
    assert service["environment"] == {"IMAGEFINDER_KEYS_FILE": f"/run/secrets/{name}"}


# the health check


@pytest.fixture
def port() -> Iterator[int]:
    """Of a service that says whether it is ready, and knows nothing else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


class Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def checked(port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(ROOT / "container" / "healthcheck.py")]
    # The proxy is nobody: asking it would fail.
    ours = {"IMAGEFINDER_PORT": str(port), "http_proxy": "http://127.0.0.1:9", **variables}
    return subprocess.run(
        command, env=os.environ | ours, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_the_health_check_passes_when_the_service_is_ready(port: int, host: str) -> None:
    assert checked(port, IMAGEFINDER_HOST=host).returncode == 0


def test_the_health_check_tells_that_the_service_is_not_ready(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ready, "status", 503)
    result = checked(port)
    assert (result.returncode, result.stderr) == (1, "not ready: 503 Service Unavailable\n")


def test_the_health_check_tells_that_nobody_answers() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        result = checked(nobody.getsockname()[1])
    assert result.returncode == 1
    assert result.stderr.startswith("does not answer: ")


# how the files are read


def test_a_step_is_read_with_its_flags_and_without_comments() -> None:
    text = (
        '# one\nRUN --mount=type=secret,id=a,target=/b \\\n    # two\n    c && \\\n    d "e  f"\n'
    )
    (step,) = read_steps(text)
    assert step.mounts() == [{"type": "secret", "id": "a", "target": "/b"}]
    assert step.value == 'c && d "e  f"'


def test_a_step_that_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="ONBUILD"):
        list(read_steps("ONBUILD RUN true"))


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("a", True),
        ("src", False),
        ("src/a/b.py", False),
        ("src/a/__pycache__/b.pyc", True),
        ("source/a", True),
        ("lib/only.txt", False),
        ("lib/other.txt", True),
    ],
)
def test_the_last_rule_decides(name: str, ignored: bool) -> None:
    assert is_ignored(name, ["*", "!src", "!lib/only.txt", "**/__pycache__"]) is ignored
