"""Some images of a source beside what the service has of them; sends those that differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

from imagefinder.client import wire
from imagefinder.client.pictures import problem
from imagefinder.client.uploading import Uploader, batches
from imagefinder.errors import FetchError
from imagefinder.protocols import Source
from imagefinder.types import ImageRecord, ImageRef, Skipped, Upload

Counted: TypeAlias = Literal["added", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of the source, and what the service knows under its id."""

    ref: ImageRef
    known: ImageRecord | None


@dataclass(frozen=True, slots=True)
class Changed:
    """An image to send. `told` is what it counts as when the service has just this already: an
    answer that was lost on the way is asked for again."""

    upload: Upload
    told: Counted


@dataclass(frozen=True, slots=True)
class Sender:
    """What the work on one source needs; called with some images, on several threads at once."""

    source: Source
    upload: Uploader

    def __call__(self, candidates: Sequence[Candidate]) -> list[Counted | Skipped]:
        """What came of each image. A bad one is a value, never an exception."""
        done: list[Counted | Skipped] = []
        told: dict[str, Counted] = {}

        def changed() -> Iterator[Upload]:
            for candidate in candidates:
                outcome = compared(candidate, self.source)
                if isinstance(outcome, Changed):
                    told[candidate.ref.id] = outcome.told
                    yield outcome.upload
                else:
                    done.append(outcome)

        for batch in batches(changed()):
            report = self.upload(batch)
            done.extend("added" for _ in report.added)
            done.extend("updated" for _ in report.updated)
            done.extend(told.get(id, "unchanged") for id in report.unchanged)
            done.extend(report.skipped)
        return done


def compared(candidate: Candidate, source: Source) -> Changed | Counted | Skipped:
    """Whether the image differs from what the service has: by its content where it is a file, for
    a service does not know the times of another machine's files."""
    ref, known = candidate.ref, candidate.known
    # Metadata that this source says nothing about was set at the service, and is left alone.
    alike = known is not None and (
        not ref.metadata or wire.plain(ref.metadata) == dict(known.metadata)
    )
    if alike and ref.mtime_ns is None:  # a URL: asking would cost a request an image in every run
        return "unchanged"
    try:
        data = source.read(ref)
    except FetchError as error:
        return Skipped(ref.id, ref.uri, str(error))
    same = known is not None and sha256(data).hexdigest() == known.sha256
    if same and alike:
        return "unchanged"
    if (reason := problem(data)) is not None:
        return Skipped(ref.id, ref.uri, reason)
    upload = Upload(data, ref.uri, ref.id, ref.metadata)
    return Changed(upload, "added" if known is None else "unchanged" if same else "updated")
