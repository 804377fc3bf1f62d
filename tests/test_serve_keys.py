"""API keys: what asks for one, what counts as one, and tricks with paths."""

import pytest
from fastapi import FastAPI

from imagefinder.errors import UsageError
from imagefinder.serve.options import Access, Key, ServeOptions
from imagefinder.serve.protect import protected
from imagefinder.serve.protect.paths import is_open, is_writing, route_path
from tests.asgi import ask
from tests.guarded import KEYED, READ, WRITE, bearer, service
from tests.serving import served

PATHS = [
    ("GET", "/ping", 200, 200),
    ("GET", "/healthz", 404, 404),
    ("GET", "/readyz", 404, 404),
    ("GET", "/docs", 200, 200),
    ("GET", "/docs/oauth2-redirect", 200, 200),
    ("GET", "/redoc", 200, 200),
    ("GET", "/openapi.json", 200, 200),
    ("GET", "/static-offline-docs/swagger-ui.css", 200, 200),
    ("GET", "/metrics", 401, 200),
    ("GET", "/v1/status", 401, 200),
    ("GET", "/", 404, 404),
    ("GET", "/nothing", 401, 404),
    ("HEAD", "/v1/status", 401, 405),
    ("OPTIONS", "/v1/status", 401, 405),
    ("POST", "/v1/search", 401, 200),
    ("POST", "/predict/", 401, 200),
    ("POST", "/predict", 401, 404),
    ("POST", "/v1/images", 401, 403),
    ("PATCH", "/v1/images/a", 401, 403),
    ("DELETE", "/v1/images/a/b", 401, 403),
    ("PUT", "/v1/images/a", 401, 403),
    ("TRACE", "/v1/images/a", 401, 403),
    # Paths that another reader could take for open or for harmless ones.
    ("GET", "//ping", 401, 404),
    ("GET", "/ping/", 401, 404),
    ("GET", "/PING", 401, 404),
    ("GET", "/ping/../v1/status", 401, 404),
    ("GET", "/docs/../v1/status", 401, 404),
    ("GET", "/static-offline-docs/../v1/status", 404, 404),
    ("GET", "/static-offline-docs", 401, 404),
    ("GET", "/static-offline-docsX/", 401, 404),
    ("GET", "/v1/status/ping", 401, 404),
    ("GET", "/ping\x00", 401, 404),
    ("GET", "/ping;/v1/status", 401, 404),
    ("GET", "/%70ing", 401, 404),
    ("GET", "/v1//status", 401, 404),
    ("GET", "ping", 401, 404),
    ("POST", "/v1/images/", 401, 403),
    ("POST", "//v1/images", 401, 403),
    ("POST", "/V1/images", 401, 403),
    ("POST", "/v1/images/../search", 401, 403),
    ("POST", "/v1/search/../images", 401, 403),
    ("POST", "/v1/search//", 401, 403),
    ("post", "/v1/images", 401, 403),
]


@pytest.mark.parametrize(("method", "path", "without", "reading"), PATHS)
def test_what_a_path_asks_for(method, path, without, reading):
    app = service(KEYED)
    refused = ask(app, method, path)
    assert refused.status == without
    if without == 401:
        assert refused.header("www-authenticate") == 'Bearer realm="imagefinder"'
        assert refused.header("content-type") == "application/problem+json"
    assert ask(app, method, path, bearer(READ)).status == reading
    written = ask(app, method, path, bearer(WRITE)).status
    assert written not in {401, 403}


@pytest.mark.parametrize(
    ("method", "path"), [(m, p) for m, p, *_ in PATHS if p.startswith("/") and m.isupper()]
)
def test_without_keys_everyone_may_do_everything_but_what_read_only_rules_out(method, path):
    assert ask(service(), method, path).status not in {401, 403}
    read_only = ask(service(ServeOptions(read_only=True)), method, path).status
    with_key = ask(service(KEYED), method, path, bearer(READ)).status
    assert read_only == with_key


def test_a_read_only_service_refuses_keys_that_may_write_and_asks_for_a_key_first():
    app = service(ServeOptions(keys=(WRITE,), read_only=True))
    answer = ask(app, "DELETE", "/v1/images/a", bearer(WRITE))
    assert (answer.status, answer.json["detail"]) == (403, "The collection is served read-only")
    assert ask(app, "DELETE", "/v1/images/a").status == 401


