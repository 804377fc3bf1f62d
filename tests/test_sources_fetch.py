"""Fetching over HTTP: a real server with faults, and the words that each fault gets."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from imagefinder.errors import FetchError
from imagefinder.sources import Fetcher
from imagefinder.sources.address import local_path, redact, scheme
from tests.image_server import ImageServer, Reply, jpeg


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer().running() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagefinder.sources.web.FIRST_WAIT", 0.001)


def reason(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(FetchError) as caught:
        fetcher.read(url)
    return str(caught.value)


def test_a_picture_comes_whole(server: ImageServer) -> None:
    server.plan("a.jpg", Reply(body=b"x" * 300_000))
    assert Fetcher().read(server.url("a.jpg")) == b"x" * 300_000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204, 304])
def test_a_refusal_is_final(server: ImageServer, status: int) -> None:
    server.plan("a.jpg", Reply(status, b""))
    assert reason(Fetcher(), server.url("a.jpg")) == f"HTTP {status}"
    assert server.requests.total() == 1


@pytest.mark.parametrize(
    "fault",
    [Reply(500), Reply(503), Reply(429), Reply(cut=10), Reply(reset=True)],
    ids=["500", "503", "429", "cut", "reset"],
)
def test_a_passing_fault_is_tried_again(server: ImageServer, fault: Reply) -> None:
    server.plan("a.jpg", fault, fault, Reply(body=b"data"))
    assert Fetcher().read(server.url("a.jpg")) == b"data"
    assert server.requests.total() == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Reply(500), "HTTP 500 (3 attempts)"),
        (Reply(cut=10), "connection closed before the end (3 attempts)"),
        (Reply(reset=True), "connection closed before the end (3 attempts)"),
        (Reply(drip=0.05), "timed out after 1 s (3 attempts)"),
    ],
    ids=["500", "cut", "reset", "drip"],
)
def test_a_lasting_fault_is_given_up(server: ImageServer, fault: Reply, words: str) -> None:
    server.plan("a.jpg", fault)
    assert reason(Fetcher(retries=2, timeout=1), server.url("a.jpg")) == words
    assert server.requests.total() == 3


def test_a_server_that_says_nothing_times_out(server: ImageServer) -> None:
    server.before.append(threading.Event())
    words = reason(Fetcher(retries=0, timeout=0.2), server.url("a.jpg"))
    assert words == "timed out after 0.2 s"


def test_slow_but_steady_is_no_timeout(
    server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.sources.web.MIN_RATE", 50)
    server.plan("a.jpg", Reply(body=b"x" * 40, drip=0.03))
    assert Fetcher(retries=0, timeout=1).read(server.url("a.jpg")) == b"x" * 40


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = reason(Fetcher(retries=1), f"http://127.0.0.1:{port}/a.jpg")
    assert words == "connection refused (2 attempts)"


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert reason(Fetcher(), "http://no-such-host.example.com/a.jpg") == "host not found"


def test_what_speaks_no_tls(server: ImageServer) -> None:
    words = reason(Fetcher(retries=0), server.url("a.jpg").replace("http:", "https:"))
    assert words == "TLS failed"


def test_the_server_is_asked_again_when_it_said(server: ImageServer) -> None:
    server.plan("a.jpg", Reply(429, headers={"Retry-After": "1"}), Reply(body=b"data"))
    started = time.monotonic()
    assert Fetcher().read(server.url("a.jpg")) == b"data"
    assert 0.9 < time.monotonic() - started < 5
    first, second = server.seen["a.jpg"]
    assert second - first > 0.9


def test_a_pause_that_one_image_was_told_holds_for_its_host(server: ImageServer) -> None:
    server.plan("a.jpg", Reply(429, headers={"Retry-After": "1"}))
    fetcher = Fetcher(retries=0)
    assert reason(fetcher, server.url("a.jpg")) == "HTTP 429"
    fetcher.read(server.url("b.jpg"))
    assert server.seen["b.jpg"][0] - server.seen["a.jpg"][0] > 0.9


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wait_that_is_too_long_is_not_waited(server: ImageServer, form: str) -> None:
    then = datetime.now(UTC) + timedelta(hours=1)
    header = "3600" if form == "seconds" else format_datetime(then, usegmt=True)
    server.plan("a.jpg", Reply(503, headers={"Retry-After": header}))
    words = reason(Fetcher(), server.url("a.jpg"))
    assert words.startswith("HTTP 503, the server asks to wait 3")
    assert server.requests.total() == 1


def test_redirects_are_followed_a_few_times(server: ImageServer) -> None:
    server.plan("a", Reply(302, headers={"Location": "/b"}))
    server.plan("b", Reply(301, headers={"Location": server.url("c")}))
    server.plan("c", Reply(body=b"data"))
    assert Fetcher().read(server.url("a")) == b"data"
    server.plan("loop", Reply(302, headers={"Location": "/loop"}))
    assert reason(Fetcher(), server.url("loop")) == "more than 5 redirects"
    assert server.requests["127.0.0.1/loop"] == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("file:///etc/passwd", "redirected to file://, which is not followed"),
        ("ftp://h/a.jpg", "redirected to ftp://, which is not followed"),
    ],
)
def test_redirects_stay_on_the_web(server: ImageServer, location: str, words: str) -> None:
    server.plan("a", Reply(302, headers={"Location": location}))
    assert reason(Fetcher(), server.url("a")) == words


def test_a_body_above_the_limit_is_refused_by_its_announced_length(server: ImageServer) -> None:
    server.plan("a.jpg", Reply(headers={"Content-Length": "3000000"}, body=b""))
    assert reason(Fetcher(max_bytes=2_000_000), server.url("a.jpg")) == "larger than 2 MB"


def test_a_body_above_the_limit_is_refused_while_it_comes(server: ImageServer) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    body = chunk * 40 + b"0\r\n\r\n"
    server.plan("a.jpg", Reply(body=body, headers={"Transfer-Encoding": "chunked"}))
    assert reason(Fetcher(max_bytes=2_000_000), server.url("a.jpg")) == "larger than 2 MB"
    assert len(Fetcher(max_bytes=3_000_000).read(server.url("a.jpg"))) == 40 * 0x10000


def test_connections_to_one_host_are_few(server: ImageServer) -> None:
    # Each answer waits for two more requests, so at least three are under way together.
    server.before.append(threading.Barrier(3))
    fetcher = Fetcher(per_host=2, transport=server.transport())
    urls = [f"https://{host}.example.com/{n}.jpg" for n in range(6) for host in "abc"]
    threads = [threading.Thread(target=fetcher.read, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.requests.total() == 18
    assert set(server.most_at_once.values()) <= {1, 2}
    assert server.most_at_once.total() >= 3


def test_closing_ends_what_waits(server: ImageServer) -> None:
    server.plan("a.jpg", Reply(429, headers={"Retry-After": "50"}))
    fetcher = Fetcher()
    reasons: list[str] = []
    waiting = threading.Thread(target=lambda: reasons.append(reason(fetcher, server.url("a.jpg"))))
    waiting.start()
    assert server.arrived.acquire(timeout=5)
    fetcher.close()
    waiting.join(timeout=5)
    assert reasons == ["stopped"]


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1/a", "http://h:port/a", "http://" + "h" * 70 + ".com/a"]
)
def test_what_is_no_url(url: str) -> None:
    assert reason(Fetcher(retries=0), url) in ("not a valid URL", "host not found")


def test_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a b#.jpg"
    path.write_bytes(jpeg(1))
    fetcher = Fetcher()
    assert fetcher.read(str(path)) == fetcher.read(f"file://{path}") == jpeg(1)
    assert fetcher.read(path.as_uri()) == jpeg(1)
    assert reason(fetcher, str(tmp_path)) == "cannot be read: is a directory"
    assert reason(fetcher, str(tmp_path / "x")) == "no such file"
    assert reason(fetcher, "null\0byte") == "cannot be read: embedded null byte"


def test_proxies_of_the_environment_are_used(
    server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert Fetcher().read("http://far-away.example.com/a.jpg")
    assert list(server.requests) == ["far-away.example.comhttp://far-away.example.com/a.jpg"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/a.jpg?id=7&w=1", "https://h/a.jpg?id=7&w=1"),
        ("https://u:p@h:80/a.jpg", "https://h:80/a.jpg"),
        ("https://h/a.jpg?q=a%20b&q=c#part", "https://h/a.jpg?q=a%20b&q=c"),
        ("https://h/a?id=7&access_token=x", "https://h/a?id=7"),
        ("https://h/a?X-Amz-Credential=x&X-Amz-Date=y&X-Amz-Signature=z", "https://h/a"),
        ("https://h/a?sv=1&se=2&sr=b&sp=r&sig=z", "https://h/a"),
        ("https://h/a?Expires=1&Signature=2&Key-Pair-Id=3&v=4", "https://h/a?v=4"),
        ("https://h/a?expires=1", "https://h/a?expires=1"),
        ("s3://key:secret@bucket/a.jpg", "s3://bucket/a.jpg"),
        ("https://u:p@[::1/a?token=x", "https://[::1/a"),
        ("photos/a.jpg?token=x", "photos/a.jpg?token=x"),
    ],
)
def test_secrets_go_and_what_identifies_stays(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_paths_and_urls_are_told_apart() -> None:
    assert scheme("S3://bucket/a") == "s3"
    assert scheme("zip://a.jpg::b.zip") == "zip"
    assert scheme("zip::s3://bucket/b.zip") == "zip"
    for path in ("a.jpg", r"C:\a.jpg", "C:/a.jpg", "a:b", "/a://b", "12:05.jpg"):
        assert scheme(path) is None, path
    assert local_path("file:///a%20b#c?d") == "/a b#c?d"
    assert local_path("file://localhost/a") == "/a"


def test_a_transport_stands_in_for_the_network() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=b"data"))
    assert Fetcher(transport=transport).read("https://h/a") == b"data"
