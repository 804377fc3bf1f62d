"""URLs that arrive by HTTP: what they must not reach, with a server there that would tell."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import httpcore
import httpx
import pytest

from imagefinder.errors import FetchError
from imagefinder.sources import Fetcher
from imagefinder.sources.connecting import CheckedBackend, Deadline
from imagefinder.sources.guard import GuardedFetcher, guarded_transport
from tests import url_tricks
from tests.image_server import ImageServer, Reply
from tests.trap_server import PUBLIC, PUBLIC_6, SILENT, PretendNetwork, Trap

NOT_ALLOWED, NOT_VALID = "the address is not allowed", "not a valid URL"
NOT_HTTP = "only http:// and https:// URLs are fetched"
NOT_FETCHED = "the URL cannot be fetched"
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    with Trap().running() as trap:
        yield trap


@pytest.fixture(scope="module")
def public() -> Iterator[ImageServer]:
    """What every public address is here."""
    with ImageServer().running() as server:
        yield server


@pytest.fixture(autouse=True)
def network(public: ImageServer, monkeypatch: pytest.MonkeyPatch) -> PretendNetwork:
    network = PretendNetwork(public.port, url_tricks.NAMES)
    network.install(monkeypatch)
    return network


@pytest.fixture(scope="module")
def guarded() -> GuardedFetcher:
    return GuardedFetcher(max_bytes=100_000, seconds=5)


@pytest.fixture
def untouched(trap: Trap) -> Iterator[None]:
    before = trap.arrivals()
    yield
    assert trap.arrivals() == before


def allowing(*networks: IPv4Network | IPv6Network, seconds: float = 5) -> GuardedFetcher:
    return GuardedFetcher(max_bytes=100_000, seconds=seconds, allowed=networks)


def reason(fetcher: GuardedFetcher | Fetcher, url: str) -> str:
    with pytest.raises(FetchError) as raised:
        fetcher.read(url)
    return str(raised.value)


def at(trap: Trap, url: str) -> str:
    return url.replace("PORT", str(trap.port))


def needs_ipv6(trap: Trap, url: str) -> None:
    if len(trap.hosts) == 1 and ("[::" in url or "[0" in url or "inner6" in url):
        pytest.skip("no IPv6 on this machine")


TRICKS = [
    *((url, NOT_ALLOWED) for url in url_tricks.NOT_ALLOWED),
    *((url, NOT_VALID) for url in url_tricks.NOT_VALID),
    *((url, NOT_HTTP) for url in url_tricks.NOT_HTTP),
]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(("url", "words"), TRICKS, ids=[ascii(url)[:60] for url, _ in TRICKS])
def test_a_trick_reaches_nothing(
    url: str, words: str, trap: Trap, guarded: GuardedFetcher, network: PretendNetwork
) -> None:
    told = reason(guarded, at(trap, url))
    assert told == words
    assert network.connected == []


@pytest.mark.parametrize("url", url_tricks.REACHING, ids=ascii)
def test_without_a_guard_the_trick_works(url: str, trap: Trap) -> None:
    """So the tests of the guard can fail."""
    needs_ipv6(trap, url)
    fetcher = Fetcher(retries=0)
    assert fetcher.read(at(trap, url)) == b"trapped"
    fetcher.close()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("url", url_tricks.HARMLESS)
def test_a_public_host_is_fetched_from(
    url: str, trap: Trap, public: ImageServer, guarded: GuardedFetcher, network: PretendNetwork
) -> None:
    before = public.requests.total()
    assert guarded.read(at(trap, url))
    assert public.requests.total() == before + 1
    assert set(network.connected) <= {PUBLIC, PUBLIC_6}


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
def test_what_the_operator_allows_is_fetched_from(host: str, trap: Trap) -> None:
    url = f"http://{host}:{trap.port}/"
    needs_ipv6(trap, url)
    assert allowing(*LOOPBACK).read(url) == b"trapped"
    assert reason(allowing(ip_network("10.0.0.0/8")), url) == NOT_ALLOWED


@pytest.mark.usefixtures("untouched")
def test_a_name_is_looked_up_once(
    trap: Trap, guarded: GuardedFetcher, network: PretendNetwork
) -> None:
    """A second answer could be another one."""
    url = f"http://rebinding.example:{trap.port}/"
    assert guarded.read(url)
    assert network.looked_up["rebinding.example"] == 1
    assert network.connected == [PUBLIC]
    assert reason(guarded, url) == NOT_ALLOWED  # and no connection is kept


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:PORT/", NOT_ALLOWED),
        ("HTTP://[::1]:PORT/", NOT_ALLOWED),
        ("http://2130706433:PORT/", NOT_ALLOWED),
        ("http://inner.example:PORT/", NOT_ALLOWED),
        ("http://user@127.0.0.1:PORT/", NOT_ALLOWED),
        ("http://169.254.169.254/latest/meta-data/", NOT_ALLOWED),
        ("//127.0.0.1:PORT/", NOT_ALLOWED),
        ("/redirected-again?http://[::ffff:7f00:1]:PORT/", NOT_ALLOWED),
        ("file:///etc/passwd", "redirected to file://, which is not followed"),
        ("gopher://127.0.0.1:PORT/", "redirected to gopher://, which is not followed"),
        ("ftp://127.0.0.1:PORT/", "redirected to ftp://, which is not followed"),
        (f"{'x' * 1000}://h/", f"redirected to {'x' * 20}://, which is not followed"),
    ],
    ids=lambda value: value[:60],
)
def test_a_redirect_is_checked_like_the_first_url(
    location: str, words: str, trap: Trap, public: ImageServer, guarded: GuardedFetcher
) -> None:
    location = at(trap, location)
    public.plan("start", Reply(302, headers={"Location": "http://public6.example/second"}))
    public.plan("second", Reply(307, headers={"Location": location}))
    again = Reply(301, headers={"Location": location.partition("?")[2]})
    public.plan(location.removeprefix("/"), again)
    assert reason(guarded, "http://public.example/start") == words


def test_a_redirect_from_an_allowed_network_leads_to_no_other(
    trap: Trap, public: ImageServer
) -> None:
    fetcher = allowing(ip_network("127.0.0.1/32"))
    for host in ("0.0.0.0", "[::1]", "[::]", "localhost", "inner6.example"):
        before = trap.arrivals()
        public.plan("away", Reply(302, headers={"Location": f"http://{host}:{trap.port}/"}))
        assert reason(fetcher, public.url("away")) == NOT_ALLOWED
        assert trap.arrivals() == before
    public.plan("away", Reply(302, headers={"Location": f"http://inner.example:{trap.port}/"}))
    assert fetcher.read(public.url("away")) == b"trapped"


def test_redirects_between_public_hosts_are_followed(
    public: ImageServer, guarded: GuardedFetcher, network: PretendNetwork
) -> None:
    public.plan("one", Reply(302, headers={"Location": "http://public6.example/two"}))
    public.plan("two", Reply(301, headers={"Location": "/three"}))
    public.plan("three", Reply(body=b"data"))
    assert guarded.read("http://public.example/one") == b"data"
    assert network.connected == [PUBLIC, PUBLIC_6, PUBLIC_6]


@pytest.mark.usefixtures("untouched")
def test_proxies_of_the_environment_are_not_used(
    trap: Trap, monkeypatch: pytest.MonkeyPatch, network: PretendNetwork
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{trap.port}")
    assert allowing().read("http://public.example/")
    assert network.connected == [PUBLIC]


def test_the_transport_serves_any_client(trap: Trap, guarded: GuardedFetcher) -> None:
    url = f"http://127.0.0.1:{trap.port}/"
    refusing = Fetcher(transport=guarded_transport())
    assert reason(refusing, url) == NOT_ALLOWED
    fetcher = Fetcher(transport=guarded_transport(LOOPBACK))
    assert fetcher.read(url) == b"trapped"
    fetcher.close()
    with pytest.raises(FetchError), httpx.Client(transport=guarded_transport()) as client:
        client.get(url)


def test_unix_sockets_are_refused() -> None:
    with pytest.raises(FetchError, match=NOT_ALLOWED):
        CheckedBackend(LOOPBACK, Deadline()).connect_unix_socket("/var/run/docker.sock")


def test_the_next_address_is_tried_when_one_does_not_answer(network: PretendNetwork) -> None:
    assert allowing(seconds=1).read("http://half-silent.example/")
    assert network.connected == [SILENT, PUBLIC]


def test_strangers_share_no_cookies(trap: Trap) -> None:
    fetcher = allowing(*LOOPBACK)
    for _ in range(2):
        fetcher.read(f"http://127.0.0.1:{trap.port}/")
    assert "Cookie" not in trap.headers[-1]


def test_a_closed_fetcher_begins_nothing() -> None:
    fetcher = allowing()
    fetcher.close()
    assert reason(fetcher, "http://public.example/") == "stopped"


def test_the_size_is_bounded(public: ImageServer, guarded: GuardedFetcher) -> None:
    public.plan("large", Reply(body=b"x" * 100_001))
    assert reason(guarded, "http://public.example/large") == "larger than 0.1 MB"
    chunks = b"186a1\r\n" + b"x" * 0x186A1 + b"\r\n0\r\n\r\n"
    public.plan("large", Reply(body=chunks, headers={"Transfer-Encoding": "chunked"}))
    assert reason(guarded, "http://public.example/large") == "larger than 0.1 MB"


def test_nothing_is_unpacked(public: ImageServer, guarded: GuardedFetcher) -> None:
    bomb = gzip.compress(gzip.compress(bytes(10_000_000)))
    public.plan("bomb", Reply(body=bomb, headers={"Content-Encoding": "gzip, gzip"}))
    words = "the server sends it compressed, which is not read"
    assert reason(guarded, "http://public.example/bomb") == words


def drip(connection: socket.socket, head: bytes, seconds: float = 0.02) -> None:
    connection.recv(1000)
    connection.sendall(head)
    for _ in range(400):
        connection.sendall(b"x")
        time.sleep(seconds)


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Answers one connection, on the port that comes."""

    def serve() -> None:
        # The client has had enough, or never came.
        try:
            connection, _ = listener.accept()
            with connection:
                answer(connection)
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        ("http", lambda connection: connection.recv(1000) and connection.recv(1000)),
        ("http", lambda connection: drip(connection, b"HTTP/1.1 200 OK\r\nX: ")),
        ("http", lambda connection: drip(connection, b"HTTP/1.1 200 OK\r\n\r\n")),
        ("https", lambda connection: connection.recv(1000) and connection.recv(1000)),
        ("https", lambda connection: drip(connection, b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")),
    ],
    ids=["silent", "head", "body", "silent TLS", "TLS"],
)
def test_a_server_that_draws_it_out_is_left(
    scheme: str, answer: Callable[[socket.socket], object]
) -> None:
    started = time.monotonic()
    with serving(answer) as port:
        words = reason(allowing(*LOOPBACK, seconds=0.3), f"{scheme}://127.0.0.1:{port}/")
    assert words == "timed out after 0.3 s"
    assert time.monotonic() - started < 3  # dripping to the end takes 8 s


