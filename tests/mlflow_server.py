"""A real MLflow server on this machine, and one that serves a registered model."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

__all__ = ["mlflow_server", "serving_model"]

STARTED_WITHIN = 120  # seconds; it takes 10 on a quiet machine, and makes its database meanwhile
SILENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
ALONE = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # else it starts eight processes more


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a database and artifacts of its own."""
    home = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [
        *("server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home / 'runs.db'}"),
        *("--artifacts-destination", str(home / "artifacts")),
    ]
    with mlflow_program(command, home / "server.log", f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def serving_model(uri: str, server: str, log: Path) -> Iterator[str]:
    """The address that `mlflow models serve` answers at."""
    port = free_port()
    command = ["models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    address = f"http://127.0.0.1:{port}"
    with mlflow_program(command, log, f"{address}/ping", MLFLOW_TRACKING_URI=server):
        yield address


@contextmanager
def mlflow_program(command: list[str], log: Path, probe: str, **environment: str) -> Iterator[None]:
    """Runs `mlflow`, from when it answers; ended with all that it has started."""
    programs = Path(sys.executable).parent  # it looks for uvicorn on the path
    path = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command],
            env={**os.environ, **SILENT, **ALONE, "PATH": path, **environment},
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which can be ended as a whole
        )
    try:
        wait_for(probe, process, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def wait_for(probe: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it answers."""
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(probe, timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    pytest.fail(f"mlflow does not answer at {probe}:\n{log.read_text(errors='replace')[-4000:]}")


def free_port() -> int:
    """One that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