KEY = READ.secret
PRESENTED = [
    ([("Authorization", f"Bearer {KEY}")], "reader"),
    ([("authorization", f"bearer {KEY}")], "reader"),
    ([("Authorization", f"BEARER   {KEY} ")], "reader"),
    ([("X-API-Key", KEY)], "reader"),
    ([("X-API-Key", KEY), ("Authorization", f"Bearer {KEY}")], "reader"),
    ([("X-API-Key", KEY), ("Authorization", "Basic cHJveHk6cHJveHk=")], "reader"),
    ([("X-API-Key", WRITE.secret.encode().decode("latin-1"))], "writer"),
    ([("X-API-Key", KEY), ("X-API-Key", "wrong")], None),
    ([("X-API-Key", KEY), *bearer(WRITE)], None),
    ([("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer wrong")], None),
    ([("Authorization", f"Bearer {KEY},wrong")], None),
    ([("Authorization", KEY)], None),
    ([("Authorization", f"Basic {KEY}")], None),
    ([("Authorization", f"Bearer{KEY}")], None),
    ([("Authorization", "Bearer")], None),
    ([("Authorization", "Bearer ")], None),
    ([("Authorization", "")], None),
    ([("X-API-Key", "")], None),
    ([("X-API-Key", KEY.upper())], None),
    ([("X-API-Key", KEY[:-1])], None),
    ([("X-API-Key", KEY + "\x00")], None),
    ([("X-API-Key", "wr\xf6ng")], None),
    ([("X-API-Key", WRITE.secret)], None),  # Latin-1, and the secret is UTF-8
    ([("X-API-Key", "reader")], None),
    ([("X-API-Key", "x" * 100_000)], None),
    ([("Cookie", f"X-API-Key={KEY}")], None),
]


@pytest.mark.parametrize(("headers", "name"), PRESENTED)
def test_ways_to_present_a_key(headers, name):
    answer = ask(service(KEYED), "GET", "/v1/status", headers)
    assert (answer.status, answer.json if name else None) == (200 if name else 401, name)


def test_a_refusal_tells_what_is_wrong_with_the_key():
    app = service(KEYED)
    wrong = ask(app, "GET", "/v1/status", [("X-API-Key", "wrong-secret")])
    assert 'error="invalid_token"' in wrong.header("www-authenticate")
    assert b"wrong-secret" not in wrong.body
    two = ask(app, "GET", "/v1/status", [("X-API-Key", "a"), ("X-API-Key", "b")])
    assert "several" in two.json["detail"]


@pytest.mark.parametrize("secret", ["", " ", " x", "x\t", "a\nb"])
def test_a_key_that_could_never_be_presented_is_refused_at_the_start(secret):
    with pytest.raises(UsageError, match="'blank'"):
        ask(service(ServeOptions(keys=(Key("blank", secret),))), "GET", "/ping")


def test_two_keys_have_two_secrets():
    with pytest.raises(UsageError, match="same secret"):
        protected(FastAPI(), ServeOptions(keys=(READ, Key("other", READ.secret, Access.WRITE))))


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("", "/ping", "/ping"),
        ("/photos", "/photos/ping", "/ping"),
        ("/photos/", "/photos/ping", "/photos/ping"),
        ("/photos", "/ping", "/ping"),
        ("/photos", "/photosping", "/photosping"),
        ("/photos", "/photos", ""),
        ("/photos", "/photos/photos/ping", "/photos/ping"),
    ],
)
def test_below_a_root_path_the_guards_read_a_path_as_the_router_does(root, path, seen):
    assert route_path({"path": path, "root_path": root}) == seen
    answer = ask(service(KEYED), "GET", path, root_path=root)
    assert answer.status == (200 if seen == "/ping" else 401)


def test_of_the_real_routes_these_are_the_ones_that_write(tmp_path):
    with served(tmp_path) as service:
        paths = service.app.openapi()["paths"]
    methods = {(method.upper(), path) for path, item in paths.items() for method in item}
    writing = {(m, p) for m, p in methods if is_writing({"method": m, "path": p})}
    assert writing == {
        ("POST", "/v1/images"),
        ("PATCH", "/v1/images/{id}"),
        ("DELETE", "/v1/images/{id}"),
        ("POST", "/v1/spaces"),
        ("PATCH", "/v1/spaces/{name}"),
    }
    without_key = {path for _, path in methods if is_open({"path": path})}
    assert without_key == {"/health", "/healthz", "/ping", "/readyz"}
