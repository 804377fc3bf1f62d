"""Rate limits: who is counted as one, when the window moves, and what it costs."""

import subprocess
import sys

import pytest
from fastapi import FastAPI

from imagefinder.errors import UsageError
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.protect import protected
from imagefinder.serve.protect.rate import MOST_CLIENTS, Limiter
from tests.asgi import ask
from tests.guarded import READ, WRITE, bearer, service


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limited(limit: str, **options) -> FastAPI:
    return service(ServeOptions(rate_limit=limit, **options))


def test_too_many_requests_are_told_when_to_come_again():
    app = limited("2/hour")
    assert [ask(app, "GET", "/v1/status").status for _ in range(3)] == [200, 200, 429]
    refused = ask(app, "GET", "/v1/status")
    assert 3590 <= int(refused.header("retry-after")) <= 3600
    assert refused.header("content-type") == "application/problem+json"
    assert {ask(app, "GET", path).status for path in ("/ping", "/docs", "/openapi.json")} == {200}


def test_each_key_has_its_own_count_wherever_it_comes_from():
    app = limited("1/hour", keys=(READ, WRITE))
    assert ask(app, "GET", "/v1/status", bearer(READ)).status == 200
    assert ask(app, "GET", "/v1/status", bearer(READ), client="10.0.0.9").status == 429
    assert ask(app, "GET", "/v1/status", bearer(WRITE)).status == 200


def test_wrong_keys_are_counted_by_address_and_never_at_the_cost_of_right_ones():
    app = limited("2/hour", keys=(READ,))
    tried = [ask(app, "GET", "/v1/status", [("X-API-Key", str(n))]).status for n in range(3)]
    assert tried == [401, 401, 429]
    assert ask(app, "GET", "/v1/status", bearer(READ)).status == 200


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix-peer", "unix-peer", True),
        (None, None, True),
    ],
)
def test_addresses_that_are_one_client(first, second, same):
    app = limited("1/hour")
    assert ask(app, "GET", "/v1/status", client=first).status == 200
    assert ask(app, "GET", "/v1/status", client=second).status == (429 if same else 200)


def test_the_window_moves():
    time = Time()
    limiter = Limiter("2/minute", time)
    assert limiter.wait("a") == 0
    time.now += 40
    assert limiter.wait("a") == 0
    time.now += 10
    assert limiter.wait("a") == pytest.approx(10)
    time.now += 10
    assert limiter.wait("a") == 0  # the first one is a minute ago
    assert limiter.wait("a") == pytest.approx(40)


def test_of_several_limits_the_strictest_holds_and_refusals_count_for_none():
    time = Time()
    limiter = Limiter("1/second; 3/minute", time)
    assert [limiter.wait("a") for _ in range(3)] == [0, pytest.approx(1), pytest.approx(1)]
    for _ in range(2):
        time.now += 1
        assert limiter.wait("a") == 0
    assert limiter.wait("a") == pytest.approx(58)


def test_memory_is_bounded_by_forgetting_the_quietest_clients():
    limiter = Limiter("1/day", Time())
    for number in range(MOST_CLIENTS + 1):
        assert limiter.wait(str(number)) == 0
    assert limiter.wait("0") == 0  # forgotten
    assert limiter.wait(str(MOST_CLIENTS)) > 0
    windows = limiter._windows.storage._windows
    assert len(windows) == MOST_CLIENTS


def test_the_one_that_is_forgotten_is_the_one_that_was_quiet(monkeypatch):
    monkeypatch.setattr("imagefinder.serve.protect.rate.MOST_CLIENTS", 2)
    limiter = Limiter("2/day", Time())
    assert [limiter.wait(client) for client in "abac"] == [0] * 4
    assert limiter.wait("a") > 0


def test_many_requests_of_few_clients_are_bounded_too(monkeypatch):
    monkeypatch.setattr("imagefinder.serve.protect.rate.MOST_ENTRIES", 10)
    time = Time()
    limiter = Limiter("8/minute", time)
    for client in "abc":
        assert [limiter.wait(client) for _ in range(4)] == [0] * 4
    storage = limiter._windows.storage
    assert storage._entries == sum(map(len, storage._windows.values())) == 8
    time.now += 61
    assert limiter.wait("c") == 0
    assert storage._entries == sum(map(len, storage._windows.values())) == 5


@pytest.mark.parametrize("limit", ["", "many", "120", "120/fortnight", "0/minute", "-1/minute"])
def test_a_limit_that_makes_no_sense_is_refused_at_the_start(limit):
    with pytest.raises(UsageError, match="rate limit"):
        protected(FastAPI(), ServeOptions(rate_limit=limit))


def test_limits_cost_no_start_time_unless_they_are_set():
    code = "import sys, imagefinder.serve.protect; assert 'limits' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