def test_the_time_is_for_all_redirects_together(public: ImageServer) -> None:
    slow = Reply(302, headers={"Location": "/slow"})
    public.plan("slow", slow)
    public.before.append(gate := threading.Event())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "wait", lambda _: time.sleep(0.15))
        words = reason(allowing(seconds=0.4), "http://public.example/slow")
    public.before.remove(gate)
    assert words == "timed out after 0.4 s"


def test_a_deadline_shortens_every_wait() -> None:
    assert Deadline().left() is None
    assert Deadline().left(3) == Deadline(10).left(3) == 3
    assert 0 < (Deadline(2).left(3) or 0) <= 2
    assert 0 < (Deadline(2).left() or 0) <= 2
    with pytest.raises(httpcore.TimeoutException):
        Deadline(0).left(3)


def test_a_slow_look_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        ended.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    started = time.monotonic()
    words = reason(allowing(seconds=0.2), "http://public.example/")
    ended.set()
    for thread in threading.enumerate():
        if thread.name == "look-up":
            thread.join(5)
    assert words == "timed out after 0.2 s"
    assert time.monotonic() - started < 3


def test_look_ups_that_hang_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    none_left = threading.BoundedSemaphore(1)
    none_left.acquire()
    monkeypatch.setattr("imagefinder.sources.connecting._LOOKUPS", none_left)
    assert reason(allowing(seconds=0.1), "http://public.example/") == "timed out after 0.1 s"


