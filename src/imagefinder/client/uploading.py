"""Images sent to a service: some at once, and one alone where it spoils the others' request."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from json import dumps

from imagefinder.client import wire
from imagefinder.client.connection import Answer, Connection, Form
from imagefinder.client.patience import USUAL, Patience
from imagefinder.client.pictures import media_type, problem
from imagefinder.errors import ImageError, UsageError
from imagefinder.types import AddReport, Upload
from imagefinder.upload_ids import id_of, skipped, with_ids

BATCH = 8  # images of one request,
BATCH_BYTES = 4_000_000  # as far as they fit: over a slow line it must arrive within 30 s
WORKERS = 4  # requests at once


@dataclass(frozen=True, slots=True)
class Uploader:
    """Sends the images of one source."""

    connection: Connection
    source: str
    patience: Patience = USUAL

    def __call__(self, uploads: Sequence[Upload]) -> AddReport:
        """What became of each. All have ids, and no two the same."""
        try:
            return self.connection.post(
                "v1/images", self._form(uploads), partial(report_on, uploads), self.patience
            )
        except (ImageError, UsageError) as error:  # too large, or one of them is not taken at all
            if len(uploads) == 1:
                return AddReport(skipped=[skipped(uploads[0], str(error))])
            half = len(uploads) // 2
            return merged(self(uploads[:half]), self(uploads[half:]))

    def _form(self, uploads: Sequence[Upload]) -> Form:
        """A number for a name: many letters of file names do not survive a form."""
        form: Form = [
            ("image", (str(number), upload.data, media_type(upload.data)))
            for number, upload in enumerate(uploads)
        ]
        form += [("id", id_of(upload)) for upload in uploads]
        if any(upload.metadata for upload in uploads):
            form += [("metadata", dumps(wire.plain(upload.metadata))) for upload in uploads]
        return [*form, ("source", self.source)]


def batches(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    """What goes into one request each; an image that is larger goes alone."""
    batch: list[Upload] = []
    size = 0
    for upload in uploads:
        if batch and (len(batch) == BATCH or size + len(upload.data) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(upload)
        size += len(upload.data)
    if batch:
        yield batch


def acceptable(uploads: Iterable[Upload], report: AddReport) -> Iterator[Upload]:
    """The uploads that are worth sending; the others are skipped in `report`."""
    for _, upload in with_ids(uploads, report):
        if reason := problem(upload.data):
            report.skipped.append(skipped(upload, reason))
        else:
            yield upload


def report_on(uploads: Sequence[Upload], answer: Answer) -> AddReport:
    """The service's answer, with the names of the uploads that it knows by number."""
    report = wire.added(answer)
    told = [skipped(uploads[int(one.uri)], one.reason) for one in report.skipped]
    return AddReport(report.added, report.updated, report.unchanged, told)


def merged(report: AddReport, more: AddReport) -> AddReport:
    """Both together, in this order."""
    return AddReport(
        added=report.added + more.added,
        updated=report.updated + more.updated,
        unchanged=report.unchanged + more.unchanged,
        skipped=report.skipped + more.skipped,
    )
