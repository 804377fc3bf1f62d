"""The locks under requirements/ hold what pyproject.toml asks for. `make lock` renews them."""

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("base", "run", "build", "dev", "cluster")
EXTRAS = {
    "run": ("map",),  # `make run` installs it, so that the page has its better map
    "cluster": ("milvus", "s3"),  # deploy/milvus/Dockerfile does
}
PIN = re.compile(r"(?m)^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?P<rest>(?:.*\\\n)*.*)$")


def _pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package: several where they depend on the Python version."""
    pins: dict[str, set[str]] = {}
    for pin in PIN.finditer(_text(lock)):
        pins.setdefault(pin["name"], set()).add(pin["version"])
    return pins


def _text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")


def _asked_for(lock: str) -> list[Requirement]:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, groups = data["project"], data["dependency-groups"]
    extras = project["optional-dependencies"]
    asked: list[str] = []
    if lock != "build":
        asked += project["dependencies"]
    every = [extra for extra in extras if extra != "torch"]  # torch.txt pins that one
    for extra in every if lock == "dev" else EXTRAS.get(lock, ()):
        asked += extras[extra]
    if lock in groups:
        asked += _group(groups, lock)
    return [Requirement(line) for line in asked if not line.startswith("imagefinder[")]


def _group(groups: dict[str, Any], name: str) -> Iterable[str]:
    for item in groups[name]:
        if isinstance(item, str):
            yield item
        else:
            yield from _group(groups, item["include-group"])


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_every_requirement(lock: str) -> None:
    pins = _pins(lock)
    for requirement in _asked_for(lock):
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement} is not in requirements/{lock}.txt: make lock"
        assert all(version in requirement.specifier for version in versions), (
            requirement,
            versions,
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_nothing_that_was_asked_for_once(lock: str) -> None:
    asked = {canonicalize_name(requirement.name) for requirement in _asked_for(lock)}
    direct = {
        pin["name"]
        for pin in PIN.finditer(_text(lock))
        if "pyproject.toml" in _comment_after(_text(lock), pin.end())
    }
    assert direct == asked


def _comment_after(text: str, place: int) -> str:
    lines = text[place:].lstrip("\n").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("    #"):
            break
        comment.append(line)
    return "\n".join(comment)


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    text = _text(lock)
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    for pin in PIN.finditer(text):
        assert "--hash=sha256:" in pin["rest"], pin["name"]


@pytest.mark.parametrize("lock", ["base", "run", "build", "cluster"])
def test_the_environments_agree_on_versions(lock: str) -> None:
    dev = _pins("dev")
    for name, versions in _pins(lock).items():
        assert dev[name] == versions


def test_the_lock_of_the_browser_tests_has_hashes_and_no_addresses() -> None:
    folder = ROOT / "tests" / "browser"
    asked = json.loads((folder / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    text = (folder / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(text)["packages"]
    assert "://" not in text
    assert packages.pop("")["devDependencies"] == asked
    assert {name.removeprefix("node_modules/") for name in packages} >= set(asked)
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
