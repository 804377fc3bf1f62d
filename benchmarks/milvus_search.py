"""Searching a space in Milvus: recall, times, and what the server's processor does for it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.milvus_server import Measured
from benchmarks.search import closest, milliseconds, name, percentile
from imagefinder.protocols import VectorStore
from imagefinder.stores.milvus.schema import EMBEDDING, RECORD

K = 10
RECALL = 0.99
EFFORTS = {
    "HNSW": ("ef", (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)),
    "IVF_SQ8": ("nprobe", (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)),
}


@dataclass(frozen=True, slots=True)
class Searching:
    """Of one query a call. `effort`: the least of the index's own parameter that finds RECALL of
    the closest, None where none does."""

    recall: float
    p50: float  # ms
    one_client: float  # queries a second
    four_clients: float
    cpu_ms: float  # of the server's, a query
    effort_name: str
    effort: float | None
    effort_cpu_ms: float


def searching(
    server: Measured,
    store: VectorStore,
    rows: NDArray[np.float32],
    queries: NDArray[np.float32],
) -> Searching:
    """As ImageFinder searches, and with the least effort that would do."""
    truth = [{name(number) for number in row} for row in closest(rows, queries)]

    def search(i: int) -> list[str]:
        return [hit.record.id for hit in store.search(queries[i : i + 1], K)[0]]

    took = milliseconds(search, len(queries))
    idle = server.idle_cores()
    one, cpu = rate(server, search, len(queries), 1, idle)
    four, _ = rate(server, search, len(queries), 4, idle)
    raw = Raw(store)
    effort = next((n for n in raw.efforts if raw.recall(queries, truth, n) >= RECALL), None)
    effort_cpu = 0.0
    if effort is not None:
        least = effort
        _, effort_cpu = rate(server, lambda i: raw.search(queries[i], least), len(queries), 1, idle)
    return Searching(
        recall=recall(map(search, range(len(queries))), truth),
        p50=percentile(took, 50),
        one_client=one,
        four_clients=four,
        cpu_ms=cpu,
        effort_name=raw.parameter,
        effort=effort,
        effort_cpu_ms=effort_cpu,
    )


class Raw:
    """The same space by pymilvus, with parameters that ImageFinder chooses by itself."""

    def __init__(self, store: Any) -> None:
        self._name = store._name
        self._client = store._connection.client()
        index = self._client.describe_index(self._name, EMBEDDING)
        self.parameter, self.efforts = EFFORTS[index["index_type"]]
        self._metric = index["metric_type"]

    def search(self, query: NDArray[np.float32], effort: float) -> list[Any]:
        found: list[Any] = self._client.search(
            self._name,
            data=[query.tolist()] if query.ndim == 1 else query.tolist(),
            anns_field=EMBEDDING,
            limit=K,
            output_fields=[RECORD, EMBEDDING],
            search_params={"metric_type": self._metric, "params": {self.parameter: int(effort)}},
            consistency_level="Session",
        )
        return found

    def recall(self, queries: NDArray[np.float32], truth: list[set[str]], effort: float) -> float:
        found = self.search(queries, effort)
        return recall(([str(hit["id"]) for hit in hits] for hits in found), truth)


def recall(found: Iterator[list[str]] | Any, truth: list[set[str]]) -> float:
    return float(np.mean([len(set(a) & b) / K for a, b in zip(found, truth, strict=True)]))


def rate(
    server: Measured, work: Callable[[int], object], times: int, clients: int, idle: float
) -> tuple[float, float]:
    """Queries a second of so many clients side by side, and the milliseconds that the server's
    processor took for each beyond what it takes when it is `idle`."""
    cpu, start = server.cpu_seconds(), perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, list(range(times)) * clients))
    seconds = perf_counter() - start
    done = times * clients
    busy = server.cpu_seconds() - cpu - idle * seconds
    return done / seconds, 1000 * busy / done
