"""A collection in Milvus: what an image costs there, as it grows, with each index.

What it is for is the capacity plan (`benchmarks/capacity.py`), so the figures are of the server's
process alone: clients and server share this machine's cores, in a cluster they do not.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import fresh, vectors
from benchmarks.milvus_search import Searching, searching
from benchmarks.milvus_server import Measured, measured_server
from benchmarks.results import Figure
from benchmarks.search import closest, filled, milliseconds, name, percentile, record, throughput
from imagefinder.collection import Collection, open_collection
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.home import find_place
from imagefinder.stores.ledger import IMPORTED, ImageEntry, SpaceEntry

INDEXES = ("hnsw", "ivf_sq8")
SIZES = (50_000, 100_000, 200_000)
QUICK = (3_000, 6_000)
QUERIES, QUICK_QUERIES = 300, 50
EMBEDDED = 1  # of the sizes: the one that the embedded store is measured at
BATCH = 1000
SPACE = "bench"


@dataclass(frozen=True, slots=True)
class Step:
    """What a collection is like once it has so many images. Seconds are of what was added."""

    images: int
    insert_seconds: float
    ledger_seconds: float
    build_seconds: float
    cpu_seconds: float  # of the server, from the first insert until everything is indexed
    segments: int
    memory: int  # bytes of the server's
    disk_bytes: int
    search: Searching


@dataclass(slots=True)
class Course:
    """One index, from nothing to the largest size."""

    index: str
    nothing: int  # bytes of the server's memory
    steps: list[Step] = field(default_factory=list)


def run(quick: bool) -> list[Figure]:
    """Minutes, and gigabytes."""
    sizes, queries = (QUICK, QUICK_QUERIES) if quick else (SIZES, QUERIES)
    rows, asked = vectors(sizes[-1], queries=queries)
    figures: list[Figure] = []
    for index in INDEXES:
        course = measured(index, sizes, rows, asked, quick=quick)
        figures += told(course)
    return figures + list(embedded(sizes[EMBEDDED], rows, asked))


def measured(
    index: str,
    sizes: tuple[int, ...],
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    quick: bool,
) -> Course:
    """Fill a collection on a server of its own, and stop to look at each size."""
    with measured_server(quick=quick) as server:
        with server.frugal():
            course = Course(index, server.settled_memory())
        where = f"milvus://{server.address}/bench?index={index}"
        first = 0
        for size in sizes:
            print(f"  {index}: {size:,} images", flush=True)
            with closing(open_collection(find_place(where), create=True)) as collection:
                step = added(server, collection, rows, first, size)
            course.steps.append(looked_at(server, where, step, rows[:size], queries))
            first = size
        return course


@dataclass(frozen=True, slots=True)
class Added:
    """The part of a Step that writing is."""

    images: int
    insert_seconds: float
    ledger_seconds: float
    build_seconds: float
    cpu_seconds: float


def added(
    server: Measured, collection: Collection, rows: NDArray[np.float32], first: int, size: int
) -> Added:
    """Images `first` to `size` into the collection, and everything indexed."""
    if SPACE not in collection.spaces():
        collection.add_space(SpaceEntry(SPACE, f"{IMPORTED}bench", rows.shape[1], ""))
    store = collection.store(SPACE)
    source = collection.ledger.source("/photographs", "/photographs")
    cpu_before, start = server.cpu_seconds(), perf_counter()
    insert, ledger = 0.0, 0.0
    for number in range(first, size, BATCH):
        numbers = range(number, min(number + BATCH, size))
        begun = perf_counter()
        store.upsert(list(map(record, numbers)), rows[numbers.start : numbers.stop])
        insert += perf_counter() - begun
        begun = perf_counter()
        collection.ledger.acknowledge([entry(number, source) for number in numbers])
        ledger += perf_counter() - begun
    begun = perf_counter()
    store.optimize()
    build = perf_counter() - begun
    server.settled_segments(lambda: segments(collection, store))
    cpu, took = server.cpu_seconds() - cpu_before, perf_counter() - start
    return Added(size, insert, ledger, build, cpu - took * server.idle_cores())


def looked_at(
    server: Measured,
    where: str,
    step: Added,
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
) -> Step:
    """With a server that is started anew, so that its memory is what searching takes."""
    with server.frugal(), closing(open_collection(find_place(where))) as collection:
        store = collection.store(SPACE)
        assert store.count() == collection.ledger.count() == len(rows)
        store.search(queries[:1], 1)
        memory = server.settled_memory()
        disk = server.disk_bytes(segments(collection, store))
    with closing(open_collection(find_place(where))) as collection:
        store = collection.store(SPACE)
        found = searching(server, store, rows, queries)
        of_space = len(collection._connection.client().list_loaded_segments(store._name))
    return Step(
        step.images,
        step.insert_seconds,
        step.ledger_seconds,
        step.build_seconds,
        step.cpu_seconds,
        of_space,
        memory,
        disk,
        found,
    )


def segments(collection: Any, store: Any) -> frozenset[str]:
    """Those of the space and of the ledger, as they are on the disk."""
    client = collection._connection.client()
    found = [client.list_persistent_segments(name) for name in (store._name, "bench__images")]
    return frozenset(str(each.segment_id) for some in found for each in some)


def entry(number: int, source: int) -> ImageEntry:
    """What the ledger has of an image."""
    image = record(number)
    return ImageEntry(image.id, source, image.id, image.size, number, image.sha256, "")


def told(course: Course) -> Iterator[Figure]:
    """A figure for each step, and what an image costs: the slope from the first to the last."""
    index, steps = course.index, course.steps
    first, last = steps[0], steps[-1]
    images = last.images - first.images

    def an_image(of: Callable[[Step], float]) -> tuple[float, ...]:
        return ((of(last) - of(first)) / images,)

    before = 0
    for step in steps:
        of = f"{index}, {step.images:,}"
        new = step.images - before
        before = step.images
        yield Figure(f"{of}: insert", (new / step.insert_seconds,), "images/s")
        yield Figure(f"{of}: ledger", (new / step.ledger_seconds,), "images/s")
        yield Figure(f"{of}: build", (step.build_seconds,), "s")
        yield Figure(f"{of}: processor time an image", (1000 * step.cpu_seconds / new,), "ms")
        yield Figure(f"{of}: segments", (step.segments,), "")
        yield Figure(f"{of}: memory", (step.memory / 1e6,), "MB")
        yield Figure(f"{of}: disk", (step.disk_bytes / 1e6,), "MB")
        yield from of_searching(of, step.search)
    yield Figure(f"{index}: memory of a server without images", (course.nothing / 1e6,), "MB")
    yield Figure(f"{index}: memory an image", an_image(lambda step: step.memory), "bytes")
    yield Figure(f"{index}: disk an image", an_image(lambda step: step.disk_bytes), "bytes")


def of_searching(of: str, search: Searching) -> Iterator[Figure]:
    yield Figure(f"{of}: recall@10", (search.recall,), "")
    yield Figure(f"{of}: p50, 1 client", (search.p50,), "ms")
    yield Figure(f"{of}: 1 client", (search.one_client,), "queries/s")
    yield Figure(f"{of}: 4 clients", (search.four_clients,), "queries/s")
    yield Figure(f"{of}: processor time a search", (search.cpu_ms,), "ms")
    if search.effort is not None:
        yield Figure(f"{of}: {search.effort_name} for recall 0.99", (search.effort,), "")
        yield Figure(f"{of}: processor time a search with it", (search.effort_cpu_ms,), "ms")


def embedded(
    size: int, rows: NDArray[np.float32], queries: NDArray[np.float32]
) -> Iterator[Figure]:
    """The embedded store with as many images, in this process."""
    path: Path = fresh("search")
    of = f"embedded, {size:,}"
    yield from (
        Figure(f"{of}: {one.name}", one.runs, one.unit) for one in filled(path, rows[:size])
    )
    with closing(DirectoryCollection(path, "search")) as collection:
        store = collection.store(SPACE)

        def search(number: int) -> list[str]:
            found = store.search(queries[number : number + 1], 10)[0]
            return [hit.record.id for hit in found]

        took = milliseconds(search, len(queries))
        truth = closest(rows[:size], queries)
        found = [{name(n) for n in row} & set(search(i)) for i, row in enumerate(truth)]
        yield Figure(f"{of}: recall@10", (float(np.mean([len(one) / 10 for one in found])),), "")
        yield Figure(f"{of}: p50, 1 client", (percentile(took, 50),), "ms")
        yield Figure(f"{of}: 4 clients", (throughput(search, len(queries)),), "queries/s")
