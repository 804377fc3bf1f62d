"""The driver's side of indexing a source on a cluster."""

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from time import monotonic
from typing import Self
from uuid import uuid4

from imagefinder.ahead import chunks
from imagefinder.decode import DecodeLimits
from imagefinder.distributed.account import accounted
from imagefinder.distributed.cluster import Cluster
from imagefinder.distributed.crew import Crew, crew
from imagefinder.distributed.dataset import Dataset
from imagefinder.distributed.recipe import Answer, Recipe, check_travels, packed
from imagefinder.home import ClusterPlace, Place
from imagefinder.ingest.commit import PROBLEMS
from imagefinder.ingest.examine import Embedded, Examined, Examiner
from imagefinder.ingest.run import IndexOptions
from imagefinder.ingest.triage import LOOKUP, Failed, Revised, Todo
from imagefinder.protocols import Embedder
from imagefinder.stores.ledger import SpaceEntry
from imagefinder.types import IndexReport

log = logging.getLogger("imagefinder")

WAVE = 200_000  # images that are handed out at a time; 60 MB
BLOCK = 64  # images that a worker is given at a time, and that die with it
SILENCE = 60.0  # seconds without the first answer that are worth a word


@dataclass(frozen=True, slots=True)
class Distributed:
    """Examines images on a cluster, in place of this machine's threads."""

    cluster: Cluster
    crew: Crew
    recipe: Recipe

    def __call__(
        self,
        examine: Examiner,
        items: Iterator[Todo | Revised | Failed],
        options: IndexOptions,
        report: IndexReport,
    ) -> Generator[list[Examined], None, None]:
        """What is left for the driver to write, some at a time, empty lists among it; what workers
        wrote is counted in the report."""
        dataset = Dataset(self.cluster, self.crew, replace(self.recipe, source=examine.number))
        wave: list[bytes] = []
        with Watch(self.cluster, options.stop) as watch:
            for some in chunks(items, LOOKUP):
                yield [item for item in some if not isinstance(item, Todo)]
                wave += [packed(item) for item in some if isinstance(item, Todo)]
                if len(wave) >= WAVE:
                    yield from self._through(dataset, wave, watch, examine, options, report)
                    wave = []
            yield from self._through(dataset, wave, watch, examine, options, report)

    def _through(
        self,
        dataset: Dataset,
        wave: Sequence[bytes],
        watch: "Watch",
        examine: Examiner,
        options: IndexOptions,
        report: IndexReport,
    ) -> Generator[list[Examined], None, None]:
        stop = options.stop or Event()
        watch.asked = monotonic() if wave else None
        answers = accounted(
            dataset,
            wave,
            size=block_size(len(wave), self.crew),
            workers=self.crew.workers,
            stopped=stop.is_set,
        )
        with closing(answers):
            for answer in answers:
                watch.asked = None
                count(answer, options, report)
                yield [as_known(examine, outcome) for outcome in answer.outcomes]


@dataclass(slots=True)
class Watch:
    """Tells the workers when the run is to stop, and the user when no answer comes for long."""

    cluster: Cluster
    stop: Event | None
    asked: float | None = None  # since when a first answer is waited for
    over: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        Thread(target=self._watch, name="distributed", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            if self.stop is not None and self.stop.is_set():
                self.cluster.foreman.stop()
                return
            if self.asked is not None and monotonic() - self.asked > SILENCE:
                self.asked = None
                log.warning("no worker has answered for a minute; the cluster may be busy")


def as_known(examine: Examiner, outcome: Examined) -> Examined:
    """A new image of known bytes may be a renamed one: only the driver can tell."""
    if not isinstance(outcome, Embedded) or not outcome.is_new:
        return outcome
    if outcome.twin is None:  # from a worker that has no ledger, or nothing was found in it
        return examine.twin(outcome.ref, outcome.record.sha256) or outcome
    entries = examine.ledger.with_content(outcome.record.sha256)
    return replace(outcome, renamed_from=next(filter(examine.is_gone, entries), None))


def block_size(images: int, crew: Crew) -> int:
    """Small enough that every worker gets many, and none is waited for long at the end."""
    most = BLOCK * crew.threads
    return max(1, min(most, images // (16 * crew.workers)))


def count(answer: Answer, options: IndexOptions, report: IndexReport) -> None:
    """What a worker has written."""
    written = answer.written
    report.added += written.added
    report.updated += written.updated
    report.unchanged += written.unchanged
    report.skipped += written.skipped
    for skipped in answer.skipped:
        if len(report.problems) < PROBLEMS:
            report.problems.append(skipped)
        options.on_skipped(skipped)


def distributed(
    cluster: Cluster,
    space: SpaceEntry,
    *,
    place: Place | ClusterPlace,
    own: Embedder | None,
    device: str,
    limits: DecodeLimits,
    workers: int | None = None,
) -> Distributed:
    """Indexing into a space by the workers of a cluster: `workers` of them, else as many as it has
    CPUs, or graphics cards where the model computes on one. `own` is a model of the user's.

    Raises UsageError, ModelError."""
    recipe = Recipe(
        space=space.name,
        model=space.model,
        fingerprint=space.fingerprint,
        limits=limits,
        driver=cluster.node,
        # one owner: a batch that is tried again is not shut out by what its dead worker claimed
        place=replace(place, owner=uuid4().hex) if isinstance(place, ClusterPlace) else None,
        own=own,
        offline=os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"),
    )
    check_travels(recipe)
    found = crew(
        cluster.nodes(),
        device,
        workers=workers,
        on_gpu=lambda: cluster.has_gpu_for(recipe),
    )
    return Distributed(cluster, found, replace(recipe, device=found.device, threads=found.threads))
