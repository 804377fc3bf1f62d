"""How large a cluster has to be for so many images: what was measured an image, times the images.

`docs/explanation/capacity.md` says it in words, with the tables of `benchmarks.capacity_page`; the
sizes in `deploy/milvus` are the same numbers. All sizes are bytes, all times are seconds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log
from statistics import mean
from typing import Any, Literal, TypeAlias

from benchmarks.results import RESULTS

Index: TypeAlias = Literal["hnsw", "ivf_sq8", "diskann"]

GIB = 2**30
DIM = 256  # of the built-in model
DAY, MONTH = 86_400.0, 730 * 3600.0

# What nobody can measure for another: say what is true of you.
MEDIA = 3e6  # bytes of an uploaded photograph
SEARCHES = 100.0  # a second, at the busiest time
PRICES = {"vcpu_hour": 0.03, "gib_hour": 0.004, "ssd_gib_month": 0.08, "object_gib_month": 0.02}

# How full a machine may be.
LOADED = 0.7  # of a query node's memory; Milvus loads nothing beyond 0.9
BUSY = 0.6  # of a processor's time, so that a search seldom waits for another

# Milvus
SEGMENT = (
    512 * 2**20
)  # what was measured with, and Milvus' default; larger ones make fewer searches
IMAGES_A_NODE = 10_000_000  # up to here one machine does it all

# DiskANN as Milvus is set up without being told otherwise; computed from its file format, not
# measured: the server that comes as a Python package is built without it.
PQ_CODE, NODE_CACHE = 0.125, 0.10  # of the raw vectors' size, in memory
DEGREE, SECTOR = 56, 4096  # edges of a node; a node is whole in a sector of the disk
SEARCH_LIST = 100  # sectors read, about, in a search of a segment
READS = 400_000.0  # a second that a node's SSD answers; assumed


@dataclass(frozen=True, slots=True)
class Unit:
    """What one image costs with an index. A search takes `base`, and `more` for each unit of work
    (see `work`)."""

    index: Index
    memory: float  # of query nodes, with the image's ledger row
    disk: float  # in the object store
    ssd: float  # of query nodes
    build: float  # processor time of the server, from the insert until it is indexed
    base: float  # processor time
    more: float
    rows: float  # of a segment, at most
    measured: bool = True

    def search(self, images: float, segments: float) -> float:
        """Processor time of a search."""
        return self.base + self.more * work(self.index, images, segments)


def work(index: Index, images: float, segments: float) -> float:
    """What the time of a search grows by: a graph in each segment, whose depth grows by the
    logarithm of its rows; of lists, the same part of all images is looked through."""
    return images if index == "ivf_sq8" else segments * log(images / segments)


@dataclass(frozen=True, slots=True)
class Figures:
    """By name, of the last results."""

    milvus: Mapping[str, float]
    embedding: float  # photographs a second that one core indexes
    service: float  # searches with a picture a second that one core of a service answers

    @classmethod
    def last(cls) -> "Figures":
        """Raises FileNotFoundError where nothing was measured yet."""
        return cls(
            milvus=of_results("milvus"),
            embedding=of_results("ingest")["photographs indexed"] / cores_of("ingest"),
            service=of_results("service")["16 clients"] / cores_of("service"),
        )

    @property
    def sizes(self) -> list[int]:
        """Of the collections that were looked at, the smallest first."""
        named = (name.partition(": segments") for name in self.milvus)
        of = (name.removeprefix("hnsw, ") for name, found, _ in named if found)
        return sorted(int(size.replace(",", "")) for size in of if size[0].isdigit())

    def unit(self, index: Index) -> Unit:
        if index == "diskann":
            return self._diskann()
        segments = [self.of(index, size, "segments") for size in self.sizes]
        base, more = line(
            [work(index, *each) for each in zip(self.sizes, segments, strict=True)],
            [self.of(index, size, "processor time a search") / 1000 for size in self.sizes],
        )
        return Unit(
            index,
            memory=self.milvus[f"{index}: memory an image"],
            disk=self.milvus[f"{index}: disk an image"],
            # the embeddings themselves, which hits are compared by again
            ssd=4.0 * DIM if index == "ivf_sq8" else 0.0,
            build=max(self.of(index, size, "processor time an image") for size in self.sizes)
            / 1000,
            base=base,
            more=more,
            rows=max(size / each for size, each in zip(self.sizes, segments, strict=True)),
        )

    def of(self, index: Index, size: int, what: str) -> float:
        return self.milvus[f"{index}, {size:,}: {what}"]

    def _diskann(self) -> Unit:
        """From IVF_SQ8, which keeps one byte a dimension in memory, and from the file format."""
        sq8, hnsw, raw = self.unit("ivf_sq8"), self.unit("hnsw"), 4 * DIM
        node = raw + 4 * (DEGREE + 1)
        on_disk = SECTOR / (SECTOR // node) + PQ_CODE * raw
        return replace(
            hnsw,  # to search takes as long, assumed: fewer bytes a comparison, and reads beside
            index="diskann",
            memory=sq8.memory - DIM + (PQ_CODE + NODE_CACHE) * raw,
            disk=sq8.disk - DIM + on_disk,
            ssd=raw + on_disk,
            build=2 * hnsw.build,  # assumed
            measured=False,
        )


def line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Where the line through these points begins, and how steep it is. Where they do not grow, or
    not from above nothing, one through nothing and the last point: too high rather than too low."""
    x, y = mean(xs), mean(ys)
    spread = sum((each - x) ** 2 for each in xs)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread if spread else 0
    base = y - slope * x
    return (base, slope) if slope > 0 and base > 0 else (0.0, ys[-1] / xs[-1])


