"""Errors on the wire: the right status, and nothing that should stay inside."""

import logging
from typing import Annotated

import pytest
from fastapi import FastAPI, Form, Query, UploadFile
from fastapi.exceptions import HTTPException
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from imagefinder import errors
from imagefinder.serve.jobs import ClientGoneError
from imagefinder.serve.problems import ERRORS, OverloadedError, install, problem, public_text
from imagefinder.serve.scrub import scrub
from tests.asgi import Answer, ask

PATH = "/srv/photos/private/holiday.jpg"

KNOWN = [
    (errors.UsageError("k is 0; it must be between 1 and 1000"), 400, "k is 0; it must be"),
    (errors.FilterError("a value is missing", "width >", 8), 400, "filter, column 8: a value is"),
    (errors.ImageNotFoundError("a/b.jpg: no image has this id"), 404, "a/b.jpg: no image has this"),
    (errors.ImageError("query: not an image"), 422, "query: not an image"),
    (errors.ImageError(f"{PATH}: cut off"), 422, "[path]: cut off"),
    (errors.FetchError("https://example.org/a.jpg: HTTP 404"), 422, "https://example.org/a.jpg: H"),
    (errors.FetchError("10.0.0.7 refused"), 422, "[address] refused"),
    (errors.ModelError("lite0: the model has no text side"), 422, "lite0: the model has no text"),
    (errors.MissingExtraError("Parquet files", "parquet"), 501, "Parquet files needs: pip install"),
    (errors.StoreError(f"{PATH}: No space left on device"), 503, "The collection cannot be used"),
    (errors.CollectionInUseError(f"{PATH}: open elsewhere"), 503, "The collection cannot be used"),
    (errors.CollectionDamagedError(f"{PATH}: gone"), 500, "Internal error"),
    (errors.ModelMismatchError(f"{PATH}: other model"), 500, "Internal error"),
    (errors.SourceError(f"{PATH}: no such file"), 500, "Internal error"),
    (errors.TransferError(f"{PATH}: no"), 500, "Internal error"),
    (errors.ImageFinderError(PATH), 500, "Internal error"),
]


def raising(error: Exception) -> FastAPI:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def route() -> None:
        raise error

    return app


def is_problem(answer: Answer) -> bool:
    members = answer.json
    return (
        answer.header("content-type") == "application/problem+json"
        and int(answer.header("content-length") or 0) == len(answer.body)
        and members["type"] == "about:blank"
        and members["status"] == answer.status
        and bool(members["title"])
        and bool(members["detail"])
    )


@pytest.mark.parametrize(("error", "status", "detail"), KNOWN, ids=lambda case: str(case)[:30])
def test_an_error_of_ours_has_its_status_and_a_text_that_may_go_out(error, status, detail):
    answer = ask(raising(error), "GET", "/")
    assert is_problem(answer)
    assert answer.status == status
    assert answer.json["detail"].startswith(detail)
    assert b"photos" not in answer.body
    assert (answer.header("retry-after") is not None) == (status == 503)
    assert status in ERRORS


def test_no_error_of_the_tree_tells_of_a_path():
    kinds = {getattr(errors, name) for name in errors.__all__}
    for kind in kinds - {errors.FilterError, errors.MissingExtraError}:
        answer = ask(raising(kind(f"{PATH}: no")), "GET", "/")
        assert is_problem(answer)
        assert b"photos" not in answer.body


def test_a_filter_error_says_where():
    answer = ask(raising(errors.FilterError("a value is missing", "width >", 8)), "GET", "/")
    assert answer.json["column"] == 8
    assert "^" not in answer.json["detail"]


def test_what_the_client_may_not_see_is_logged_for_the_operator(caplog):
    ask(raising(errors.StoreError(f"{PATH}: No space left on device")), "GET", "/")
    (record,) = caplog.records
    assert record.name == "imagefinder.serve"
    assert record.levelno == logging.ERROR
    assert "No space left" in caplog.text


def test_an_unforeseen_error_is_generic_outside_and_complete_in_the_log(caplog):
    app, answers = raising(ZeroDivisionError(PATH)), []

    async def kept(scope, receive, send):
        try:
            await app(scope, receive, send)
        except ZeroDivisionError:  # starlette raises it again for the server
            answers.append("raised")

    answer = ask(kept, "GET", "/")
    assert answers == ["raised"]
    assert is_problem(answer)
    assert answer.status == 500
    assert answer.json["detail"] == "Internal error; give the request id to the operator"
    assert b"photos" not in answer.body
    assert "ZeroDivisionError: /srv/photos" in caplog.text


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (3, "3"), (3.2, "4"), (0, "1")])
def test_overload_says_when_to_come_again(seconds, header):
    answer = ask(raising(OverloadedError(seconds)), "GET", "/")
    assert is_problem(answer)
    assert (answer.status, answer.header("retry-after")) == (503, header)


def test_nobody_is_told_anything_when_the_client_has_gone(caplog):
    assert ask(raising(ClientGoneError()), "GET", "/").body == b""
    assert not caplog.records


def test_what_the_router_refuses_is_a_problem():
    app = raising(OverloadedError(1))
    answer = ask(app, "GET", "/nothing")
    assert is_problem(answer)
    assert (answer.status, answer.json["detail"]) == (404, "There is nothing at this path")


def test_allow_names_all_methods_of_a_path():
    app = FastAPI()
    install(app)
    app.get("/images")(lambda: 1)
    app.post("/images")(lambda: 1)
    app.delete("/images/{id:path}")(lambda: 1)
    answer = ask(app, "PUT", "/images")
    assert is_problem(answer)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, POST")
    assert answer.json["detail"] == "This path does not take the method PUT"
    assert ask(app, "PUT", "/images/a/b").header("allow") == "DELETE"


