"""The page's files, as a browser asks for them."""

import mimetypes
import re
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from imagefinder.serve import page
from imagefinder.serve.options import Key, ServeOptions
from imagefinder.serve.page import STATIC
from tests.asgi import ask
from tests.serving import Served, served

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FILES = sorted(file.name for file in STATIC.iterdir())
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "media-src": "'self' blob:",
    "base-uri": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """It wants a key, and the client has none."""
    options = ServeOptions(keys=(Key("reader", "the-key-that-may-read"),))
    with served(tmp_path_factory.mktemp("service"), options, names=["one.png"]) as service:
        yield service


class Elements(HTMLParser):
    """`all` has the name and the attributes of each element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))


def bases(text: str) -> list[str | None]:
    return [attributes["href"] for tag, attributes in Elements(text).all if tag == "base"]


def test_the_page_has_a_strict_policy(service: Served) -> None:
    answer = service.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    parts = answer.headers["content-security-policy"].split(";")
    assert dict(part.strip().split(" ", 1) for part in parts) == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert bases(answer.text) == ["/"]


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    elements = Elements((STATIC / "index.html").read_text(encoding="utf-8")).all
    for tag, attributes in elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            assert not re.match("(https?:)?//", attributes.get(name) or "")


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_the_right_type_and_needs_no_key(service: Served, name: str) -> None:
    answer = service.client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == TYPES[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    again = {"If-None-Match": answer.headers["etag"]}
    assert service.client.get(f"/page/{name}", headers=again).status_code == 304
    head = service.client.head(f"/page/{name}")
    assert head.status_code == 200
    assert not head.content


def test_what_the_files_load_is_there() -> None:
    loaded = {
        attributes[name]
        for _, attributes in Elements((STATIC / "index.html").read_text(encoding="utf-8")).all
        for name in ("src", "href")
        if (attributes.get(name) or "").startswith("page/")
    }
    assert {str(path).removeprefix("page/") for path in loaded} <= set(FILES)
    for name in FILES:
        if name.endswith(".js"):
            text = (STATIC / name).read_text(encoding="utf-8")
            assert set(re.findall(r'from "\./([^"]+)"|import "\./([^"]+)"', text)) <= {
                pair for file in FILES for pair in ((file, ""), ("", file))
            }


@pytest.mark.parametrize(
    "path",
    [
        "/page/../__init__.py",
        "/page/..%2f__init__.py",
        "/page/%2e%2e/__init__.py",
        "/page/%2e%2e%2f__init__.py",
        "/page/..%5c__init__.py",
        "/page/....//__init__.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/no-such-file.js",
        "/page/main.js%00.css",
        "/page/",
    ],
)
def test_there_is_nothing_else(service: Served, path: str) -> None:
    """Sent as it is: clients put such paths in order, and attackers do not."""
    connection = HTTPConnection(urlsplit(service.url).netloc)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 404
        assert b"import" not in answer.read()


def test_the_rest_needs_the_key(service: Served) -> None:
    assert service.client.get("/v1/status").status_code == 401


@pytest.mark.parametrize(
    ("root", "base"),
    [
        ("", "/"),
        ("/photos", "/photos/"),
        ("/a/b", "/a/b/"),
        ("/photos/", "/photos/"),
        ("/\"><script>'&amp;", "/\"><script>'&amp;/"),
    ],
)
def test_the_page_is_based_at_the_root_path(root: str, base: str) -> None:
    app = FastAPI()
    page.install(app)
    answer = ask(app, "GET", f"{root.rstrip('/')}/", root_path=root.rstrip("/"))
    assert answer.status == 200
    text = answer.body.decode()
    assert bases(text) == [base]
    assert Elements(text).all[4:] == Elements((STATIC / "index.html").read_text()).all[4:]


def test_links_of_the_page_are_relative_to_its_base() -> None:
    for tag, attributes in Elements((STATIC / "index.html").read_text(encoding="utf-8")).all:
        for name in ("src", "href", "action"):
            assert tag == "base" or not (attributes.get(name) or "").startswith("/")


def test_the_machine_has_no_say_in_what_a_script_is() -> None:
    """On Windows the registry may call it text, and browsers would not load it."""
    mimetypes.add_type("text/plain", ".js")
    app = FastAPI()
    page.install(app)
    assert ask(app, "GET", "/page/main.js").header("content-type") == TYPES[".js"]
