import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from benchmarks import models, page, results, service, soak
from benchmarks.load.http import Answer
from benchmarks.load.plan import LoadError, Outcome, Plan, carried_out
from benchmarks.load.tally import Tally
from benchmarks.model_run import Quality, measured, quality_of
from benchmarks.results import Figure
from imagefinder.models import DEFAULT_MODEL, RowModel, catalog, find_model
from tests.hub_catalog import at_the_rows_commits
from tests.hub_server import HubServer, hub
from tests.small_graphs import pooled_network, repositories

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


def test_the_model_table_is_that_of_the_last_result() -> None:
    page = models.rendered(models.last())
    assert page == models.PAGE.read_text(encoding="utf-8"), (
        "make it anew: python -m benchmarks.models"
    )
    cells = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [line[0].strip("|` ") for line in cells] == 2 * list(catalog())
    assert [line[0].strip("|` ") for line in cells if "real files" in line[-1]] == [DEFAULT_MODEL]


def test_a_model_table_without_figures_has_none() -> None:
    page = models.rendered({})
    assert "Nothing was measured yet." in page
    assert page.count("not measured") == len(catalog())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub(repositories(), monkeypatch, tmp_path) as server:
        at_the_rows_commits(server)
        yield server


def test_every_row_of_the_catalogue_can_be_measured(server: HubServer) -> None:
    for model in map(RowModel, catalog().values()):
        model.pull()
        server.requests.clear()
        run = measured(model, rounds=2, images=10)
        assert server.requests == []
        assert run.dim == model.row.dim
        assert len(run.images_per_second) == 2
        assert run.quality.low < run.quality.mean_average_precision < run.quality.high
        if model.graph is not None:
            files = repositories()[model.graph.repository]
            assert run.graph_bytes == len(files[model.graph.path])


def test_what_is_here_is_measured_in_processes_and_fills_its_rows(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(pooled_network(32))
    config = repositories()["Qdrant/resnet50-onnx"]["preprocessor_config.json"]
    (folder / "preprocessor_config.json").write_bytes(config)
    for name in ("clip-vit-b32", "dinov2-small:fp16"):
        find_model(name).pull()  # type: ignore[attr-defined]
    server.requests.clear()
    figures = models.run(True, [find_model(str(folder))])
    assert server.requests == []
    values = {figure.name: figure.value for figure in figures}
    dims = {DEFAULT_MODEL: 256, "clip-vit-b32": 512, "dinov2-small:fp16": 384, "my-model": 32}
    assert {name: values[f"{name}: dimension"] for name in dims} == dims
    assert len(figures) == 9 * len(dims)
    assert values["my-model: graph"] == len(pooled_network(32)) / 1e6
    assert all(values[f"{name}: images embedded"] > 0 for name in dims)
    assert all(30 < values[f"{name}: peak memory"] < 1000 for name in dims)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    results.keep("models", figures)
    page = models.rendered(models.last())
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    facts, measured_ones = lines[: len(catalog())], lines[len(catalog()) :]
    assert "\n".join(facts) in models.rendered({})
    others = ["dinov2-small:fp16", "my-model"]
    assert [line.split("`")[1] for line in measured_ones] == [*catalog(), *others]
    filled = [line.split("`")[1] for line in measured_ones if "not measured" not in line]
    assert filled == list(dims)


def test_quality_is_of_directions_and_of_labels() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 6)
    apart = np.repeat(np.eye(3), 6, axis=0) + 0.1 * random.standard_normal((18, 3))
    lengths = random.uniform(0.1, 10, (18, 1))
    assert quality_of((apart * lengths).astype(np.float32), labels) == Quality(1, 1, 1, 1, 1)
    mixed = quality_of(apart.astype(np.float32), np.array([*"abc"] * 6))
    assert 0.1 < mixed.low < mixed.mean_average_precision < mixed.high < 0.6


def test_the_built_in_model_finds_images_of_the_same_label() -> None:
    run = measured(find_model(DEFAULT_MODEL), rounds=1, images=28)
    assert (run.dim, run.graph_bytes) == (256, 7_424_342)
    assert 0.5 < run.quality.low < run.quality.mean_average_precision < run.quality.high < 0.7
    assert 0 < run.quality.precision_at_5 <= run.quality.precision_at_1 <= 1
