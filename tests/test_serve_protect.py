"""What stands between the network and the routes: ids, the log, failures, and the order."""

import asyncio
import json
import logging
import re

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from imagefinder.serve.jobs import ClientGoneError
from imagefinder.serve.logs import current_request_id
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect import protected
from tests.asgi import Answer, ask
from tests.guarded import KEYED, OPEN, READ, WRITE, bearer, service


def requests_logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.msg == "request"]


# request ids


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["abc-DEF_1.2"], True),
        (["x" * 64], True),
        ([], False),
        ([""], False),
        (["x" * 65], False),
        (["one\ntwo"], False),
        (["one\n"], False),
        (["one two"], False),
        (["ä"], False),
        (["one", "two"], False),
        (["<script>"], False),
    ],
)
def test_a_request_has_the_id_that_its_client_gave_if_it_is_one(sent, kept, caplog):
    caplog.set_level(logging.INFO)
    answer = ask(service(), "GET", "/nothing", [("X-Request-ID", value) for value in sent])
    request_id = answer.header("x-request-id")
    assert request_id == sent[0] if kept else re.fullmatch("[0-9a-f]{32}", request_id or "")
    assert answer.json["request_id"] == request_id
    assert requests_logged(caplog)[0].request_id == request_id


def test_every_request_has_an_id_of_its_own():
    app = service()
    ids = {ask(app, "GET", "/ping").header("x-request-id") for _ in range(5)}
    assert len(ids) == 5


def test_the_id_is_known_to_all_that_runs_for_the_request_and_to_nothing_after_it():
    inside, after = [], []

    async def app(scope, receive, send):
        inside.append(current_request_id.get())
        await Response()(scope, receive, send)

    async def twice(scope, receive, send):
        await protected(app, OPEN)(scope, receive, send)
        after.append(current_request_id.get())

    ask(twice, "GET", "/", [("X-Request-ID", "mine")])
    assert (inside, after) == (["mine"], [None])


# the log


def test_the_log_has_a_record_for_each_request(caplog):
    caplog.set_level(logging.INFO)
    body = [b"abc", b"de"]
    answer = ask(service(KEYED), "PATCH", "/v1/images/a/b.jpg", bearer(WRITE), body)
    (record,) = requests_logged(caplog)
    assert (record.name, record.levelname) == ("imagefinder.serve", "INFO")
    assert (record.method, record.route, record.status) == ("PATCH", "/v1/images/{id:path}", 200)
    assert (record.key, record.client) == ("writer", "127.0.0.1")
    assert record.bytes_out == len(answer.body) == len(b'"writer"')
    assert 0 < record.ms < 10_000
    text = json.dumps(vars(record), default=str)
    assert "very-secret" not in text  # the query string
    assert not re.search(r"s(é|\\u00e9)cret", text)


def test_the_log_counts_what_the_route_read(caplog):
    caplog.set_level(logging.INFO)

    async def reading(scope, receive, send):
        for _ in range(2):
            await receive()
        await Response(b"1234")(scope, receive, send)

    ask(protected(reading, OPEN), "POST", "/", chunks=[b"abc", b"de", b"unread"])
    (record,) = requests_logged(caplog)
    assert (record.bytes_in, record.bytes_out) == (5, 4)


@pytest.mark.parametrize(
    ("path", "level", "status"),
    [
        ("/ping", "DEBUG", 200),
        ("/metrics", "DEBUG", 200),
        ("/v1/status", "INFO", 200),
        ("/nothing", "INFO", 404),
        ("/boom", "WARNING", 500),
        ("/healthz", "DEBUG", 404),
    ],
)
def test_levels_tell_what_matters(path, level, status, caplog):
    caplog.set_level(logging.DEBUG)
    ask(service(), "GET", path)
    (record,) = requests_logged(caplog)
    assert (record.levelname, record.status) == (level, status)


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/a\nFAKE line\x1b[2J\u2028\x00b", "/a FAKE line\ufffd[2J \ufffdb"),
        ("/" + "x" * 5000, "/" + "x" * 198 + "…"),
        ("/\udcff", "/\ufffd"),
    ],
)
def test_a_path_cannot_forge_or_flood_the_log(path, logged, caplog):
    caplog.set_level(logging.INFO)
    ask(service(), "GET", path)
    assert requests_logged(caplog)[0].route == logged


