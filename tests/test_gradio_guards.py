"""Who may do what in the Gradio app below /gradio, and what nobody may."""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

pytest.importorskip("gradio", reason="the app needs its extra")

from imagefinder.serve.gradio.gate import leads_somewhere
from imagefinder.serve.gradio.mount import GradioMount
from imagefinder.serve.options import ServeOptions
from tests.gradio_requests import API, captions, file, refused, search, upload
from tests.guarded import KEYED, READ, WRITE
from tests.image_server import encoded
from tests.pictures import picture
from tests.serving import Served, served

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as Gradio is imported

PNG = encoded(picture(1), "PNG")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ServeOptions(read_only=True, max_body_bytes=300_000)
    with served(tmp_path_factory.mktemp("service"), options) as service:
        yield service


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Its client has no key."""
    with served(tmp_path_factory.mktemp("keyed"), KEYED) as service:
        yield service


@pytest.fixture
def visitor(keyed: Served) -> Iterator[httpx.Client]:
    """Somebody without a key, and without cookies."""
    with httpx.Client(base_url=keyed.url, trust_env=False, timeout=30) as client:
        yield client


def log_in(client: httpx.Client, key: str) -> httpx.Response:
    return client.post("/gradio/login", data={"username": "ada", "password": key})


# routes

OPEN = {"GET /", "POST /login", "GET /logout", "GET /theme.css", "GET /assets/a", "GET /static/a"}
WANTED = OPEN | {
    "POST /gradio_api/upload",
    "GET /gradio_api/upload_progress",
    "GET /gradio_api/file=a",
}


def test_of_gradios_routes_only_those_of_the_page_lead_anywhere(service: Served) -> None:
    """A new Gradio may have new ones."""
    service.client.get("/gradio/").raise_for_status()
    apps = (getattr(route, "app", None) for route in service.app.routes)
    [mount] = [app for app in apps if isinstance(app, GradioMount)]
    assert mount._server is not None
    paths = mount._server._app.openapi()["paths"]
    all_asked = {
        f"{method.upper()} {re.sub(r'{[^}]*}', 'a', path)}"
        for path, operations in paths.items()
        for method in operations
        if method != "head"
    }
    assert len(all_asked) > 60
    assert {asked for asked in all_asked if leads_somewhere(asked)} == WANTED
    for asked in all_asked - WANTED:
        method, path = asked.split()
        assert service.client.request(method, f"/gradio{path}").status_code == 404, asked


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/proxy=https://example.com/",
        f"{API}/queue/join",
        f"{API}/queue/data?session_hash=a",
        f"{API}/call/search",
        f"{API}/call/v2/search",
        f"{API}/api/search",
        f"{API}/component_server",
        f"{API}/heartbeat/a",
        f"{API}/info",
        f"{API}/runs",
        f"{API}//upload",
        f"{API}/run/search/",
        f"{API}/run/other",
        "/gradio/config",
        "/gradio//",
        "/gradio/monitoring",
        "/gradiox",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_there_is_nothing_else(service: Served, method: str, path: str) -> None:
    answer = service.client.request(method, path)
    assert answer.status_code in {404, 403}
    assert answer.headers["content-type"] == "application/problem+json"


# files and addresses


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Gradio would fetch from the web."""
    asked: list[str] = []

    async def fetch(url: str, *_: object, **__: object) -> str:
        asked.append(url)
        return url

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_get", fetch)
    return asked


def uploads_of(client: httpx.Client) -> Path:
    return Path(upload(client, PNG)).parents[1]


@pytest.mark.parametrize(
    "path",
    ["http://127.0.0.1:22/", "https://example.com/a.png", "HTTP://example.com/a.png", "ftp://a/b"],
)
def test_no_address_is_fetched(service: Served, fetched: list[str], path: str) -> None:
    for value in (file(path), file(path, url=path), {"path": path}, [file(path)], path):
        assert refused(search(service.client, value))
        assert refused(search(service.client, upload(service.client, PNG), k=value))
        assert refused(search(service.client, upload(service.client, PNG), model=value))
    assert fetched == []


