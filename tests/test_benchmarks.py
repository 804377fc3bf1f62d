import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import pytest

from benchmarks import page, results, service, soak
from benchmarks.load.http import Answer
from benchmarks.load.plan import LoadError, Outcome, Plan, carried_out
from benchmarks.load.tally import Tally
from benchmarks.results import Figure

HITS = b'{"hits":[{"id":"a"}]}'
Answering = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: bytes = HITS, **headers: str) -> Answering:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


@contextmanager
def service_that(answers: Answering) -> Iterator[int]:
    """Its port; it answers every POST alike, and pings."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert b"a picture" in self.rfile.read(int(self.headers["Content-Length"]))
            answers(self)

        def do_GET(self) -> None:
            answer(200, b'"pong"')(self)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def plan(port: int, folder: Path, **more: float) -> Plan:
    (folder / "a.jpg").write_bytes(b"a picture")
    return Plan(port, str(folder), **{"seconds": 0.5, "warm_up": 0.1, **more})


def test_a_figure_is_the_median_and_meets_its_target_or_not() -> None:
    rate = Figure("rate", (30.0, 10.0, 20.0), "images/s", at_least=20)
    assert (rate.value, rate.met) == (20.0, True)
    assert Figure("time", (0.5,), "s", at_most=0.4).met is False
    assert Figure("time", (0.5,), "s").met is None


def test_a_run_is_shown_beside_its_target_and_the_last_result() -> None:
    figures = [
        Figure("rate", (22.0,), "images/s", at_least=20),
        Figure("size", (400.0,), "MB", at_most=350),
        Figure("time", (1.0,), "s"),
    ]
    rate, size, time = results.table(figures, {"rate": 20.0, "size": 500.0}).splitlines()
    assert rate.split() == ["rate", "22", "images/s", "at", "least", "20", "met", "+10%"]
    assert size.split() == ["size", "400", "MB", "at", "most", "350", "MISSED", "-20%"]
    assert time.split() == ["time", "1", "s", "new"]


def test_the_page_says_what_the_results_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.rendered(text) == text, "write it anew: python -m benchmarks.page"


def test_clients_that_wait_are_as_fast_as_their_service(tmp_path: Path) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        sleep(0.05)
        answer(200)(handler)

    with service_that(slow) as port:
        outcome = carried_out(plan(port, tmp_path, clients=4, ping_every=0.05))
    assert 4 <= len(outcome.answered) <= 4 * 10
    assert min(outcome.answered) >= 50
    assert 5 <= len(outcome.pings) <= 10
    assert 0 < outcome.cpu_seconds < 0.5


def test_a_load_at_a_rate_goes_on_when_no_answer_comes(tmp_path: Path) -> None:
    under_way, go_on = [0], threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        under_way.append(under_way[-1] + 1)
        if under_way[-1] >= 20 or not go_on.wait(5):
            go_on.set()
        under_way.append(under_way[-1] - 1)
        answer(200)(handler)

    with service_that(wait) as port:
        outcome = carried_out(plan(port, tmp_path, rate=100.0, warm_up=0.0))
    assert max(under_way) >= 20  # a load that waits for answers has 1
    assert 25 < len(outcome.answered) < 80
    assert max(outcome.answered) > 100  # the wait counts


def test_refusals_are_told_apart_where_they_may_be(tmp_path: Path) -> None:
    with service_that(answer(503, Retry_After="1")) as port:
        outcome = carried_out(plan(port, tmp_path, rate=50.0), refusals=True)
        assert (outcome.answered, outcome.failures) == ([], {})
        assert len(outcome.refused) > 10
        with pytest.raises(LoadError, match="refused"):
            carried_out(plan(port, tmp_path))


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        (answer(500), "status 500"),
        (answer(503), "status 503"),  # says not when to come again
        (answer(200, b'{"hits":[]}'), "status 200"),
        (reset, "IncompleteReadError"),
    ],
)
def test_any_other_failure_fails_the_benchmark(
    tmp_path: Path, failing: Answering, told: str
) -> None:
    with service_that(failing) as port, pytest.raises(LoadError, match=told):
        carried_out(plan(port, tmp_path, seconds=0.1), refusals=True)


def test_the_clients_time_is_charged_to_the_limit() -> None:
    full = Outcome(answered=[100.0] * 600, seconds=10.0, cpu_seconds=0.2 * 10 * service.CORES)
    figures = {figure.name: figure for figure in service.rates([full], [100.0])}
    assert figures["of the rate in process"].value == pytest.approx(0.6)
    assert figures["of what the clients leave of it"].value == pytest.approx(0.6 / 0.8)


def test_a_wait_at_overload_is_bounded_by_the_places() -> None:
    bound = 1000 * service.PLACES / 100  # at 100 requests a second
    for wait, met in ((1.4 * bound, True), (1.6 * bound, False)):
        outcome = Outcome(answered=[wait] * 10, refused=[1.0] * 10, pings=[1.0], seconds=1.0)
        figures = service.overload([outcome], capacity=100.0)
        assert [figure.met for figure in figures if "p99 in times" in figure.name] == [met]


def test_only_what_is_not_the_clients_fault_counts_against_a_service() -> None:
    tally = Tally()
    for status in (200, 404, 503, 500, 418):
        tally.book("search", Answer(status, b"", b""), (200, 404))
    tally.lose("search", ConnectionResetError())
    assert (tally.server_errors, tally.unexpected, tally.lost) == (1, 1, 1)
    assert list(tally.faults) == ["search: 500", "search: 418", "search: ConnectionResetError"]


def test_memory_is_compared_after_the_warm_up() -> None:
    memory = [(float(at), 100 if at < 20 else 200 if at < 75 else 210) for at in range(100)]
    soaked = soak.Soaked(100.0, Tally(), memory)
    assert (soaked.before, soaked.after) == (200, 210)
