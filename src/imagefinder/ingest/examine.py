"""Read, hash, decode, preprocess and embed images; runs on several threads at once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np

from imagefinder.arrays import Embedding, Tensor
from imagefinder.decode import DecodeLimits, decode
from imagefinder.errors import FetchError, ImageError, ModelError
from imagefinder.ingest.triage import Failed, Revised, Todo, digest
from imagefinder.protocols import Embedder, Source, VectorStore
from imagefinder.stores.ledger import ImageEntry, Ledger
from imagefinder.types import Decoded, ImageRecord, ImageRef


@dataclass(frozen=True, slots=True)
class Embedded:
    """An image ready to be stored. `renamed_from` is its entry at a path that is no more, `twin`
    the id of an image of the same bytes that lent its embedding."""

    ref: ImageRef
    record: ImageRecord
    embedding: Embedding
    is_new: bool
    renamed_from: ImageEntry | None = None
    twin: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image decoded and shrunk: a batch that waits for the model stays small."""

    todo: Todo
    record: ImageRecord
    tensor: Tensor


Examined = Embedded | Revised | Failed


@dataclass(frozen=True, slots=True)
class Examiner:
    """What the work on one source needs; called with a batch. `computing` is held while an image
    is decoded, where more threads call it than there are cores."""

    source: Source
    number: int  # of the source in the ledger
    embedder: Embedder
    ledger: Ledger
    store: VectorStore
    limits: DecodeLimits
    computing: AbstractContextManager[object] = field(default_factory=nullcontext)

    def __call__(self, batch: Sequence[Todo | Revised | Failed]) -> list[Examined]:
        """What came of each image. A bad one is a value, never an exception."""
        done: list[Examined] = []
        prepared: list[Prepared] = []
        for item in batch:
            outcome = self._prepare(item) if isinstance(item, Todo) else item
            if isinstance(outcome, Prepared):
                prepared.append(outcome)
            else:
                done.append(outcome)
        return done + self._embed(prepared)

    def _prepare(self, todo: Todo) -> Prepared | Examined:
        ref = todo.ref
        try:
            data = self.source.read(ref)
            content = sha256(data).hexdigest()
            if todo.entry is not None and todo.entry.sha256 == content:
                entry = todo.entry
                told = (entry.path, entry.metadata) != (ref.path, digest(ref.metadata))
                return Revised(ref, content, told)
            if todo.entry is None and (twin := self.twin(ref, content)) is not None:
                return twin
            with self.computing:
                image = decode(data, at_least=self.embedder.spec.decode_size, limits=self.limits)
        except FetchError as error:
            # what keeps a file from being read may pass without a trace in its size or time; a
            # dead link costs a time-out, so it is not tried again unasked
            return Failed(ref, str(error), final=ref.mtime_ns is None)
        except ImageError as error:
            return Failed(ref, str(error), final=not isinstance(error.__cause__, MemoryError))
        try:
            tensor = self.embedder.preprocess(image.pixels)
        except Exception as error:  # noqa: BLE001 - of a model of the user's own
            return model_failed(ref, error)
        return Prepared(todo, record_of(ref, content, len(data), image), tensor)

    def twin(self, ref: ImageRef, content: str) -> Embedded | None:
        """An indexed image of the same bytes lends its embedding."""
        entries = self.ledger.with_content(content)
        gone = next((entry for entry in entries if self.is_gone(entry)), None)
        for entry in [gone] if gone else entries[:1]:
            # the record before and after: where both are of these bytes, so is the embedding; a
            # space that was behind may get it at this very moment
            if self._record_of(entry.id, content) is None:
                return None
            embedding = self.store.embeddings([entry.id]).get(entry.id)
            record = self._record_of(entry.id, content)
            if embedding is not None and record is not None:
                return Embedded(ref, revised(record, ref), embedding, True, gone, entry.id)
        return None

    def _record_of(self, id: str, content: str) -> ImageRecord | None:
        """What the space has of an image, if of these bytes."""
        record = self.store.get([id]).get(id)
        return record if record is not None and record.sha256 == content else None

    def is_gone(self, entry: ImageEntry) -> bool:
        """Whether the source names the entry's image no more."""
        return entry.source == self.number and not self.source.exists(entry.path)

    def _embed(self, batch: Sequence[Prepared]) -> list[Examined]:
        if not batch:
            return []
        try:
            rows = self.embedder.embed(np.stack([item.tensor for item in batch]))
        except Exception as error:  # noqa: BLE001 - a runtime's own: find the image it is about
            if len(batch) == 1:
                return [model_failed(batch[0].todo.ref, error)]
            return [outcome for item in batch for outcome in self._embed([item])]
        spec = self.embedder.spec
        if rows.shape != (len(batch), spec.dim):
            raise ModelError(
                f"{spec.name}: embeddings of shape {rows.shape} for {len(batch)} images, its spec"
                f" says {(len(batch), spec.dim)}; mend the model's embed or its spec"
            )
        return [finished(item, row) for item, row in zip(batch, rows, strict=True)]


def model_failed(ref: ImageRef, error: Exception) -> Failed:
    """Not the image's fault, so it is tried again in every run."""
    return Failed(ref, f"the model failed: {error}", final=False)


def finished(item: Prepared, embedding: Embedding) -> Examined:
    """A model that answers with no direction has seen nothing that can be compared."""
    if not np.isfinite(embedding).all() or not embedding.any():
        return Failed(item.todo.ref, "the model gives no embedding of it")
    return Embedded(item.todo.ref, item.record, embedding, is_new=item.todo.entry is None)


def record_of(ref: ImageRef, content: str, size: int, image: Decoded) -> ImageRecord:
    """What is known of an image once it is decoded."""
    exif = image.exif
    record = ImageRecord(
        id=ref.id,
        uri=ref.uri,
        sha256=content,
        width=image.width,
        height=image.height,
        format=image.format,
        size=size,
        date=exif.date,
        camera=exif.camera,
        latitude=exif.latitude,
        longitude=exif.longitude,
    )
    return revised(record, ref)


def revised(record: ImageRecord, ref: ImageRef) -> ImageRecord:
    """The record of the same bytes under what the source says now."""
    mtime = None if ref.mtime_ns is None else ref.mtime_ns / 1e9
    return replace(record, id=ref.id, uri=ref.uri, mtime=mtime, metadata=ref.metadata)
