"""Every command and code block of the README and the docs does what is written there."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("termios", reason="the docs' commands are for a Unix shell")

import make_cli_reference
import make_http_reference
from imagefinder.stores.milvus.address import parse_address
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.table import drop, names
from tests.doc_buckets import buckets
from tests.doc_page import Page, agree, read_page, run_page
from tests.doc_standins import environment, free_port, make_home, web
from tests.hub_catalog import catalogue_hub

ROOT = Path(__file__).resolve().parents[1]
CARD = ROOT / "src" / "imagefinder" / "models" / "builtin" / "MODEL_CARD.md"  # part of a page
FILES = [ROOT / "README.md", CARD, *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in FILES if path.exists()}
NO_FILES: Mapping[str, str] = {}
REQUIRE_ALL = os.environ.get("IMAGEFINDER_REQUIRE_ALL") == "1"  # as in CI
NOT_RUN = {  # how many blocks of a page are marked so
    "README.md": 2,  # `make run` and `make test`; `pip install`
    "docs/how-to/object-stores.md": 1,  # the address of another server
    "docs/how-to/index-on-a-cluster.md": 4,  # several machines, and Ray
    "docs/how-to/cluster.md": 5,  # `pip install`; a bucket, another machine, containers, Kubernetes
    "docs/how-to/container.md": 11,  # a container engine
    "docs/how-to/models.md": 1,  # PyTorch and the real hub
    "docs/how-to/evaluate.md": 1,  # `pip install`
    "docs/how-to/dataset.md": 3,  # `pip install`; a shell of one's own
    "docs/how-to/adapt.md": 3,  # labels of one's own
    "docs/how-to/fine-tune.md": 2,  # labels of one's own, and a model
    "docs/how-to/track.md": 4,  # an MLflow server, and labels of one's own
    "docs/how-to/web-page.md": 1,  # `pip install`
    "docs/reference/cli.md": 7,  # folders that have moved; labels; servers, Milvus, MLflow; PyTorch
    "docs/reference/http-api.md": 1,  # an address of nowhere
}


def text(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[list[str]]]]:
    """The problems of each page that is asked for; as many run at a time as there are cores."""
    tests = (item for item in request.session.items if item.name.startswith("test_every_block"))
    pages = {
        name: read_page(text(name)) for name in (item.callspec.params["name"] for item in tests)
    }

    def problems(page: Page, home: Path) -> list[str]:
        make_home(home)
        known = environment(home, proxy, free_port(), hub.url) | stores
        return run_page(page, home, known)

    with (
        web() as proxy,
        catalogue_hub() as hub,
        buckets() as stores,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        longest_first = sorted(pages, key=lambda name: -len(pages[name].steps))
        yield {
            name: pool.submit(problems, pages[name], tmp_path_factory.mktemp("reader") / "home")
            for name in longest_first
        }


@pytest.mark.parametrize("name", PAGES)
def test_every_block_runs(name: str, runs: dict[str, Future[list[str]]]) -> None:
    if read_page(text(name)).needs_curl and not shutil.which("curl"):
        missing = "the page runs where there is curl"
        pytest.fail(missing) if REQUIRE_ALL else pytest.skip(missing)
    problems = runs[name].result()
    assert not problems, f"{name}\n" + "\n\n".join(problems)


@pytest.mark.milvus
@pytest.mark.parametrize("name", [name for name in PAGES if read_page(text(name)).needs])
def test_every_block_runs_that_needs_a_milvus_server(name: str, milvus_address: str) -> None:
    """With all others of its page."""
    page = read_page(text(name), here=["Milvus"])
    with closing(Connection(parse_address(f"milvus://{milvus_address}/any"))) as connection:
        for left in names(connection):  # of another page
            drop(connection, left)
    # not pytest's folder: what is below it has names that are too long for Ray's sockets
    with TemporaryDirectory() as folder, web() as proxy, catalogue_hub() as hub:
        home = Path(folder) / "home"
        make_home(home)
        reader = {**environment(home, proxy, free_port(), hub.url), "MILVUS": milvus_address}
        problems = run_page(page, home, reader)
    assert not problems, f"{name}\n" + "\n\n".join(problems)


def test_the_blocks_that_do_not_run_are_counted() -> None:
    marked = {name: len(read_page(text(name)).not_run) for name in PAGES}
    assert {name: count for name, count in marked.items() if count} == NOT_RUN


def test_the_start_section_has_two_commands() -> None:
    section = text("README.md").partition("## Start")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert blocks == ["make run\nmake test\n"]
    assert section.count("```") == 2


def test_the_command_line_reference_is_that_of_the_command_line() -> None:
    assert make_cli_reference.reference() == text("docs/reference/cli.md"), (
        "make it anew: python tools/make_cli_reference.py"
    )


def test_the_http_reference_is_that_of_the_service() -> None:
    assert make_http_reference.reference() == text("docs/reference/http-api.md"), (
        "make it anew: python tools/make_http_reference.py"
    )


def test_every_variable_of_the_environment_is_explained() -> None:
    group = make_cli_reference.command_line()
    commands = make_cli_reference.with_subcommands(group).values()
    known = {str(p.envvar) for command in commands for p in command.params if p.envvar}
    assert len(known) > 10
    assert [name for name in known if f"`{name}`" not in text("docs/reference/exit-codes.md")] == []


def test_the_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", text("README.md"))
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    fetched = r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    linked = (
        r"""<link\b[^>]*\brel=["']?(?:stylesheet|preconnect|icon|preload)[^>]*https?://[^>]*>"""
    )
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    styles = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.css")]
    assert len(pages) > 20
    assert [found for page in pages for found in re.findall(f"{fetched}|{linked}", page)] == []
    assert [found for style in styles for found in re.findall(r"url\(https?:[^)]*", style)] == []


