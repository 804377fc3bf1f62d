"""Which images of a source need work: decided from the ledger, without reading any image."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from imagefinder.ahead import chunks
from imagefinder.stores.ledger import ImageEntry, Ledger, SkippedEntry
from imagefinder.types import MAX_ID_BYTES, ImageRef, IndexReport, Metadata, Skipped, is_text

LOOKUP = 256  # refs looked up in the ledger at once


@dataclass(frozen=True, slots=True)
class Todo:
    """An image to examine; `entry` is what the ledger knew under its id, None for a new one."""

    ref: ImageRef
    entry: ImageEntry | None


@dataclass(frozen=True, slots=True)
class Revised:
    """An indexed image whose bytes are as before: only the facts in `ref` may differ.

    `told` when the user changed something (metadata), as against a touched file."""

    ref: ImageRef
    sha256: str
    told: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """An image that is skipped; when `final`, until its file changes."""

    ref: ImageRef
    reason: str
    final: bool = True


@dataclass(frozen=True, slots=True)
class Triage:
    """Sorts what a source yields; counts in `report` what needs no work."""

    ledger: Ledger
    source: int
    report: IndexReport
    id_prefix: str = ""
    retry_skipped: bool = False

    def __call__(
        self, items: Iterable[ImageRef | Skipped | None]
    ) -> Iterator[Todo | Revised | Failed]:
        """What remains to be done, in the order of the source."""
        for chunk in chunks(items, LOOKUP):
            refs: list[ImageRef] = []
            for item in chunk:
                match item:
                    case None:
                        self.report.ignored += 1
                    case Skipped():
                        yield self._malformed(item)
                    case ImageRef():
                        ref = self._prefixed(item)
                        if is_text(ref.id):
                            refs.append(ref)
                        else:
                            yield self._malformed(not_text(ref))
            yield from self._sort(refs)

    def _sort(self, refs: Sequence[ImageRef]) -> Iterator[Todo | Revised | Failed]:
        ids = [ref.id for ref in refs]
        owners = self.ledger.images(ids)
        skips = self.ledger.skips(self.source, ids)
        claims = self.ledger.see(self.source, [(ref.id, ref.path) for ref in refs])
        for ref, claim in zip(refs, claims, strict=True):
            if claim == ref.path:
                continue  # the source names the same image twice
            if (problem := self._refusal(ref, owners.get(ref.id), claim)) is not None:
                yield Failed(ref, problem, final=False)
            elif self._still_skipped(ref, skips.get((ref.id, ref.path))):
                self.report.skipped += 1
            else:
                was_skipped = (ref.id, ref.path) in skips
                yield from self._compare(ref, owners.get(ref.id), was_skipped)

    def _compare(
        self, ref: ImageRef, entry: ImageEntry | None, was_skipped: bool
    ) -> Iterator[Todo | Revised]:
        if entry is None or entry.path != ref.path or not same_file(ref, entry):
            yield Todo(ref, entry)
        elif entry.metadata != digest(ref.metadata):
            yield Revised(ref, entry.sha256, told=True)
        elif was_skipped:  # the file is again what it was: that takes it off the list
            yield Revised(ref, entry.sha256, told=False)
        else:
            self.report.unchanged += 1

    def _refusal(self, ref: ImageRef, owner: ImageEntry | None, claim: str | None) -> str | None:
        """Why this image cannot have its id, None when it can."""
        if len(ref.id.encode()) > MAX_ID_BYTES:
            return f"the id has {len(ref.id.encode())} bytes, the limit is {MAX_ID_BYTES}"
        if claim is not None:
            return f"the id {ref.id} belongs to {claim} already; ids must be unique"
        if owner is not None and owner.source != self.source:
            root, _ = self.ledger.sources()[owner.source]
            return f"the id {ref.id} belongs to an image of {root} already; index with --id-prefix"
        return None

    def _still_skipped(self, ref: ImageRef, skip: SkippedEntry | None) -> bool:
        return skip is not None and skip.final and not self.retry_skipped and same_file(ref, skip)

    def _malformed(self, item: Skipped) -> Failed:
        """A row that names no image: seen, so that it stays listed, and read anew each run."""
        ref = ImageRef(id=item.id, path=item.uri, uri=item.uri)
        self.ledger.see(self.source, [(ref.id, ref.path)])
        return Failed(ref, item.reason, final=False)

    def _prefixed(self, ref: ImageRef) -> ImageRef:
        return replace(ref, id=self.id_prefix + ref.id) if self.id_prefix else ref


def not_text(ref: ImageRef) -> Skipped:
    """For an id that can be neither stored nor shown as it is."""
    shown = ref.id.encode("utf-8", "backslashreplace").decode()
    return Skipped(shown, ref.uri, "the id is not valid UTF-8; give the image another one")


def same_file(ref: ImageRef, entry: ImageEntry | SkippedEntry) -> bool:
    """Whether size and time are those of the last visit. A URL tells neither: it counts as the
    same, since asking would cost a request an image in every run."""
    return ref.size == entry.size and ref.mtime_ns == entry.mtime_ns


def digest(metadata: Metadata) -> str:
    """Changes when the metadata does; empty for none, which is the common case."""
    if not metadata:
        return ""
    text = json.dumps(dict(metadata), sort_keys=True, default=list)
    return blake2b(text.encode(), digest_size=8).hexdigest()
