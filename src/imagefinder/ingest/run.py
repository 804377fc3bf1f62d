"""One run over one source: triage, examine on every core, commit, and then prune."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from threading import Event
from typing import TypeAlias, TypeVar

from imagefinder.ahead import ahead, chunks
from imagefinder.collection import Collection
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.errors import SourceError
from imagefinder.ingest.commit import Committer
from imagefinder.ingest.examine import Examined, Examiner
from imagefinder.ingest.overlap import absorb
from imagefinder.ingest.prune import prune
from imagefinder.ingest.triage import Failed, Revised, Todo, Triage
from imagefinder.places import base_of
from imagefinder.protocols import Embedder, Source
from imagefinder.sources.empty import nothing_in
from imagefinder.types import IndexReport, Skipped

Item = TypeVar("Item")
# The outcomes that are left to write; what was written elsewhere is counted in the report.
Examining: TypeAlias = Callable[
    [Examiner, Iterator[Todo | Revised | Failed], "IndexOptions", IndexReport],
    Generator[list[Examined], None, None],
]

BATCH = 8  # images a task: hand-over stays cheap, and a batch of tensors under 5 MB


def no_one(*_: object) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How to run. `prune` is "no", "yes" or "force"; `stop` ends the run cleanly when set.

    The callbacks are called on the caller's thread: `on_progress` often, with the counts so far;
    `on_skipped` once a skipped image; `on_commit` after each batch that was written.
    """

    prune: str = "no"
    id_prefix: str = ""
    retry_skipped: bool = False
    workers: int | None = None  # threads; None: one a core
    limits: DecodeLimits = DEFAULT_LIMITS
    stop: Event | None = None
    on_progress: Callable[[IndexReport], None] = no_one
    on_skipped: Callable[[Skipped], None] = no_one
    on_commit: Callable[[], None] = no_one


def index_source(
    source: Source,
    collection: Collection,
    space: str,
    embedder: Embedder,
    options: IndexOptions,
    report: IndexReport,
    examined: "Examining | None" = None,
) -> None:
    """Bring a space of the collection up to date with the source; the counts are added to `report`.
    `examined` is where the work is done: on all cores, unless it says elsewhere.

    Raises SourceError, also where the source holds no image, and StoreError; what was committed
    until then stays.
    """
    collection.settle()
    ledger = collection.ledger
    number = ledger.source(source.root, base_of(source.root))
    ledger.start_run(number)
    before = report.images
    absorb(collection, source, number, options.id_prefix)
    places = collection.places()
    triage = Triage(ledger, number, report, options.id_prefix, options.retry_skipped)
    examine = Examiner(source, number, embedder, ledger, collection.store(space), options.limits)
    committer = Committer(
        collection,
        space,
        number,
        report,
        portable=lambda uri: places.portable(uri, number),
        on_skipped=options.on_skipped,
    )
    todos = until(options.stop, triage(until(options.stop, source.items())))
    options.on_progress(report)
    try:
        with closing((examined or on_threads)(examine, todos, options, report)) as outcomes:
            for batch in outcomes:
                if committer.add(batch):
                    options.on_commit()
                options.on_progress(report)
    except (SourceError, KeyboardInterrupt):
        committer.flush()  # the work that is done is kept
        raise
    committer.flush()
    options.on_commit()
    report.interrupted = options.stop is not None and options.stop.is_set()
    if report.interrupted:
        return
    if source.complete:
        ledger.drop_unseen_skips(number)
        if options.prune != "no":
            prune(source, number, collection, report, force=options.prune == "force")
    if report.images == before:
        raise nothing_in(source, report.ignored)


def on_threads(
    examine: Examiner,
    todos: Iterator[Todo | Revised | Failed],
    options: IndexOptions,
    report: IndexReport,
) -> Generator[list[Examined], None, None]:
    """The outcomes, batch by batch, worked out ahead on all cores."""
    workers = options.workers or os.cpu_count() or 1
    return ahead(examine, chunks(todos, BATCH), workers=workers, window=3 * workers)


def until(stop: Event | None, items: Iterator[Item]) -> Iterator[Item]:
    """Ends early once `stop` is set: what is under way is finished and kept."""
    for item in items:
        if stop is not None and stop.is_set():
            return
        yield item
