"""Environments apart from the project's: a user's, and one for what we compare with."""

import hashlib
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from benchmarks.data import BENCH
from benchmarks.machine import ROOT

LOCK = ROOT / "requirements" / "base.txt"
PEERS = ("fastembed==0.9.1", "simplejpeg==1.9.0")
SHARED = ("numpy", "onnxruntime", "pillow")  # in the versions that the product runs with


def base() -> Path:
    """What a user gets: a new environment with the locked base install and the project's wheel."""
    environment = made("base", ["--require-hashes", "-r", str(LOCK)], LOCK.read_text())
    wheels = environment / "wheels"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    pip(environment, ["--no-deps", "--force-reinstall", *map(str, wheels.glob("*.whl"))])
    return environment


def peers() -> Path:
    """The environment of `peers/*.py`."""
    packages = [*PEERS, *(f"{name}=={version(name)}" for name in SHARED)]
    return made("peers", packages, " ".join(packages))


def made(name: str, packages: list[str], facts: str) -> Path:
    """An environment that holds the packages; made anew when `facts` change."""
    environment, stamp = BENCH / name, hashlib.sha256(facts.encode()).hexdigest()
    told = environment / "stamp"
    if not told.exists() or told.read_text() != stamp:
        venv.create(environment, clear=True, with_pip=True)
        pip(environment, packages)
        told.write_text(stamp)
    return environment


def pip(environment: Path, arguments: list[str]) -> None:
    command = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*command, "install", "-qq", *arguments], check=True)
