"""Searching 100,000 images over HTTP, beside the same searches in process."""

import os
from hashlib import sha256
from pathlib import Path
from statistics import median

from benchmarks.data import BENCH, fresh, vectors
from benchmarks.load.plan import Outcome, Plan, carried_out
from benchmarks.photographs import uploads
from benchmarks.results import Figure
from benchmarks.search import percentile, record
from benchmarks.search_run import searches_per_second
from benchmarks.server import Server, serving
from imagefinder import ImageFinder, exchange
from imagefinder.models import DEFAULT_MODEL, find_model
from imagefinder.serve.options import ServeOptions
from imagefinder.serve.service import THREADS_A_CORE

CORES = os.cpu_count() or 1
CLIENTS = 16
PLACES = THREADS_A_CORE * CORES + ServeOptions().max_waiting  # requests that are taken on at once
OVERLOADS = 3  # runs
OVERLOAD = 2.0  # times what the service can do
PING_EVERY = 0.02  # seconds


def run(quick: bool) -> list[Figure]:
    """Service and searches in process take turns; a ratio is of neighbours."""
    rounds, seconds = (1, 3.0) if quick else (5, 10.0)
    path, folder = collection(2_000 if quick else 100_000), uploads(24 if quick else 500)
    alone, full, in_process = [], [], []
    for _ in range(rounds):
        in_process.append(searches_per_second(path, folder, seconds))
        with serving(path) as server:
            alone.append(carried_out(Plan(server.port, str(folder), seconds)))
            full.append(carried_out(Plan(server.port, str(folder), seconds, CLIENTS)))
    with serving(path) as server:
        pinged = carried_out(
            Plan(server.port, str(folder), 3 * seconds, CLIENTS, ping_every=PING_EVERY)
        )
        capacity = median(outcome.rate for outcome in full)
        over = [overloaded(server, folder, 2 * seconds, capacity) for _ in range(OVERLOADS)]
    return [
        *times("one client", alone, at_most=15),
        *times(f"{CLIENTS} clients", full),
        *rates(full, in_process),
        *pings(f"{CLIENTS} clients", [pinged], at_most=50),
        *overload(over, capacity),
    ]


def collection(count: int) -> Path:
    """One with so many drawn embeddings of the model's space, made once."""
    spec = find_model(DEFAULT_MODEL).spec
    assert spec is not None
    version = sha256(spec.fingerprint.encode()).hexdigest()[:8]
    path = BENCH / f"collection-{count}-{version}"
    if path.exists():
        return path
    rows, _ = vectors(count, spec.dim, queries=0)
    new = fresh("collection.new")  # what is interrupted is made anew
    file = fresh("collection.npz.new") / "embeddings.npz"
    file.parent.mkdir()
    pairs = ((record(number), row) for number, row in enumerate(rows))
    exchange.write(file, pairs, model=spec.fingerprint, dim=spec.dim)
    with ImageFinder.open(new) as finder:
        finder.import_embeddings(file)
        finder.optimize()
        assert len(finder) == count
    file.unlink()
    return new.rename(path)


def overloaded(server: Server, folder: Path, seconds: float, capacity: float) -> Outcome:
    """Twice as many searches as can be answered, sent whether the others are answered or not."""
    plan = Plan(server.port, str(folder), seconds, rate=OVERLOAD * capacity, ping_every=PING_EVERY)
    outcome = carried_out(plan, refusals=True)
    sent = (len(outcome.answered) + len(outcome.refused)) / seconds
    assert sent > 0.9 * plan.rate, f"{sent:.0f} requests/s were sent, {plan.rate:.0f} were due"
    return outcome


def times(who: str, outcomes: list[Outcome], at_most: float | None = None) -> list[Figure]:
    middle = tuple(percentile(outcome.answered, 50) for outcome in outcomes)
    worst = tuple(percentile(outcome.answered, 99) for outcome in outcomes)
    return [
        Figure(f"p50, {who}", middle, "ms", at_most),
        Figure(f"p99, {who}", worst, "ms"),
    ]


def rates(full: list[Outcome], in_process: list[float]) -> list[Figure]:
    """The limit is what is left for searches in process when the load has taken its share."""
    raw = [outcome.rate / rate for outcome, rate in zip(full, in_process, strict=True)]
    loads = [outcome.cpu_seconds / (CORES * outcome.seconds) for outcome in full]
    charged = tuple(ratio / (1 - load) for ratio, load in zip(raw, loads, strict=True))
    return [
        Figure(f"{CLIENTS} clients", tuple(outcome.rate for outcome in full), "requests/s"),
        Figure(f"in process, {CORES} threads", tuple(in_process), "searches/s"),
        Figure("processor time that the clients took", tuple(100 * load for load in loads), "%"),
        Figure("of the rate in process", tuple(raw), ""),
        Figure("of what the clients leave of it", charged, "", at_least=0.6),
    ]


def pings(when: str, outcomes: list[Outcome], at_most: float | None = None) -> list[Figure]:
    worst = tuple(percentile(outcome.pings, 99) for outcome in outcomes)
    return [
        Figure(f"/ping, p99, {when}", worst, "ms", at_most),
        Figure(f"/ping, slowest, {when}", tuple(max(outcome.pings) for outcome in outcomes), "ms"),
    ]


def overload(outcomes: list[Outcome], capacity: float) -> list[Figure]:
    """Whoever gets a place waits for those before him: `PLACES / capacity` seconds, and some more
    for what refusing the others takes."""
    bound = 1000 * PLACES / capacity
    worst = [percentile(outcome.answered, 99) for outcome in outcomes]
    refused = [len(o.refused) / (len(o.answered) + len(o.refused)) for o in outcomes]
    failed = tuple(float(sum(outcome.failures.values())) for outcome in outcomes)
    when = f"at {OVERLOAD:g} times the capacity"
    return [
        Figure(f"p99 of those answered, {when}", tuple(worst), "ms"),
        Figure("what the places allow", (bound,), "ms"),
        Figure("p99 in times what the places allow", tuple(p99 / bound for p99 in worst), "x", 1.5),
        Figure(f"answered, {when}", tuple(o.rate / capacity for o in outcomes), "of it"),
        Figure(f"refused with 503, {when}", tuple(100 * part for part in refused), "%"),
        Figure(
            f"p99 of a refusal, {when}", tuple(percentile(o.refused, 99) for o in outcomes), "ms"
        ),
        Figure(f"failed otherwise, {when}", (sum(failed),), "", at_most=0),
        *pings(when, outcomes),
    ]
