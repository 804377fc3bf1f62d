"""Every command and code block of the README and the docs does what is written there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("termios", reason="the docs' commands are for a Unix shell")

from tests.doc_page import agree, read_page, run_page
from tests.doc_standins import environment, make_home, web

ROOT = Path(__file__).resolve().parents[1]
CARD = "src/imagefinder/models/builtin/MODEL_CARD.md"  # a page of the docs includes it
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / CARD]
PAGES = {str(path.relative_to(ROOT)): path for path in FILES if path.exists()}
NOT_RUN = 0


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[str]]]]:
    """The problems of each page that is asked for; as many run at a time as there are cores."""
    names = {item.callspec.params["name"] for item in request.session.items if is_of_a_page(item)}
    with web() as proxy, ThreadPoolExecutor(os.cpu_count()) as pool:

        def problems(name: str) -> list[str]:
            home = tmp_path_factory.mktemp("reader") / "home"
            make_home(home)
            page = read_page(PAGES[name].read_text(encoding="utf-8"))
            return run_page(page, home, environment(home, proxy))

        yield {name: pool.submit(problems, name) for name in sorted(names)}


def is_of_a_page(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == "test_every_block_runs"


@pytest.mark.parametrize("name", PAGES)
def test_every_block_runs(name: str, runs: dict[str, Future[list[str]]]) -> None:
    problems = runs[name].result()
    assert not problems, f"{name}\n" + "\n\n".join(problems)
