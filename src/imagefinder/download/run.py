"""One download: what is missing is fetched, what is there stays, what fails is told."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from hashlib import file_digest, sha256
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from imagefinder.download.file_names import FileNames, marked, with_extension
from imagefinder.download.pool import HostPool
from imagefinder.errors import FetchError, TransferError
from imagefinder.protocols import Progress, Source
from imagefinder.signatures import refusal, sniff
from imagefinder.sources.manifest import Entry, Manifest, ManifestWriter, read_manifest
from imagefinder.sources.names import HEAD, MANIFEST_NAME
from imagefinder.types import ImageRef, Skipped

GRACE = 1.0  # seconds for what is under way when the user interrupts
PARTIAL = ".imagefinder-partial"  # files in the making; one folder, so that leftovers are found
LOCK = ".imagefinder-download.lock"
# These concern every file that would follow.
_FATAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


@dataclass(slots=True)
class DownloadReport:
    """What one download did. `failed` has an entry for each image that is not there now."""

    downloaded: int = 0
    present: int = 0  # complete from an earlier run
    bytes: int = 0  # of those downloaded
    failed: list[Skipped] = field(default_factory=list)
    interrupted: bool = False


def download(
    table: Source,
    directory: Path,
    *,
    workers: int = 16,
    per_host: int = 4,
    progress: Progress | None = None,
    on_failed: Callable[[Skipped], None] | None = None,
) -> DownloadReport:
    """Fetch the images of a source into a folder, with a manifest of their ids and metadata.

    Run again, it fetches only what is missing or has another URL now. Each file appears complete
    or not at all. Ctrl-C ends it with a report. At most `workers` images are in memory at once.

    Raises TransferError when the folder cannot be written or another download writes there.
    """
    directory = directory.expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / LOCK, timeout=0):
            run = _Run(table, directory, progress, on_failed)
            return run(workers, per_host)
    except Timeout as error:
        raise TransferError(
            f"{directory}: another download is writing there; wait for it to end"
        ) from error
    except OSError as error:
        raise _cannot_write(directory, error) from error


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to fetch. `stem` is its file's name without extension, `old` what it has now."""

    ref: ImageRef
    stem: str
    old: Entry | None


@dataclass(frozen=True, slots=True)
class _Saved:
    job: _Job
    entry: Entry


