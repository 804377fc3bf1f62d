"""What browsers are kept from: other hosts' names, other sites' pages, and what headers forbid."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from fastapi import FastAPI

from imagefinder.errors import UsageError
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect import protected
from tests.asgi import ask
from tests.guarded import service

HOSTS = ServeOptions(
    allowed_hosts=("Example.org", "localhost:8000", "127.0.0.1", "::1", "*.photos.example.org")
)

HOST_HEADERS = [
    (["example.org"], 200),
    (["EXAMPLE.ORG"], 200),
    (["example.org."], 200),
    (["example.org:8000"], 200),
    (["example.org:"], 200),
    (["localhost"], 200),
    (["localhost:9999"], 200),
    (["127.0.0.1:8000"], 200),
    (["[::1]"], 200),
    (["[::1]:8000"], 200),
    (["[0:0:0:0:0:0:0:1]:8000"], 200),
    (["a.photos.example.org"], 200),
    (["a.b.photos.example.org:1"], 200),
    (["photos.example.org"], 421),
    (["evilphotos.example.org"], 421),
    (["evil.org"], 421),
    (["evil.org:8000"], 421),
    (["example.org.evil.org"], 421),
    (["sub.example.org"], 421),
    (["[::2]"], 421),
    (["127.0.0.2"], 421),
    (["127.1"], 421),
    (["2130706433"], 421),
    ([], 400),
    ([""], 400),
    ([":8000"], 400),
    (["."], 400),
    (["::1"], 400),
    (["[::1"], 400),
    (["[::1]evil.org"], 400),
    (["[not-an-address]"], 400),
    (["example.org@evil.org"], 400),
    (["evil.org@example.org"], 400),
    (["example.org/evil"], 400),
    (["example.org, evil.org"], 400),
    (["example.org evil.org"], 400),
    (["ex\xe4mple.org"], 400),
    (["example.org:port"], 400),
    (["example.org\x00"], 400),
    (["example.org\n"], 400),
    (["example.org", "evil.org"], 400),
    (["example.org", "example.org"], 400),
]


@pytest.mark.parametrize(("hosts", "status"), HOST_HEADERS, ids=lambda value: str(value)[:40])
def test_only_hosts_that_the_service_goes_by(hosts, status):
    headers = [("Host", host) for host in hosts]
    answer = ask(service(HOSTS), "GET", "/v1/status", headers)
    assert answer.status == status
    if status != 200:
        assert answer.header("content-type") == "application/problem+json"
        assert b"evil" not in answer.body
    assert ask(service(), "GET", "/v1/status", headers).status == 200
    anything = ServeOptions(allowed_hosts=("example.org", "*"))
    assert ask(service(anything), "GET", "/v1/status", headers).status == 200
    assert ask(service(HOSTS), "GET", "/ping", headers).status == 200  # orchestrators


@pytest.mark.parametrize("name", ["http://example.org", "", "a b", "*example.org", "[::g]"])
def test_an_allowed_host_is_a_host_name(name):
    with pytest.raises(UsageError, match="allowed host"):
        protected(FastAPI(), ServeOptions(allowed_hosts=(name,)))


CORS = ServeOptions(cors_origins=("https://App.Example.org/", "null-is-not-this"))
ALLOWED = ("Origin", "https://app.example.org")
HOST = ("Host", "example.org:8000")

CROSS_SITE = [
    ([HOST], True),  # curl
    ([HOST, ("Origin", "http://example.org:8000")], True),
    ([HOST, ("Origin", "https://EXAMPLE.org:8000")], True),
    ([("Host", "example.org"), ("Origin", "http://example.org")], True),
    ([("Host", "example.org"), ("Origin", "https://example.org")], True),
    ([("Host", "example.org:443"), ("Origin", "https://example.org")], True),
    ([("Host", "[::1]:80"), ("Origin", "http://[0::1]")], True),
    ([HOST, ("Sec-Fetch-Site", "same-origin"), ("Origin", "http://inside-of-a-proxy")], True),
    ([HOST, ("Sec-Fetch-Site", "none")], True),
    ([HOST, ALLOWED], True),
    ([HOST, ALLOWED, ("Sec-Fetch-Site", "cross-site")], True),
    ([HOST, ALLOWED, ("Sec-Fetch-Site", "same-site")], True),
    ([HOST, ("Sec-Fetch-Site", "cross-site")], False),
    ([HOST, ("Sec-Fetch-Site", "same-site")], False),
    ([HOST, ("Sec-Fetch-Site", "")], False),
    ([HOST, ("Sec-Fetch-Site", "something-new")], False),
    ([HOST, ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], False),
    ([HOST, ("Sec-Fetch-Site", "cross-site"), ("Origin", "http://example.org:8000")], False),
    ([HOST, ("Origin", "null")], False),
    ([HOST, ("Origin", "")], False),
    ([HOST, ("Origin", "http://evil.org")], False),
    ([HOST, ("Origin", "http://evil.org:8000")], False),
    ([HOST, ("Origin", "http://example.org")], False),  # another port is another origin
    ([("Host", "example.org:80"), ("Origin", "https://example.org")], False),
    ([HOST, ("Origin", "http://example.org:8000.evil.org")], False),
    ([HOST, ("Origin", "http://evil.org/http://example.org:8000")], False),
    ([HOST, ("Origin", "http://example.org:8000@evil.org")], False),
    ([HOST, ("Origin", "example.org:8000")], False),
    ([HOST, ("Origin", "file://example.org:8000")], False),
    ([HOST, ("Origin", "chrome-extension://abc")], False),
    ([HOST, ("Origin", "https://app.example.org.evil.org")], False),
    ([HOST, ("Origin", "http://app.example.org")], False),
    ([HOST, ALLOWED, ("Origin", "https://evil.org")], False),
    ([("Origin", "http://example.org:8000")], False),  # no host to compare with
]


@pytest.mark.parametrize(("headers", "passes"), CROSS_SITE, ids=lambda value: str(value)[:70])
def test_pages_of_other_sites_make_no_work_and_change_nothing(headers, passes):
    app = service(CORS)
    for method, path in (("POST", "/v1/search"), ("DELETE", "/v1/images/a"), ("PUT", "/ping")):
        answer = ask(app, method, path, headers)
        assert (answer.status != 403) == passes
        if not passes:
            assert "Pages of other sites" in answer.json["detail"]
    assert ask(app, "GET", "/v1/status", headers).status == 200


def test_without_cors_no_origin_is_allowed_and_none_is_told():
    answer = ask(service(), "POST", "/v1/search", [HOST, ALLOWED])
    assert answer.status == 403
    assert answer.header("access-control-allow-origin") is None
    asked = [*[HOST, ALLOWED], ("Access-Control-Request-Method", "POST")]
    assert ask(service(), "OPTIONS", "/v1/search", asked).status == 405


def test_every_origin_can_be_allowed():
    app = service(ServeOptions(cors_origins=("*",)))
    answer = ask(app, "POST", "/v1/search", [HOST, ("Origin", "null")])
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "*"


# headers

SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/status", 200), ("/nothing", 404), ("/boom", 500), ("/docs", 200), ("/redoc", 200)],
)
def test_security_headers_are_on_every_answer(path, status):
    answer = ask(service(), "GET", path)
    assert answer.status == status
    assert {name: answer.header(name) for name in SECURITY} == SECURITY
    assert "default-src 'none'" in answer.header("content-security-policy")
    assert "frame-ancestors 'none'" in answer.header("content-security-policy")


def test_answers_of_the_api_may_load_nothing():
    policy = ask(service(), "GET", "/v1/status").header("content-security-policy")
    assert "unsafe" not in policy
    assert "'self'" not in policy


def test_a_route_keeps_what_it_says_itself():
    answer = ask(service(), "GET", "/own-headers")
    assert answer.header("cache-control") == "max-age=60"
    assert answer.header("x-frame-options") == "SAMEORIGIN"
    assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_the_docs_may_run_their_own_scripts_and_no_others(path):
    answer = ask(service(), "GET", path)
    policy = dict(
        part.split(maxsplit=1) for part in answer.header("content-security-policy").split("; ")
    )
    page = answer.body.decode()
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{b64encode(sha256(s.encode()).digest()).decode()}'" for s in inline]
    assert policy["script-src"].split() == ["'self'", *hashes]
    assert len(inline) == (0 if path == "/redoc" else 1)
    assert policy["worker-src"] == "blob:"
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith("/static-offline-docs/") for source in sources)


def test_what_the_docs_load_is_kept_and_asked_for_again():
    answer = ask(service(), "GET", "/static-offline-docs/swagger-ui.css")
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("etag")


@pytest.mark.parametrize(
    ("options", "path", "policy"),
    [
        (CORS, "/v1/images/a/b.jpg/thumbnail", "cross-origin"),
        (CORS, "/v1/images/a/content", "cross-origin"),
        (CORS, "/v1/images/a", "same-origin"),
        (CORS, "/v1/status", "same-origin"),
        (ServeOptions(), "/v1/images/a/b.jpg/thumbnail", "same-origin"),
    ],
)
def test_pictures_are_shown_by_other_sites_only_where_some_are_allowed(options, path, policy):
    assert ask(service(options), "GET", path).header("cross-origin-resource-policy") == policy
