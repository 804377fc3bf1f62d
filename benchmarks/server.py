"""`imagefinder serve` in a process of its own, as a benchmark needs it."""

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.data import BENCH

PROGRAM = (sys.executable, "-m", "imagefinder")
LOG = BENCH / "serve.log"
START_SECONDS, STOP_SECONDS = 30.0, 40.0


@dataclass(frozen=True, slots=True)
class Server:
    """A service that is ready; `seconds` is what that took from the start of the process."""

    process: subprocess.Popen[bytes]
    port: int
    seconds: float


class ServerError(Exception):
    """The service did not start, or did not end as it should."""


@contextmanager
def serving(
    collection: Path, *options: str, program: Sequence[str | Path] = PROGRAM, log: Path = LOG
) -> Iterator[Server]:
    """Its log goes to a file: a line for each request is part of the work. Raises ServerError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    port = free_port()
    with log.open("wb") as lines:
        start = perf_counter()
        process = subprocess.Popen(
            [*program, "serve", "-c", collection, "--port", str(port), *options], stderr=lines
        )
        try:
            wait_until_ready(process, port, log)
            yield Server(process, port, perf_counter() - start)
            process.send_signal(signal.SIGTERM)
            if process.wait(STOP_SECONDS) != 0:
                raise ServerError(f"it ended with code {process.returncode}: {tail(log)}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = perf_counter() + START_SECONDS
    while perf_counter() < until:
        if process.poll() is not None:
            raise ServerError(f"it ended with code {process.returncode}: {tail(log)}")
        if status(port, "/readyz") == 200:
            return
        sleep(0.005)
    raise ServerError(f"it was not ready after {START_SECONDS:g} s: {tail(log)}")


def status(port: int, path: str) -> int | None:
    """None where nothing listens yet. It may listen before it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