def test_the_address_beside_an_upload_is_not_looked_at(service: Served, fetched: list[str]) -> None:
    mine = upload(service.client, PNG)
    for url in ("http://127.0.0.1:22/", "data:image/png;base64,AAAA"):
        assert captions(search(service.client, file(mine, url=url, is_stream=False)))
    assert fetched == []


def test_no_file_of_the_machine_is_read(service: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    uploads = uploads_of(service.client)
    before = sorted(uploads.rglob("*"))
    inside = uploads / "link.png"
    inside.symlink_to(secret)
    paths = [
        secret,
        f"{uploads}/../{secret}",
        f"{uploads}/{'../' * 9}{secret}",
        inside,
        "",
        "/",
        "\0",
    ]
    paths += ["/etc/hostname", uploads, uploads.parent, service.pictures / "bird.png"]
    for path in map(str, paths):
        for value in (file(path), file(path, is_stream=True), file(path, orig_name="a.svg")):
            assert refused(search(service.client, value)), path
        for sent in (quote(path), quote(path, safe="")):
            answer = service.client.get(f"{API}/file={sent}")
            assert answer.status_code in {400, 403, 404}, path
    inside.unlink()
    assert sorted(uploads.rglob("*")) == before
    assert service.client.get(f"{API}/file=http://127.0.0.1:22/").status_code == 404


def test_an_upload_cannot_say_where_it_goes(service: Served) -> None:
    uploads = uploads_of(service.client)
    for name in ("../../../x.png", "/etc/x.png", "..\\x.png", "a/b.png", "..", "a\0b.png"):
        answer = service.client.post(f"{API}/upload", files={"files": (name, b"123")})
        if answer.status_code == 200:
            [path] = answer.json()
            assert Path(path).resolve().is_relative_to(uploads)


def test_what_is_uploaded_is_never_a_page(service: Served) -> None:
    page = upload(service.client, b"<script>alert(1)</script>", "a.html")
    for path in (page, upload(service.client, b"<svg onload='alert(1)'/>", "a.svg")):
        answer = service.client.get(f"{API}/file={path}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-disposition"].startswith("attachment")


# bounds


def test_bodies_are_bounded(service: Served) -> None:
    large = service.client.post(f"{API}/upload", files={"files": ("a.png", b"x" * 301_000)})
    assert large.status_code == 413
    long = service.client.post(f"{API}/run/search", json={"data": ["x" * 150_000]})
    assert long.status_code == 413


def test_other_sites_are_shut_out(service: Served) -> None:
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert service.client.post(f"{API}/upload", headers=evil).status_code == 403
    page = service.client.get("/gradio/", headers={**evil, "Host": "photos.example"})
    assert not [name for name in page.headers if name.startswith("access-control")]
    assert page.headers["x-frame-options"] == "DENY"


def test_requests_are_counted_but_for_the_files_of_the_page(tmp_path: Path) -> None:
    with served(tmp_path, ServeOptions(rate_limit="3/minute", keys=(READ,))) as service:
        page = service.client.get("/gradio/").text
        [script] = re.findall(r'src="\./(assets/[^"]+)"', page)
        for _ in range(5):
            assert service.client.get(f"/gradio/{script}").status_code == 200
        tries = [log_in(service.client, "a-wrong-key").status_code for _ in range(3)]
        assert tries == [400, 400, 429]
        assert log_in(service.client, READ.secret).status_code == 429


# keys


def test_without_a_key_there_is_a_page_to_log_in_and_nothing_else(
    keyed: Served, visitor: httpx.Client
) -> None:
    page = visitor.get("/gradio/")
    assert page.status_code == 200
    assert '"auth_required":true' in page.text
    for secret in ("fake", "efficientnet", keyed.collection.name, "search"):
        assert secret not in page.text
    [script] = re.findall(r'src="\./(assets/[^"]+)"', page.text)
    assert visitor.get(f"/gradio/{script}").status_code == 200
    assert visitor.post(f"{API}/upload", files={"files": ("a.png", PNG)}).status_code == 401
    assert search(visitor, None).status_code == 401
    assert visitor.post(f"{API}/run/predict", json={"data": [], "fn_index": 0}).status_code == 401
    assert visitor.get(f"{API}/upload_progress?upload_id=a").status_code == 401
    assert visitor.get(f"{API}/file=/etc/hostname").status_code == 401


@pytest.mark.parametrize("key", [READ, WRITE])
def test_a_key_is_the_password(keyed: Served, visitor: httpx.Client, key) -> None:
    answer = log_in(visitor, key.secret)
    assert answer.status_code == 200
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)
    path = upload(visitor, PNG)
    assert captions(search(visitor, path))
    assert visitor.get(f"{API}/file={path}").content == PNG
    assert '"auth_required":true' not in visitor.get("/gradio/").text
    assert visitor.get("/v1/status").status_code == 401  # the log-in is for this app alone
    stolen = dict(visitor.cookies)
    visitor.get("/gradio/logout")
    assert search(visitor, path).status_code == 401
    visitor.cookies.update(stolen)
    assert search(visitor, path).status_code == 401