def test_an_http_exception_keeps_its_words_and_headers():
    error = HTTPException(415, f"not a picture: {PATH}", {"Accept-Post": "multipart/form-data"})
    answer = ask(raising(error), "GET", "/")
    assert is_problem(answer)
    assert answer.json["detail"] == "not a picture: [path]"
    assert answer.header("accept-post") == "multipart/form-data"
    assert ask(raising(HTTPException(304)), "GET", "/").body == b""


def forms() -> FastAPI:
    class Body(BaseModel):
        metadata: dict[str, str]

        @field_validator("metadata")
        @classmethod
        def refuse(cls, value: dict[str, str]) -> dict[str, str]:
            raise ValueError(f"{PATH} is not what {next(iter(value))} is")

    app = FastAPI()
    install(app)

    @app.post("/form")
    async def form(
        k: Annotated[int, Form(le=1000)],
        image: UploadFile,
        limit: Annotated[list[int], Query()] = [],  # noqa: B006
    ) -> None:
        pass

    @app.post("/json")
    async def body(body: Body) -> None:
        pass

    return app


def test_a_request_that_is_not_valid_is_told_field_by_field_without_its_content():
    boundary = [("Content-Type", "multipart/form-data; boundary=X")]
    parts = [
        b'--X\r\nContent-Disposition: form-data; name="k"\r\n\r\n' + b"9" * 3000 + b"\r\n",
        b'--X\r\nContent-Disposition: form-data; name="image"\r\n\r\nSECRET\r\n--X--\r\n',
    ]
    answer = ask(forms(), "POST", "/form", boundary, parts)
    assert is_problem(answer)
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == ["k", "image"]
    assert answer.json["detail"].startswith("k: ")
    assert b"SECRET" not in answer.body
    assert b"99999" not in answer.body


def test_text_of_a_validator_is_scrubbed_and_cut():
    name = "x" * 5000
    body = ('{"metadata": {"' + name + '": "1"}}').encode()
    answer = ask(forms(), "POST", "/json", [("Content-Type", "application/json")], [body])
    (error,) = answer.json["errors"]
    assert error["field"] == "metadata"
    assert error["message"].startswith("[path] is not what xxx")
    assert len(error["message"]) == 300


def test_json_that_cannot_be_read_is_told_with_its_place():
    answer = ask(forms(), "POST", "/json", [("Content-Type", "application/json")], [b'{"a": '])
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "6")


def test_a_problem_takes_the_id_of_each_request_it_answers():
    same = problem(404, "gone", title="Away", type="urn:x", extra=[1], headers={"X-Y": "z"})

    async def app(scope, receive, send):
        scope["state"]["request_id"] = scope["path"][1:]
        await same(scope, receive, send)

    first, second = ask(app, "GET", "/one"), ask(app, "GET", "/two-longer")
    assert first.json == {
        "type": "urn:x",
        "title": "Away",
        "status": 404,
        "detail": "gone",
        "extra": [1],
        "request_id": "one",
    }
    assert second.json["request_id"] == "two-longer"
    assert int(second.header("content-length")) == len(second.body)
    assert second.header("x-y") == "z"
    assert "request_id" not in ask(same, "GET", "/").json


def test_a_problem_survives_what_utf_8_cannot_say():
    answer = ask(problem(400, "\ud800 and ä"), "GET", "/")
    assert answer.json["detail"] == "\ud800 and ä"


SCRUBBED = [
    ("plain words, a/b.jpg and 3.5 of 10", "plain words, a/b.jpg and 3.5 of 10"),
    ("POST /v1 and/or 12:30:45", "POST /v1 and/or 12:30:45"),
    ("https://example.org/a/b.jpg: HTTP 404", "https://example.org/a/b.jpg: HTTP 404"),
    ("https://user:secret@example.org/a.jpg", "https://example.org/a.jpg"),
    ("https://example.org/a.jpg?token=secret", "https://example.org/a.jpg"),
    ("'/etc/passwd': no", "'[path]': no"),
    ("(/var/lib/x/model.onnx)", "([path])"),
    ("at ~/photos/a.jpg", "at [path]"),
    (r"C:\Users\me\a.jpg: no", "[path]: no"),
    (r"\\server\share\a.jpg: no", "[path]: no"),
    ("file:///srv/a.jpg: no", "[path] no"),
    ("10.1.2.3:9000 refused", "[address]:9000 refused"),
    ("[fe80::1]:80 and ::ffff:10.0.0.1", "[[address]]:80 and [address]"),
    ("cannot identify <_io.BytesIO object at 0x7f00deadbeef>", "cannot identify [object]"),
    ("one\ntwo\r\nthree\x1b[31m\u2028four", "one two three\ufffd[31m four"),
    ("x" * 600, "x" * 499 + "…"),
]


@pytest.mark.parametrize(("text", "clean"), SCRUBBED, ids=[text[:20] for text, _ in SCRUBBED])
def test_texts_are_scrubbed(text, clean):
    assert scrub(text) == clean


@given(st.text())
@example("\ud800")
def test_a_scrubbed_text_is_one_short_printable_line(text):
    clean = scrub(text)
    assert len(clean) <= 500
    assert clean.isprintable()


def test_reasons_for_single_images_follow_the_same_rule():
    assert public_text(errors.ImageError(f"{PATH}: cut off")) == "[path]: cut off"
    assert "photos" not in public_text(errors.SourceError(PATH))
