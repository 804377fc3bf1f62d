"""`make stop`: end the service of a collection, and a container of that name."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE = 40.0  # seconds; the service gives its last requests 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--container", required=True)
    parser.add_argument("--engine", default="docker")
    arguments = parser.parse_args()
    stopped = [stop_process(arguments.collection)]
    if shutil.which(arguments.engine):
        stopped.append(stop_container(arguments.engine, arguments.container))
    if not any(stopped):
        print("nothing to stop: no service runs here")


def stop_process(collection: Path) -> bool:
    """SIGTERM to the service that holds the collection, and wait until it has let go."""
    try:
        holder = json.loads((collection / "lock.json").read_text())
    except (OSError, ValueError):
        return False
    lock = FileLock(collection / "lock")
    if is_free(lock) or not holder.get("address"):
        return False  # a service that was killed leaves its name, and its number is another's now
    os.kill(holder["pid"], signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while not is_free(lock):
        if time.monotonic() > end:
            sys.exit(f"process {holder['pid']} does not end; kill -9 {holder['pid']} loses nothing")
        time.sleep(0.05)
    print(f"stopped the service at {holder['address']}")
    return True


def is_free(lock: FileLock) -> bool:
    """Whether no process holds it."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def stop_container(engine: str, name: str) -> bool:
    """Whether there was one."""
    done = subprocess.run([engine, "stop", name], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        print(f"stopped the container {name}")
    return done.returncode == 0


if __name__ == "__main__":
    main()
