"""Indexing photographs by one and by two workers of a Ray cluster, into a store that costs nothing.

Workers have one thread each. What they send back is thrown away, so that reading, decoding and
embedding, and what handing the work out costs, are all that is measured.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

from benchmarks.photographs import photographs
from benchmarks.results import Figure
from imagefinder.decode import DEFAULT_LIMITS
from imagefinder.distributed import Cluster, connected, distributed
from imagefinder.home import Place
from imagefinder.ingest import IndexOptions
from imagefinder.ingest.examine import Embedded, Examined, Examiner
from imagefinder.ingest.run import on_threads
from imagefinder.ingest.triage import Todo
from imagefinder.models import DEFAULT_MODEL, find_model
from imagefinder.protocols import VectorStore
from imagefinder.sources import open_source
from imagefinder.stores.ledger import ImageEntry, Ledger, SpaceEntry
from imagefinder.types import ImageRef, IndexReport


@dataclass(frozen=True, slots=True)
class Run:
    """One way through the photographs."""

    images_per_second: float  # once every worker has answered
    first_seconds: float  # until the first has


class Nothing:
    """In place of a ledger and a store: nothing is known, nothing is kept."""

    def with_content(self, sha256: str) -> list[ImageEntry]:
        return []


def run(quick: bool) -> list[Figure]:
    """One and two take turns, so that a machine that gets faster or slower does so for both; a
    ratio is of neighbours."""
    rounds = 1 if quick else 7
    folder = photographs(24 if quick else 500)
    here, one, two = [], [], []
    with connected("local") as cluster:
        for _ in range(rounds):
            here.append(speed(folder, None, 1))
            one.append(speed(folder, cluster, 1))
            two.append(speed(folder, cluster, 2))
    scaling = tuple(
        b.images_per_second / a.images_per_second for a, b in zip(one, two, strict=True)
    )
    handing = tuple(
        a.images_per_second / b.images_per_second for a, b in zip(one, here, strict=True)
    )
    return [
        Figure("photographs, 1 worker", rates(one), "images/s"),
        Figure("photographs, 2 workers", rates(two), "images/s"),
        Figure("from 1 worker to 2", scaling, "x", at_least=1.7),
        Figure("1 worker, of 1 thread without Ray", handing, "x"),
        Figure("until the first answer", tuple(run.first_seconds for run in two), "s"),
    ]


def rates(runs: list[Run]) -> tuple[float, ...]:
    return tuple(run.images_per_second for run in runs)


def speed(folder: Path, cluster: Cluster | None, workers: int) -> Run:
    """Of so many workers, or of as many threads of this process. The clock starts when the first
    blocks are done, as many as there are workers, so that starting them does not count."""
    start = perf_counter()
    source = open_source(folder)
    embedder = find_model(DEFAULT_MODEL).load()
    spec = embedder.spec
    space = SpaceEntry(spec.name, spec.fingerprint, spec.dim, DEFAULT_MODEL, "cosine")
    nothing = Nothing()
    examine = Examiner(
        source,
        1,
        embedder,
        cast("Ledger", nothing),
        cast("VectorStore", nothing),
        DEFAULT_LIMITS,
    )
    examined = on_threads
    if cluster is not None:
        examined = distributed(
            cluster,
            space,
            place=Place("bench", folder),
            own=None,
            device="cpu",
            limits=DEFAULT_LIMITS,
            workers=workers,
        )
    todos = (Todo(ref, None) for ref in source.items() if isinstance(ref, ImageRef))
    options = IndexOptions(workers=workers)
    with closing(examined(examine, todos, options, IndexReport())) as batches:
        times = [(perf_counter(), embedded(batch)) for batch in batches]
    times = [(when, count) for when, count in times if count]
    (began, _), (ended, _) = times[workers - 1], times[-1]
    done = sum(count for _, count in times[workers:])
    return Run(done / (ended - began), times[0][0] - start)


def embedded(batch: list[Examined]) -> int:
    """How many of them came through."""
    return sum(isinstance(one, Embedded) for one in batch)