class _Run:
    """The state of one download, on the caller's thread; only `_fetch` and below run on others."""

    def __init__(
        self,
        table: Source,
        directory: Path,
        progress: Progress | None,
        on_failed: Callable[[Skipped], None] | None,
    ) -> None:
        self._table, self._directory = table, directory
        self._progress, self._on_failed = progress, on_failed
        self._partial = directory / PARTIAL
        self._names = FileNames()
        self._serial = count()
        self._seen: set[int] = set()
        self._total: int | None = None
        self._report = DownloadReport()

    def __call__(self, workers: int, per_host: int) -> DownloadReport:
        path = self._directory / MANIFEST_NAME
        for entry in read_manifest(path):
            self._names.keep(entry.id, entry.file)
        shutil.rmtree(self._partial, ignore_errors=True)  # of a run that was killed
        self._partial.mkdir()
        try:
            with Manifest(path, by="id") as manifest, closing(ManifestWriter(path)) as writer:
                self._all(manifest, writer, workers, per_host)
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)
        return self._report

    def _all(self, manifest: Manifest, writer: ManifestWriter, workers: int, per_host: int) -> None:
        pool = HostPool(self._fetch, _host, workers=workers, per_host=per_host)
        try:
            if self._progress is not None:  # a table is read in no time beside what it names
                self._total = sum(item is not None for item in self._table.items())
            for outcome in pool.run(self._missing(manifest, writer)):
                self._settle(outcome, writer)
        except KeyboardInterrupt:
            self._report.interrupted = True
        finally:
            for outcome in pool.stop(GRACE):
                self._settle(outcome, writer)

    def _missing(self, manifest: Manifest, writer: ManifestWriter) -> Iterator[_Job]:
        """What has to be fetched; the rest is counted on the way."""
        for item in self._table.items():
            if item is None:
                continue
            if isinstance(item, Skipped):
                self._fail(item)
            elif (key := hash(item.id)) in self._seen:
                self._fail(Skipped(item.id, item.uri, f"the id {item.id} stands twice"))
            else:
                self._seen.add(key)
                entry = manifest.get(item.id)
                if entry is None or not self._is_present(item, entry):
                    yield _Job(item, self._names.stem(item.id), entry)
                    continue
                if dict(entry.metadata) != dict(item.metadata):
                    writer.add(replace(entry, metadata=item.metadata))
                self._report.present += 1
                self._tell()

    def _is_present(self, ref: ImageRef, entry: Entry) -> bool:
        try:
            size = (self._directory / entry.file).stat().st_size
        except OSError:
            return False
        return entry.url == ref.uri and size == entry.size

    def _settle(self, outcome: _Saved | Skipped, writer: ManifestWriter) -> None:
        if isinstance(outcome, Skipped):
            self._fail(outcome)
            return
        entry, old = outcome.entry, outcome.job.old
        writer.add(entry)
        if old is not None and old.file != entry.file:  # the format changed, and the name with it
            (self._directory / old.file).unlink(missing_ok=True)
        self._report.downloaded += 1
        self._report.bytes += entry.size
        self._tell()

    def _fail(self, skipped: Skipped) -> None:
        self._report.failed.append(skipped)
        if self._on_failed is not None:
            self._on_failed(skipped)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            report = self._report
            done = report.downloaded + report.present + len(report.failed)
            self._progress(done, self._total)

    def _fetch(self, job: _Job) -> _Saved | Skipped:
        """On a worker: fetch, check and put in place. Raises TransferError when no file can be."""
        ref = job.ref
        try:
            data = self._table.read(ref)
        except FetchError as error:
            return Skipped(ref.id, ref.uri, str(error))
        format = sniff(data[:HEAD])
        if format is None:
            return Skipped(ref.id, ref.uri, refusal(data[:HEAD]))
        try:
            file = self._put(job, data, format)
        except OSError as error:
            if error.errno in _FATAL:
                raise _cannot_write(self._directory, error) from error
            reason = f"cannot be written: {(error.strerror or str(error)).lower()}"
            return Skipped(ref.id, ref.uri, reason)
        digest = sha256(data).hexdigest()
        return _Saved(job, Entry(ref.id, file, ref.uri, digest, len(data), ref.metadata))

    def _put(self, job: _Job, data: bytes, format: str) -> str:
        """Write the file whole or not at all; its path below the folder."""
        partial = self._partial / str(next(self._serial))
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the manifest must not promise what a power cut takes away
        name = with_extension(job.stem, job.ref.id, format)
        if self._is_anothers(name, job, data):
            name = with_extension(marked(job.stem, job.ref.id), job.ref.id, format)
        target = self._directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
        return name

    def _is_anothers(self, name: str, job: _Job, data: bytes) -> bool:
        """Whether a file of this name is there that no download of this image has written.

        One with the same content is ours: a run was killed between writing file and manifest.
        """
        if job.old is not None and job.old.file == name:
            return False
        try:
            with (self._directory / name).open("rb") as file:
                return file_digest(file, "sha256").digest() != sha256(data).digest()
        except FileNotFoundError:
            return False
        except OSError:  # a folder has the name
            return True


def _host(job: _Job) -> str:
    with suppress(ValueError):
        return urlsplit(job.ref.uri).netloc
    return ""


def _cannot_write(directory: Path, error: OSError) -> TransferError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransferError(
            f"{directory}: no space left; what is complete stays, free some and run it again"
        )
    return TransferError(
        f"{directory}: cannot be written: {(error.strerror or str(error)).lower()}"
    )
