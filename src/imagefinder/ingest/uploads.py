"""Images handed over as bytes: examined like a source's, their bytes kept in the collection.

Each name of a source of uploads is a source of the ledger; the paths of its images are below the
collection's `media/`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from imagefinder.ahead import chunks
from imagefinder.collection import Collection
from imagefinder.decode import DecodeLimits
from imagefinder.ingest.commit import Committer
from imagefinder.ingest.examine import Embedded, Examined, Examiner
from imagefinder.ingest.run import BATCH, no_one
from imagefinder.ingest.triage import Failed, Revised, Todo, digest
from imagefinder.places import joined
from imagefinder.protocols import Embedder
from imagefinder.stores.ledger import ImageEntry
from imagefinder.stores.media import FOLDER
from imagefinder.types import UPLOADS, AddReport, ImageRef, IndexReport, Skipped, Upload
from imagefinder.upload_ids import with_ids


@dataclass(frozen=True, slots=True)
class Adder:
    """Adds uploads of one source to a space of a collection."""

    collection: Collection
    space: str
    embedder: Embedder
    source: str
    limits: DecodeLimits
    computing: AbstractContextManager[object]  # held while an image is decoded

    def __call__(self, uploads: Sequence[Upload]) -> AddReport:
        """What became of each. Nothing of it is acknowledged before this returns."""
        self.collection.settle()  # a write that failed before, as on a full disk
        root = UPLOADS if self.source == UPLOADS else f"{UPLOADS}:{self.source}"
        number = self.collection.ledger.source(root, FOLDER)
        report = AddReport()
        wanted = dict(with_ids(uploads, report))
        for some in chunks(wanted.items(), BATCH):
            handed = Handed(root, dict(some))
            examine = Examiner(
                handed,
                number,
                self.embedder,
                self.collection.ledger,
                self.collection.store(self.space),
                self.limits,
                self.computing,
            )
            self._commit(examine(self._todos(handed)), handed, number, report)
        return report

    def _todos(self, handed: "Handed") -> list[Todo]:
        entries = self.collection.ledger.images(list(handed.uploads))
        return [Todo(ref, entries.get(ref.id)) for ref in handed.items()]

    def _commit(
        self, outcomes: Sequence[Examined], handed: "Handed", number: int, report: AddReport
    ) -> None:
        """Bytes first, then store and ledger: what is acknowledged is all there."""
        places = self.collection.places()
        committer = Committer(
            self.collection,
            self.space,
            number,
            IndexReport(),
            portable=lambda uri: places.portable(uri, number),
            on_skipped=no_one,
        )
        ids = [item.ref.id for item in outcomes]
        contents = {item.record.sha256 for item in outcomes if isinstance(item, Embedded)}
        with (
            # anew: another request may have taken an id since the images were looked at
            self.collection.holding_uploads(ids, contents) as owners,
            self.collection.media.changing(),
        ):
            for item in outcomes:
                self._sort(item, owners.get(item.ref.id), handed, committer, report)
            replaced = [owners[id] for id in report.updated if id in owners]
            committer.flush()
            self.collection.discard_media(replaced)

    def _sort(
        self,
        item: Examined,
        owner: ImageEntry | None,
        handed: "Handed",
        committer: Committer,
        report: AddReport,
    ) -> None:
        id = item.ref.id
        if isinstance(item, Failed):
            report.skipped.append(Skipped(id, handed.uploads[id].name, item.reason))
            return
        content = item.sha256 if isinstance(item, Revised) else item.record.sha256
        may_replace = (
            owner is not None and owner.source == committer.source and self.source != UPLOADS
        )
        if owner is not None and owner.sha256 == content:
            if may_replace and owner.metadata != digest(item.ref.metadata):
                committer.waiting.append(Revised(self._kept(item.ref, owner.path), content, True))
                report.updated.append(id)
            else:
                report.unchanged.append(id)
        elif owner is not None and not may_replace:
            problem = f"the id {id} belongs to another image already; give this one another id"
            report.skipped.append(Skipped(id, handed.uploads[id].name, problem))
        elif isinstance(item, Revised):
            problem = f"the image {id} was removed or replaced meanwhile; add it again"
            report.skipped.append(Skipped(id, handed.uploads[id].name, problem))
        else:
            committer.waiting.append(self._with_bytes(item, handed))
            (report.added if owner is None else report.updated).append(id)

    def _with_bytes(self, item: Embedded, handed: "Handed") -> Embedded:
        """The image, its bytes in the collection now."""
        record = item.record
        path = self.collection.media.put(handed.read(item.ref), record.sha256, record.format)
        ref = self._kept(item.ref, path)
        return replace(item, ref=ref, record=replace(record, uri=ref.uri), renamed_from=None)

    def _kept(self, ref: ImageRef, path: str) -> ImageRef:
        return replace(ref, path=path, uri=joined(self.collection.media_base, path))


@dataclass(frozen=True, slots=True)
class Handed:
    """Uploads by id, as a `Source`."""

    root: str
    uploads: dict[str, Upload]
    complete: bool = False

    def items(self) -> Iterator[ImageRef]:
        for id, upload in self.uploads.items():
            size, metadata = len(upload.data), upload.metadata
            yield ImageRef(id, path=id, uri=upload.name, size=size, metadata=metadata)

    def read(self, ref: ImageRef) -> bytes:
        return self.uploads[ref.id].data

    def exists(self, path: str) -> bool:
        return True  # other programs' uploads of the same source are there, as far as is known

    def covers(self, path: str) -> bool:
        return False