@pytest.mark.parametrize("key", ["", "wrong", READ.name, READ.secret[:-1], READ.secret.upper()])
def test_what_is_no_key_is_no_password(visitor: httpx.Client, key: str) -> None:
    assert log_in(visitor, key).status_code in {400, 422}
    assert search(visitor, None).status_code == 401
    assert "set-cookie" not in visitor.get("/gradio/").headers


def test_a_cookie_has_to_be_one_that_was_given_out(visitor: httpx.Client) -> None:
    log_in(visitor, READ.secret)
    names = list(visitor.cookies)
    for value in ("", "x", "None", "ada", READ.secret):
        cookie = "; ".join(f"{name}={value}" for name in names)
        with httpx.Client(base_url=visitor.base_url, trust_env=False) as other:
            answer = other.post(f"{API}/run/search", headers={"Cookie": cookie}, json={"data": []})
            assert answer.status_code == 401


def test_programs_send_their_key_in_a_header(visitor: httpx.Client) -> None:
    for name, value in (("X-API-Key", READ.secret), ("Authorization", f"Bearer {READ.secret}")):
        visitor.headers = httpx.Headers({name: value})
        assert captions(search(visitor, upload(visitor, PNG)))
        assert '"auth_required":true' not in visitor.get("/gradio/").text
    visitor.headers = httpx.Headers({"X-API-Key": "wrong"})
    assert visitor.get("/gradio/").status_code == 401


# the page


def test_the_page_names_no_other_host_and_its_policy_fits(service: Served) -> None:
    page = service.client.get("/gradio/", headers={"X-Forwarded-Host": "evil.example"})
    html = page.text
    assert "evil.example" not in html
    head = re.sub(r"<script>window\.gradio_config.*?</script>", "", html, flags=re.DOTALL)
    assert re.findall(r"https?://[^\s\"'<>]+", head) == []
    assert 'rel="manifest"' not in html
    assert service.client.get("/page/icon.svg").status_code == 200
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    inline = [
        code
        for tag, code in re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
        if "src=" not in tag
    ]
    hashes = {f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'" for code in inline}
    assert len(inline) == 5
    assert set(re.findall(r"'sha256-[^']+'", policy)) == hashes
    assert 'window.gradio_config.root = new URL("."' in html
    assert 'gradio_api_info = {"named_endpoints": {}, "unnamed_endpoints": {}};' in html


def test_without_gradio_there_is_word_of_what_to_install(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.serve.gradio.mount.find_spec", lambda _: None)
    for path in ("/gradio", "/gradio/", f"{API}/info"):
        answer = service.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["detail"] == "The Gradio app needs: pip install 'imagefinder[gradio]'"
