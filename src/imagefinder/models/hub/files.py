"""Files of the Hugging Face hub, in the cache that other programs use, verified and pinned.

The environment is that of `huggingface_hub`: HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from huggingface_hub import constants
from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from imagefinder.errors import ModelError
from imagefinder.models.hub import cache, pins
from imagefinder.models.hub.errors import (
    DamagedFileError,
    called,
    not_here,
    spoilt,
    translated,
)
from imagefinder.models.hub.pins import Pin
from imagefinder.models.hub.transfer import COMMIT, Remote, ask, complete
from imagefinder.models.row import HubFile

# The file's path in the repository, bytes done, bytes in all (None: the hub does not tell).
OnProgress: TypeAlias = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file on this machine. `commit` is what it was fetched at."""

    path: Path
    sha256: str
    commit: str


def no_one(name: str, done: int, total: int | None) -> None:
    """Tells nobody of the progress."""


def fetch(file: HubFile, *, on_progress: OnProgress = no_one, offline: bool = False) -> Fetched:
    """A file from the cache, else from the hub: always the same since the first time.

    What was interrupted goes on where it stopped. Raises ModelError.
    """
    offline = offline or is_offline()
    with translated(file):
        try:
            found = present(file)
        except DamagedFileError:
            if offline:
                raise
            found = None
        if found is None and offline:
            raise not_here(file)
        return found or download(file, on_progress)


def cached(file: HubFile) -> Fetched | None:
    """A file that is on this machine, and undamaged; never the network. Raises ModelError."""
    with translated(file):
        try:
            return present(file)
        except DamagedFileError:
            return None


def forget(files: Sequence[HubFile]) -> int:
    """Take these files out of the cache, and none else. Returns the bytes freed.

    The pins stay: fetched again, they are the same. Raises ModelError.
    """
    freed = 0
    for file in files:
        with translated(file):
            freed += cache.remove(file, pointer_of(file, pins.find(file)))
    return freed


def is_offline() -> bool:
    """As `huggingface_hub` sees it, which looked when it was imported, or as it is now."""
    now = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return now or constants.is_offline_mode()


def present(file: HubFile) -> Fetched | None:
    """A file of the cache, whoever fetched it. Raises DamagedFileError."""
    pin = pins.find(file)
    pointer = pointer_of(file, pin)
    if pointer is None:
        return None
    if pin and pin.is_of(pointer.stat()):
        return Fetched(pointer, pin.sha256, pin.commit)
    sha256 = cache.verified(pointer, cache.etag_of(pointer))
    if sha256 is None or (pin and sha256 != pin.sha256):
        raise DamagedFileError.of(file)
    return noted(file, Fetched(pointer, sha256, cache.commit_of(file, pointer)))


def pointer_of(file: HubFile, pin: Pin | None) -> Path | None:
    """Where the cache has a file: at its commit, or at that of its neighbours, or at any."""
    if pin:
        return cache.find(file, pin.commit)
    neighbours = pins.commit_of(file)
    found = cache.find(file, neighbours) if neighbours else None
    return found or cache.find(file, file.revision)


def download(file: HubFile, on_progress: OnProgress) -> Fetched:
    """Raises ModelError, and what `translated` makes one of."""
    pin, neighbours = pins.find(file), pins.commit_of(file)
    remote = locate(file, pin, neighbours)
    pointer = cache.pointer_of(file, remote.commit)
    blob = cache.blob_of(file, remote.etag)
    lock = cache.lock_of(file, remote.etag)
    for path in (blob, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        sha256 = whole(pointer, remote) or whole(blob, remote)
        if sha256 is None:
            sha256 = receive(file, remote, blob, on_progress)
        if pin and sha256 != pin.sha256:
            if not cache.is_used(blob):
                blob.unlink(missing_ok=True)
            raise changed(file, pin)
        if not pointer.exists():
            cache.link(pointer, blob)
    if not (pin or neighbours or COMMIT.fullmatch(file.revision)):
        cache.point(file, remote.commit)
    return noted(file, Fetched(pointer, sha256, remote.commit))


def locate(file: HubFile, pin: Pin | None, neighbours: str | None) -> Remote:
    """The file at its commit; the first time at that of its neighbours, so that they match."""
    if pin:
        try:
            remote = ask(file, pin.commit)
        except (RemoteEntryNotFoundError, RevisionNotFoundError) as error:
            raise changed(file, pin) from error
        if cache.is_sha256(remote.etag) and remote.etag != pin.sha256:
            raise changed(file, pin)
        return remote
    if neighbours:
        with suppress(RemoteEntryNotFoundError, RevisionNotFoundError):
            return ask(file, neighbours)
    return ask(file, file.revision)


def whole(path: Path, remote: Remote) -> str | None:
    """The sha256 of a file that is there already; a damaged one is removed."""
    if path.exists() and (sha256 := cache.verified(path, remote.etag)):
        return sha256
    path.unlink(missing_ok=True)
    return None


def receive(file: HubFile, remote: Remote, blob: Path, on_progress: OnProgress) -> str:
    """Fill a blob and return its sha256: nothing that is not verified gets its name."""
    part = cache.part_of(file, remote.etag)
    for _ in range(2):
        complete(remote, part, lambda done: on_progress(file.path, done, remote.size))
        sha256 = whole(part, remote)
        if sha256:
            os.replace(part, blob)
            return sha256
    raise spoilt(file)


def changed(file: HubFile, pin: Pin) -> ModelError:
    """For a file that the hub no longer has as it was."""
    return ModelError(
        f"{called(file)}: the hub no longer has what was fetched first, at commit"
        f" {pin.commit[:7]}; to take what it has now, remove the file's entry from {pins.place()}"
    )


def noted(file: HubFile, fetched: Fetched) -> Fetched:
    """Pin it. Where the data directory cannot be written, it is verified anew each time."""
    status = fetched.path.stat()
    with suppress(OSError):
        pin = Pin(fetched.commit, fetched.sha256, status.st_size, status.st_mtime_ns)
        pins.record(file, pin)
    return fetched
