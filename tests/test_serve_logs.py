"""Log lines: one a record, whatever is in it, and no secrets."""

import io
import json
import logging
import re

import httpx
import pytest
from fastapi import FastAPI

from imagefinder.serve.logs import current_request_id, set_up_logging
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect import protected
from tests.asgi import ask
from tests.serving import listening

NAMES = ("", "imagefinder", "uvicorn", "uvicorn.error", "uvicorn.access")


@pytest.fixture(autouse=True)
def as_before():
    loggers = [logging.getLogger(name) for name in NAMES]
    kept = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    for logger, handlers, level, propagate in kept:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def stream():
    return io.StringIO()


log = logging.getLogger("imagefinder.serve")

FORGED = 'up\nlevel=error msg="x"\r\x1b[31m\u2028'


def test_json_has_an_object_a_line(stream):
    set_up_logging("json", stream)
    log.info("request %s", "done", extra={"route": "/v1/search", "ms": 1.5, "key": None, "n": 2})
    assert stream.getvalue().count("\n") == 1
    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "logger": "imagefinder.serve",
        "event": "request done",
        "route": "/v1/search",
        "ms": 1.5,
        "n": 2,
    }


def test_text_is_one_readable_line(stream):
    set_up_logging("text", stream)
    log.warning(
        "request", extra={"route": "/v1/{id}", "ms": 1.5, "note": "two words", "quote": 'a"'}
    )
    expected = r"""\d+-\d\d-\d\dT[\d:.]+Z WARNING request route=/v1/{id} ms=1.5 note="two words" """
    assert re.fullmatch(expected + r'quote="a\\""\n', stream.getvalue())


@pytest.mark.parametrize("style", ["json", "text"])
def test_nothing_that_is_logged_can_make_a_line_of_its_own(style, stream):
    set_up_logging(style, stream)
    log.info("path %s", FORGED, extra={"route": FORGED})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_is_a_field_in_json(stream):
    set_up_logging("json", stream)
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: up" in json.loads(line)["exception"]
    assert json.loads(line)["level"] == "error"


def test_a_traceback_is_indented_in_text_so_that_it_forges_no_record(stream):
    set_up_logging("text", stream)
    try:
        raise ValueError("up\n2026-01-01T00:00:00.000Z INFO    forged")
    except ValueError:
        log.exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR   failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    2026-01-01T00:00:00.000Z INFO forged"


SECRETS = [
    "https://user:hunter2@example.org/a.jpg",
    "s3://key:hunter2@bucket/a",
    "https://example.org/a.jpg?X-Amz-Signature=hunter2&id=7",
    "Authorization: Bearer hunter2",
    "{'x-api-key': 'hunter2'}",
    "X-API-Key: hunter2",
    "x " * 490 + "https://user:" + "hunter2" * 20 + "@example.org/",  # cut inside of the password
]


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("secret", SECRETS, ids=[text[-30:] for text in SECRETS])
def test_secrets_are_in_no_part_of_a_record(style, secret, stream):
    set_up_logging(style, stream)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("fetching %s", secret, extra={"url": secret})
    assert "fetching" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_huge_record_is_cut(stream):
    set_up_logging("json", stream)
    try:
        raise ValueError("y" * 1_000_000)
    except ValueError:
        log.exception("x" * 1_000_000, extra={"field": "z" * 1_000_000})
    assert len(stream.getvalue()) < 10_000


def test_numbers_that_json_does_not_know_are_text(stream):
    set_up_logging("json", stream)
    log.info("x", extra={"score": float("nan")})
    assert json.loads(stream.getvalue(), parse_constant=pytest.fail)["score"] == "nan"


def test_what_runs_for_a_request_logs_its_id(stream):
    set_up_logging("json", stream)

    async def app(scope, receive, send):
        log.warning("inside")
        raise ZeroDivisionError

    answer = ask(protected(app, ServeOptions()), "GET", "/", [("X-Request-ID", "mine")])
    assert answer.status == 500
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "inside",
        "request failed: ZeroDivisionError",
        "request",
    ]
    assert {line["request_id"] for line in lines} == {"mine"}
    assert current_request_id.get() is None


def test_a_second_set_up_replaces_the_first(stream):
    first = io.StringIO()
    others = list(logging.getLogger().handlers)
    set_up_logging("json", first)
    set_up_logging("text", stream)
    log.info("once")
    assert first.getvalue() == ""
    assert stream.getvalue().count("once") == 1
    assert [one for one in logging.getLogger().handlers if one in others] == others


def test_levels_are_ours_and_those_of_libraries_higher(stream):
    set_up_logging("json", stream)
    log.debug("quiet")
    logging.getLogger("httpx").info("GET https://example.org/")
    assert stream.getvalue() == ""
    set_up_logging("json", stream, logging.DEBUG)
    log.debug("told")
    assert "told" in stream.getvalue()


def test_uvicorn_logs_through_us_and_never_its_access_log(stream):
    logging.getLogger("uvicorn").addHandler(logging.StreamHandler(io.StringIO()))
    access = logging.getLogger("uvicorn.access")
    access.propagate = True
    set_up_logging("json", stream)
    assert not access.hasHandlers()  # what uvicorn asks before it writes a line
    app = FastAPI()

    @app.get("/")
    async def failing() -> None:
        raise ZeroDivisionError("in the server's hands")

    with listening(app) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/?token=hunter2").status_code == 500
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {line["logger"] for line in lines} == {"uvicorn.error"}
    (failed,) = [line for line in lines if line["level"] == "error"]
    assert "in the server's hands" in failed["exception"]
    assert "hunter2" not in stream.getvalue()