@dataclass(frozen=True, slots=True)
class Node:
    """So many machines, or containers, of one kind."""

    count: int
    cores: float
    memory: float
    ssd: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What is chosen for a size, not computed."""

    index: Index
    segment: float  # bytes
    node: Node  # a query node; its count is computed
    weeks: float  # until a first build is to be done


@dataclass(frozen=True)
class Plan:
    """For so many images."""

    images: int
    shape: Shape
    figures: Figures
    searches: float = SEARCHES
    prices: Mapping[str, float] = field(default_factory=lambda: PRICES)

    @property
    def unit(self) -> Unit:
        return self.figures.unit(self.shape.index)

    # memory and disk

    @property
    def memory(self) -> float:
        """Of all query nodes together."""
        return self.images * self.unit.memory / LOADED

    @property
    def ssd(self) -> float:
        return self.images * self.unit.ssd / LOADED

    @property
    def objects(self) -> float:
        """In the object store, without uploads."""
        return self.images * self.unit.disk

    @property
    def media(self) -> float:
        """If every image were uploaded; what is indexed where it is takes nothing."""
        return self.images * MEDIA

    # searching

    @property
    def segments(self) -> int:
        return ceil(self.images / (self.unit.rows * self.shape.segment / SEGMENT))

    @property
    def search_seconds(self) -> float:
        """Processor time of one search."""
        return self.unit.search(self.images, self.segments)

    @property
    def search_cores(self) -> float:
        return self.searches * self.search_seconds / BUSY

    @property
    def service_cores(self) -> float:
        """Of ImageFinder's services, which embed the query pictures."""
        return self.searches / self.figures.service / BUSY

    @property
    def query_nodes(self) -> Node:
        node = self.shape.node
        needs = [self.memory / node.memory, self.search_cores / node.cores]
        if self.shape.index == "diskann":
            needs.append(self.searches * self.segments * SEARCH_LIST / READS)
        count = ceil(max(needs))
        return Node(count, node.cores, node.memory, self.ssd / count)

    # the first build

    @property
    def build_seconds(self) -> float:
        """Processor time of Milvus."""
        return self.images * self.unit.build

    @property
    def embedding_seconds(self) -> float:
        """Processor time for photographs of 12 megapixels with the built-in model."""
        return self.images / self.figures.embedding

    @property
    def workers(self) -> int:
        """Ray workers of one core each that embed all in the wanted time."""
        return ceil(self.embedding_seconds / (self.shape.weeks * 7 * DAY))

    @property
    def build_cores(self) -> int:
        """Of Milvus' nodes that keep up with them."""
        return ceil(self.build_seconds / (self.shape.weeks * 7 * DAY) / BUSY)

    # cost

    @property
    def one_off(self) -> float:
        """Of embedding and building; a core comes with 4 GiB."""
        hours = (self.embedding_seconds + self.build_seconds) / 3600
        return hours * (self.prices["vcpu_hour"] + 4 * self.prices["gib_hour"])

    def monthly(self, nodes: Mapping[str, Node]) -> float:
        """Of what runs all the time, and of what is kept; without uploads."""
        hours = MONTH / 3600
        cores = sum(node.count * node.cores for node in nodes.values())
        memory = sum(node.count * node.memory for node in nodes.values()) / GIB
        ssd = sum(node.count * node.ssd for node in nodes.values()) / GIB
        return (
            cores * hours * self.prices["vcpu_hour"]
            + memory * hours * self.prices["gib_hour"]
            + ssd * self.prices["ssd_gib_month"]
            + self.objects / GIB * self.prices["object_gib_month"]
        )


SIZES: Mapping[str, int] = {"1m": 10**6, "100m": 10**8, "1b": 10**9}
SHAPES: Mapping[str, Shape] = {
    "1m": Shape("hnsw", SEGMENT, Node(1, 4, 8 * GIB), weeks=1 / 7),
    "100m": Shape("hnsw", 4096 * 2**20, Node(1, 16, 64 * GIB), weeks=1),
    "1b": Shape("diskann", 8192 * 2**20, Node(1, 16, 128 * GIB), weeks=4),
}


def plan(size: str, figures: Figures | None = None) -> Plan:
    """Of a key of SIZES."""
    return Plan(SIZES[size], SHAPES[size], figures or Figures.last())


def of_results(name: str) -> dict[str, float]:
    return {figure["name"]: figure["value"] for figure in result(name)["figures"]}


def cores_of(name: str) -> int:
    return int(result(name)["machine"]["cores"])


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found