def test_a_request_whose_client_has_gone_is_no_failure(caplog):
    caplog.set_level(logging.INFO)

    async def waiting(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def hung_up(scope, receive, send):
        async def gone():
            return {"type": "http.disconnect"}

        await protected(waiting, OPEN)(scope, gone, send)
        await Response()(scope, receive, send)  # for `ask`

    ask(hung_up, "POST", "/v1/search")
    assert ask(service(), "GET", "/gone").status == 499
    assert [(r.levelname, r.status) for r in caplog.records] == [("INFO", 499)] * 2


# failures


def test_an_exception_is_answered_inside_of_headers_id_and_log(caplog):
    answer = ask(service(), "GET", "/boom")  # and nothing is raised to the server
    assert answer.status == 500
    assert answer.json["detail"] == "Internal error; give the request id to the operator"
    assert answer.json["request_id"] == answer.header("x-request-id")
    assert answer.header("x-content-type-options") == "nosniff"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "ZeroDivisionError: /srv/photos/a.jpg" in caplog.text


@pytest.mark.parametrize("error", [ClientGoneError, ClientDisconnect])
def test_a_client_that_has_gone_is_no_failure(error, caplog):
    async def giving_up(scope, receive, send):
        raise error

    async def answered(scope, receive, send):
        await protected(giving_up, OPEN)(scope, receive, send)
        await Response(b"nothing was sent")(scope, receive, send)

    assert ask(answered, "GET", "/").body == b"nothing was sent"
    assert "ERROR" not in caplog.text


def test_an_answer_that_fails_half_way_is_not_followed_by_another(caplog):
    async def breaking(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def cut_off(scope, receive, send):
        await protected(breaking, OPEN)(scope, receive, send)
        await send({"type": "http.response.body", "body": b""})  # for `ask`

    answer = ask(cut_off, "GET", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert "ZeroDivisionError" in caplog.text


# the whole


def test_a_websocket_is_refused_and_the_lifespan_passes():
    sent, seen = [], []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    async def send(message):
        sent.append(message)

    guarded = protected(app, KEYED)
    asyncio.run(guarded({"type": "websocket", "path": "/ping"}, None, send))
    asyncio.run(guarded({"type": "lifespan"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert seen == ["lifespan"]


EVERYTHING = ServeOptions(
    keys=(READ, WRITE),
    rate_limit="1/hour",
    allowed_hosts=("example.org",),
    cors_origins=("https://app.example.org",),
    max_body_bytes=10,
)
HOST, PAGE = ("Host", "example.org"), ("Origin", "https://app.example.org")
LARGE = ("Content-Length", "11")


def everything(headers: list[tuple[str, str]], before: int = 0, method: str = "POST") -> Answer:
    async def reading(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await Response()(scope, receive, send)

    app = protected(reading, EVERYTHING)
    for _ in range(before):
        ask(app, method, "/v1/search", [pair for pair in headers if pair != LARGE])
    return ask(app, method, "/v1/search", headers)


ORDER = [
    # Each request has all the faults of those below it.
    ([("Host", "evil.org"), ("Origin", "https://evil.org"), LARGE], 421),
    ([HOST, ("Origin", "https://evil.org"), LARGE], 403),
    ([HOST, PAGE, LARGE], 401),
    ([HOST, PAGE, *bearer(READ), LARGE], 429),
    ([HOST, PAGE, *bearer(WRITE), LARGE], 413),
]


@pytest.mark.parametrize(("headers", "status"), ORDER)
def test_the_guards_stand_in_this_order_and_all_answers_look_alike(headers, status, caplog):
    caplog.set_level(logging.INFO)
    answer = everything(headers, before=1 if status == 429 else 0)
    assert answer.status == status
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json["request_id"] == answer.header("x-request-id")
    assert answer.header("x-content-type-options") == "nosniff"
    allowed = answer.header("access-control-allow-origin")
    assert allowed == (PAGE[1] if PAGE in headers else None)
    assert requests_logged(caplog)[-1].status == status


def test_a_browser_may_ask_for_permission_without_a_key_and_uncounted():
    preflight = [HOST, PAGE, ("Access-Control-Request-Method", "POST")]
    wanted = [("Access-Control-Request-Headers", "authorization,x-api-key,x-request-id")]
    answer = everything(preflight + wanted, before=3, method="OPTIONS")
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == PAGE[1]
    assert answer.header("access-control-allow-credentials") is None
