"""Searching 200,000 embeddings of 256 dimensions in the embedded store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import fresh, vectors
from benchmarks.results import Figure
from imagefinder import ImageFinder, ImageRecord
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.filters import parse_filter
from imagefinder.protocols import VectorStore
from imagefinder.stores.ledger import IMPORTED, SpaceEntry

K = 10
LABELS = 100  # so a filter on one keeps 1%
SMALLEST = 4_000_000  # bytes; every image has another size
BATCH = 1000
THREADS = 4


def run(quick: bool) -> list[Figure]:
    """The size of DESIGN's table, with its targets."""
    return measured(5_000 if quick else 200_000, targets=True)


def measured(count: int, *, targets: bool) -> list[Figure]:
    rows, queries = vectors(count)
    path = fresh("search")
    figures = list(filled(path, rows))
    start = perf_counter()
    with ImageFinder.open(path) as finder:
        assert finder.search(f"id:{name(0)}", k=1)[0].id == name(0)
        figures.append(Figure("open and search once", (perf_counter() - start,), "s"))
        by_id = milliseconds(lambda i: finder.search(f"id:{name(i)}", k=K), len(queries))
    collection = DirectoryCollection(path, "search")
    try:
        figures += searched(collection.store("bench"), rows, queries, targets=targets)
    finally:
        collection.close()
    return [*figures, Figure("p50 through ImageFinder.search", (percentile(by_id, 50),), "ms")]


def filled(path: Path, rows: NDArray[np.float32]) -> Iterator[Figure]:
    """A new collection that holds the rows, and what making it took."""
    collection = DirectoryCollection(path, "search", create=True)
    try:
        store = collection.add_space(SpaceEntry("bench", f"{IMPORTED}bench", rows.shape[1], ""))
        start = perf_counter()
        for first in range(0, len(rows), BATCH):
            some = rows[first : first + BATCH]
            store.upsert([record(first + i) for i in range(len(some))], some)
        yield Figure("insert", (perf_counter() - start,), "s")
        start = perf_counter()
        store.optimize()
        yield Figure("optimize", (perf_counter() - start,), "s")
    finally:
        collection.close()


def searched(
    store: VectorStore, rows: NDArray[np.float32], queries: NDArray[np.float32], *, targets: bool
) -> Iterator[Figure]:
    def search(i: int) -> list[str]:
        return [hit.record.id for hit in store.search(queries[i : i + 1], K)[0]]

    def in_one_label(i: int) -> None:
        store.search(queries[i : i + 1], K, filter=parse_filter(f'label == "l{i % LABELS}"'))

    def in_one_range(i: int) -> None:
        first = SMALLEST + i * (len(rows) // len(queries)) // 2
        range_ = f"size >= {first} and size < {first + len(rows) // LABELS}"
        store.search(queries[i : i + 1], K, filter=parse_filter(range_))

    plain = milliseconds(search, len(queries))
    filtered = milliseconds(in_one_label, len(queries))
    in_range = milliseconds(in_one_range, len(queries))
    recall = np.mean(
        [
            len({name(j) for j in truth} & set(search(i))) / K
            for i, truth in enumerate(closest(rows, queries))
        ]
    )
    yield Figure("p50", (percentile(plain, 50),), "ms", at_most=1.0 if targets else None)
    yield Figure("p99", (percentile(plain, 99),), "ms")
    yield Figure("recall@10", (float(recall),), "", at_least=0.995 if targets else None)
    at_most = 2.0 if targets else None
    yield Figure("p50 with a label that keeps 1%", (percentile(filtered, 50),), "ms", at_most)
    yield Figure("p50 with a range that keeps 1%", (percentile(in_range, 50),), "ms", at_most)
    yield Figure(f"{THREADS} threads", (throughput(search, len(queries)),), "queries/s")


def record(number: int) -> ImageRecord:
    return ImageRecord(
        id=name(number),
        uri=f"/photographs/{name(number)}",
        sha256=f"{number:064x}",
        width=4000,
        height=3000,
        format="jpeg",
        size=SMALLEST + number,
        metadata={"label": f"l{number % LABELS}"},
    )


def name(number: int) -> str:
    return f"{number // BATCH:04}/{number:07}.jpg"


def closest(rows: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n, K): the truth, by looking at everything."""
    some = (queries[first : first + 100] for first in range(0, len(queries), 100))
    return np.concatenate([np.argpartition(-(part @ rows.T), K)[:, :K] for part in some])


def milliseconds(work: Callable[[int], object], times: int) -> list[float]:
    for i in range(min(times, 50)):  # the first ones read the index from the disk
        work(i)
    took = []
    for i in range(times):
        start = perf_counter()
        work(i)
        took.append((perf_counter() - start) * 1000)
    return took


def throughput(work: Callable[[int], object], times: int) -> float:
    with ThreadPoolExecutor(THREADS) as pool:
        start = perf_counter()
        list(pool.map(work, list(range(times)) * THREADS))
        return times * THREADS / (perf_counter() - start)


def percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))