@pytest.mark.parametrize("fault", [Reply(cut=10), Reply(reset=True)], ids=["cut", "reset"])
def test_a_fault_is_told_without_details(
    fault: Reply, public: ImageServer, guarded: GuardedFetcher
) -> None:
    public.plan("fault", fault)
    assert reason(guarded, "http://public.example/fault") == NOT_FETCHED


def test_why_there_is_no_connection_is_not_told(
    public: ImageServer, guarded: GuardedFetcher
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed_port = free.getsockname()[1]
    assert reason(allowing(*LOOPBACK), f"http://127.0.0.1:{closed_port}/") == NOT_FETCHED
    assert reason(guarded, "http://unknown.example/") == NOT_FETCHED
    assert reason(guarded, "http://nowhere.example/") == NOT_FETCHED
    assert reason(guarded, "https://public.example/") == NOT_FETCHED  # it speaks no TLS


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_the_status_is_told(status: int, public: ImageServer, guarded: GuardedFetcher) -> None:
    public.plan("status", Reply(status, b"secret"))
    assert reason(guarded, "http://public.example/status") == f"HTTP {status}"


def test_a_certificate_is_checked_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parent / "data" / "good.example.pem"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)

    def answer(connection: socket.socket) -> None:
        with server.wrap_socket(connection, server_side=True) as stream:
            stream.recv(1000)
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")

    with serving(answer) as port:
        assert reason(allowing(*LOOPBACK), f"https://good.example:{port}/") == NOT_FETCHED
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with serving(answer) as port:
        assert allowing(*LOOPBACK).read(f"https://good.example:{port}/") == b"data"
    with serving(answer) as port:
        assert reason(allowing(*LOOPBACK), f"https://other.example:{port}/") == NOT_FETCHED
    with serving(answer) as port:
        assert reason(allowing(*LOOPBACK), f"https://127.0.0.1:{port}/") == NOT_FETCHED
    assert asked == ["good.example", "good.example", "other.example", None]
