"""Bodies that are too large or too slow, over a real connection."""

import asyncio
import json
import logging
import socket
import time
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, Request, UploadFile
from starlette.responses import PlainTextResponse

from imagefinder.serve import problems
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect import body as body_module
from imagefinder.serve.protect import protected
from tests.asgi import ask
from tests.serving import listening

LIMIT = 200_000
OPTIONS = ServeOptions(max_body_bytes=LIMIT, body_seconds=0.3)


def reading() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/form")
    async def form(file: UploadFile) -> int:
        return len(await file.read())

    @app.post("/stream")
    async def stream(request: Request) -> int:
        return sum([len(chunk) async for chunk in request.stream()])

    @app.post("/lazy")
    async def lazy(request: Request) -> int:
        await asyncio.sleep(0.5)  # longer than a body may take
        return len(await request.body())

    @app.post("/deaf")
    async def deaf() -> str:
        return "not read"

    app.add_middleware(protected, options=OPTIONS)
    return app


@pytest.fixture(scope="module")
def port():
    with listening(reading()) as port:
        yield port


@contextmanager
def connected(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        yield connection


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def answer(connection: socket.socket) -> tuple[int, dict]:
    """Status and members of the answer, which has to come in full."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = dict(
            line.decode().strip().lower().split(": ", 1) for line in iter(stream.readline, b"\r\n")
        )
        return status, json.loads(stream.read(int(headers["content-length"])))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


FORM = "Content-Type: multipart/form-data; boundary=X"
PART = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize("path", ["/form", "/stream", "/lazy", "/deaf"])
def test_a_body_that_announces_too_much_is_refused_before_it_comes(port, path, caplog):
    with connected(port) as connection:
        connection.sendall(head(path, f"Content-Length: {LIMIT + 1}"))
        status, told = answer(connection)
    assert (status, told["detail"]) == (413, "The request is larger than 0.2 MB")
    assert told["request_id"]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_nobody_who_waits_for_a_word_is_asked_to_send_too_much(port):
    with connected(port) as connection:
        connection.sendall(head("/form", f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
        assert answer(connection)[0] == 413  # and not 100


@pytest.mark.parametrize("path", ["/form", "/stream", "/lazy"])
def test_a_body_without_a_length_is_counted_as_it_comes(port, path, caplog):
    with connected(port) as connection:
        connection.sendall(head(path, "Transfer-Encoding: chunked", FORM) + chunk(PART))
        for _ in range(5):
            connection.sendall(chunk(b"x" * 50_000))
        status, told = answer(connection)
    assert (status, told["title"]) == (413, "Content Too Large")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(("length", "status"), [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("chunked", [True, False])
def test_the_limit_is_exact(port, length, status, chunked):
    with connected(port) as connection:
        if chunked:
            connection.sendall(head("/stream", "Transfer-Encoding: chunked"))
            connection.sendall(chunk(b"x" * length) + b"0\r\n\r\n")
        else:
            connection.sendall(head("/stream", f"Content-Length: {length}") + b"x" * length)
        answered, told = answer(connection)
    assert answered == status
    assert status == 413 or told == length


def test_a_client_that_sends_all_before_it_reads_gets_its_answer(port):
    """And not a connection reset."""
    size = 20_000_000  # more than what fits into buffers on the way
    with connected(port) as connection:
        connection.sendall(head("/form", f"Content-Length: {size}"))
        connection.sendall(b"x" * size)
        assert answer(connection)[0] == 413
        assert connection.recv(1) == b""


def test_a_body_that_stops_coming_is_given_up(port, caplog):
    with connected(port) as connection:
        connection.sendall(head("/form", FORM, "Content-Length: 1000") + PART)
        status, told = answer(connection)
    assert (status, told["detail"]) == (408, "The body took longer than 0.3 s to arrive")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_body_that_trickles_is_given_up(port):
    started = time.monotonic()
    with connected(port) as connection:
        connection.sendall(head("/stream", "Content-Length: 1000"))
        connection.settimeout(0.02)
        for _ in range(200):
            connection.sendall(b"x")
            try:
                connection.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                pass
        else:
            pytest.fail("it was waited for")
        connection.settimeout(5)
        assert answer(connection)[0] == 408
    assert time.monotonic() - started >= 0.3


def test_the_time_that_the_service_takes_is_not_the_clients(port):
    with connected(port) as connection:
        connection.sendall(head("/lazy", "Content-Length: 3") + b"abc")
        assert answer(connection) == (200, 3)


def test_a_route_that_reads_no_body_is_not_held_up_by_it(port):
    with connected(port) as connection:
        connection.sendall(head("/deaf", "Content-Length: 1000"))
        assert answer(connection) == (200, "not read")


def test_the_server_goes_on_after_all_this(port):
    with connected(port) as connection:
        form = PART + b"abc\r\n--X--\r\n"
        connection.sendall(head("/form", FORM, f"Content-Length: {len(form)}") + form)
        assert answer(connection) == (200, 3)


@pytest.mark.parametrize(
    ("lengths", "status"),
    [
        (["5"], 200),
        (["200001"], 413),
        (["5", "200001"], 413),
        (["9" * 10_000], 413),
        (["-1"], 200),
        (["x"], 200),
        (["\xb2"], 200),
        ([""], 200),
    ],
)
def test_odd_lengths_are_counted_instead_of_believed(lengths, status):
    headers = [("Content-Length", length) for length in lengths]
    assert ask(reading(), "POST", "/stream", headers, [b"12345"]).status == status


def test_an_application_that_knows_nothing_of_the_refusal_is_ended_by_it(caplog):
    ended = []

    async def plain(scope, receive, send):
        try:
            while (await receive()).get("more_body"):
                pass
        finally:
            ended.append(True)
        await PlainTextResponse("read")(scope, receive, send)

    refused = ask(protected(plain, OPTIONS), "POST", "/", chunks=[b"x" * 150_000] * 3)
    assert (refused.status, ended) == (413, [True])
    assert "ERROR" not in caplog.text


def test_an_application_that_answers_the_refusal_itself_is_not_heard():
    async def stubborn(scope, receive, send):
        try:
            while (await receive()).get("more_body"):
                pass
        except Exception:  # noqa: BLE001 - what it is made for
            await PlainTextResponse("there was a problem", 400)(scope, receive, send)

    refused = ask(protected(stubborn, OPTIONS), "POST", "/", chunks=[b"x" * 150_000] * 3)
    assert (refused.status, refused.json["title"]) == (413, "Content Too Large")


def test_after_a_refusal_no_more_is_read_than_bounded(monkeypatch):
    monkeypatch.setattr(body_module, "LINGER_BYTES", 1000)
    chunks = [b"x" * LIMIT, *[b"x" * 400] * 10]
    taken = []

    async def counted(scope, receive, send):
        async def take():
            message = await receive()
            taken.append(len(message["body"]))
            return message

        await protected(reading(), OPTIONS)(scope, take, send)

    assert ask(counted, "POST", "/stream", chunks=chunks).status == 413
    assert taken == [LIMIT, 400, 400, 400, 400]
