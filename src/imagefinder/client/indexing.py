"""Indexing through a service: sources are walked here, and what is new or changed is sent."""

import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from threading import Event

from imagefinder.ahead import ahead, chunks
from imagefinder.client.comparing import Candidate, Counted, Sender
from imagefinder.client.connection import Connection
from imagefinder.client.lookup import LOOKUP, known
from imagefinder.client.patience import Patience
from imagefinder.client.uploading import BATCH, WORKERS, Uploader
from imagefinder.errors import CollectionError
from imagefinder.protocols import Source
from imagefinder.sources.address import scheme
from imagefinder.sources.empty import nothing_in
from imagefinder.types import ImageRef, IndexReport, Skipped
from imagefinder.upload_ids import not_an_id

BUSY, GONE = 120.0, 20.0  # seconds of patience: a long run outlives a restart of the service
PROBLEMS = 20  # skipped images that a report shows
SOURCE_NAME = 500  # letters, more than most paths have


@dataclass(frozen=True, slots=True)
class Indexer:
    """One call of `index`. The callbacks are called on the caller's thread."""

    connection: Connection
    id_prefix: str
    workers: int | None
    stop: Event | None
    on_progress: Callable[[IndexReport], None]
    on_skipped: Callable[[Skipped], None]
    report: IndexReport = field(default_factory=IndexReport)

    def __call__(self, sources: Iterable[Source]) -> IndexReport:
        """Raises SourceError, also for a source without any image, and CollectionError; what was
        sent until then stays."""
        try:
            for source in sources:
                self._index(source)
                if self._stopped():
                    break
        except CollectionError as error:
            if not self._stopped():  # else it is the waiting that was cut short
                raise self._cut_short(error) from error
        self.report.interrupted = self._stopped()
        return self.report

    def _index(self, source: Source) -> None:
        before = self.report.images
        workers = self.workers or WORKERS
        sender = Sender(source, Uploader(self.connection, source_name(source), self._patience()))
        self.on_progress(self.report)
        with closing(self._candidates(source)) as candidates:
            sent = ahead(sender, chunks(candidates, BATCH), workers=workers, window=2 * workers)
            with closing(sent):
                for outcomes in sent:
                    self._count(outcomes)
                    self.on_progress(self.report)
        if self.report.images == before and not self._stopped():
            raise nothing_in(source, self.report.ignored)

    def _candidates(self, source: Source) -> Generator[Candidate, None, None]:
        """The images, each with what the service knows of it."""
        portions = chunks(self._refs(source), LOOKUP)
        with closing(ahead(self._look_up, portions, workers=2, window=4)) as looked_up:
            for candidates in looked_up:
                for candidate in candidates:
                    if self._stopped():
                        return
                    yield candidate

    def _look_up(self, refs: Sequence[ImageRef]) -> list[Candidate]:
        found = known(self.connection, [ref.id for ref in refs], patience=self._patience())
        return [Candidate(ref, found[ref.id][0] if ref.id in found else None) for ref in refs]

    def _refs(self, source: Source) -> Iterator[ImageRef]:
        """The images that can have the ids that they claim; counts the rest."""
        claims: dict[int, int] = {}  # hashes: id -> the path that has it
        for item in source.items():
            if self._stopped():
                return
            if item is None:
                self.report.ignored += 1
            elif isinstance(item, Skipped):
                self._skip(item)
            else:
                ref = replace(item, id=self.id_prefix + item.id) if self.id_prefix else item
                key, path = hash(ref.id), hash(ref.path)
                if reason := not_an_id(ref.id):
                    self._skip(Skipped(shown(ref.id), ref.uri, reason))
                elif key not in claims:
                    claims[key] = path
                    yield ref
                elif claims[key] != path:  # else the source names the same image twice
                    reason = f"the id {ref.id} belongs to another image already; ids must be unique"
                    self._skip(Skipped(ref.id, ref.uri, reason))

    def _count(self, outcomes: Iterable[Counted | Skipped]) -> None:
        for outcome in outcomes:
            match outcome:
                case Skipped():
                    self._skip(outcome)
                case "added":
                    self.report.added += 1
                case "updated":
                    self.report.updated += 1
                case "unchanged":
                    self.report.unchanged += 1

    def _skip(self, skipped: Skipped) -> None:
        self.report.skipped += 1
        if len(self.report.problems) < PROBLEMS:
            self.report.problems.append(skipped)
        self.on_skipped(skipped)

    def _patience(self) -> Patience:
        return Patience(BUSY, GONE, self.stop)

    def _stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()

    def _cut_short(self, error: CollectionError) -> CollectionError:
        """The error with how far it came."""
        done = self.report.images
        if not done:
            return error
        return CollectionError(
            f"{error}\n{done} images were done; the same command goes on from there"
        )


def source_name(source: Source) -> str:
    """Of whom the service is told that the images are: a path is this machine's."""
    root = source.root if scheme(source.root) else f"{socket.gethostname()}:{source.root}"
    if len(root) <= SOURCE_NAME:
        return root
    return root[:SOURCE_NAME] + blake2b(root.encode(), digest_size=8).hexdigest()


def shown(id: str) -> str:
    """An id that is no text, for eyes."""
    return id.encode("utf-8", "backslashreplace").decode()