# the runner itself


@pytest.mark.parametrize(
    ("expected", "shown", "same"),
    [
        ("3 added", "\n3 added\n", True),
        ("3 added", "4 added", False),
        ("3 added", "3 added\nwarning", False),
        ("3 added\n...", "3 added\nwarning", True),
        ("id  uri\na   b", "id     uri  \na      b    ", True),
        ("0.779 a", "0.778 a", True),
        ("0.779 a", "0.770 a", False),
        ("-0.047 a (b)", "-0.047 a (b)", True),
        ("0.779 a\n... c", "0.779 a\n0.123 b c", True),
    ],
)
def test_outputs_agree(expected: str, shown: str, same: bool) -> None:
    assert agree(expected, shown) is same


def test_a_page_that_is_wrong_is_told(tmp_path: Path) -> None:
    problems = shown_by(
        "```console\n$ echo one\ntwo\n$ false\n```\n\n"
        "<!-- exits with: 3 -->\n```sh\nexit 3\n```\n\n"
        "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n",
        tmp_path,
    )
    assert [problem.partition(":")[0] for problem in problems] == ["line 2", "line 4", "line 12"]
    assert "- two\n+ one" in problems[0]
    assert "exit code 1, not 0" in problems[1]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_a_server_stays_until_the_page_ends(tmp_path: Path) -> None:
    problems = shown_by(
        "<!-- stays: http://127.0.0.1:8000/word.txt -->\n"
        "```console\n$ echo ready > word.txt\n"
        "$ python -u -m http.server -b 127.0.0.1 $IMAGEFINDER_PORT\n"
        "Serving HTTP on 127.0.0.1 port ...\n```\n\n"
        "```console\n$ curl http://127.0.0.1:8000/word.txt http://localhost:8000/word.txt\n"
        "ready\nready\n$ echo $no_proxy http://127.0.0.1:$IMAGEFINDER_PORT\n"
        "127.0.0.1,localhost http://127.0.0.1:8000\n$ jobs -p > pid\n$ exit 7\n```\n",
        tmp_path,
    )
    assert [problem.partition("\n")[0] for problem in problems] == ["line 15: $ exit 7"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "home" / "pid").read_text()), 0)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_another_server_takes_the_place_of_one_that_stays(tmp_path: Path) -> None:
    server = "python -u -m http.server -b 127.0.0.1 $IMAGEFINDER_PORT"
    fence = f"<!-- stays: http://127.0.0.1:8000/ -->\n```console\n$ {server}"
    problems = shown_by(
        f"{fence} -d one\n```\n\n```console\n$ curl http://127.0.0.1:8000/name\none\n```\n\n"
        f"{fence} -d two\nelse\n```\n\n```console\n$ curl http://127.0.0.1:8000/name\ntwo\n```\n",
        tmp_path,
        {"one/name": "one", "two/name": "two"},
    )
    assert [problem.partition(":")[0] for problem in problems] == ["line 13"]
    assert "- else\n+ Serving HTTP on" in problems[0]


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_a_server_that_ends_is_told_at_once(tmp_path: Path) -> None:
    page = "<!-- stays: http://127.0.0.1:8000/ -->\n```console\n$ echo no\n```\n"
    [problem] = shown_by(page, tmp_path)
    assert problem == "line 3: $ echo no\nexit code 1, not 0\nno\n"


def test_only_a_console_command_stays() -> None:
    with pytest.raises(ValueError, match="only a command of a console session stays"):
        read_page("<!-- stays: http://127.0.0.1:8000/ -->\n```sh\nserve\n```\n")


def test_free_ports_are_free_and_differ() -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", first + 1)):
        assert free_port() > first + 1


def shown_by(markdown: str, folder: Path, files: Mapping[str, str] = NO_FILES) -> list[str]:
    """The problems of a page that runs in a home with these files only."""
    home = folder / "home"
    home.mkdir()
    for name, content in files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(content + "\n")
    return run_page(read_page(markdown), home, environment(home, "", free_port()))


@pytest.mark.parametrize("block", ["```\nmake\n```", "```bash\nmake\n```", "    make\n"])
def test_a_block_must_say_what_it_is(block: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        read_page(f"# Page\n\n{block}\n")
