"""The hub's cache on this machine, which other programs share: blobs/, snapshots/ and refs/.

A snapshot's files are links to blobs, named by their hash; where there are no links, they are the
files themselves.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha1, sha256
from pathlib import Path
from uuid import uuid4

from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from huggingface_hub.file_download import repo_folder_name

from imagefinder.models.row import HubFile

CHUNK = 1 << 20
REVISION = re.compile(r"[\w.+-]+(/[\w.+-]+)*")  # it becomes a path


def find(file: HubFile, revision: str) -> Path | None:
    """The snapshot's file, if there is one. Raises HFValidationError for what is no name."""
    if not REVISION.fullmatch(file.revision) or ".." in file.revision:
        raise HFValidationError(f"revision {file.revision!r}")
    try:
        found = try_to_load_from_cache(
            file.repository, file.path, cache_dir=cache(), revision=revision
        )
    except ValueError as error:  # of a path that leads out of the repository
        raise HFValidationError(str(error)) from error
    return Path(found) if isinstance(found, str) else None


def cache() -> Path:
    """Of all repositories."""
    return Path(os.path.abspath(constants.HF_HUB_CACHE))


def folder_of(file: HubFile) -> Path:
    name = repo_folder_name(repo_id=file.repository, repo_type="model")
    return cache() / name


def lock_of(file: HubFile, etag: str) -> Path:
    """The same that huggingface_hub holds, so that programs wait for each other."""
    return cache() / ".locks" / folder_of(file).name / f"{etag}.lock"


def blob_of(file: HubFile, etag: str) -> Path:
    return folder_of(file) / "blobs" / etag


def part_of(file: HubFile, etag: str) -> Path:
    """Where an unfinished download waits: `hf cache prune` knows it by the ending."""
    return blob_of(file, f"{etag}.{tag(file)}.incomplete")


def pointer_of(file: HubFile, commit: str) -> Path:
    return folder_of(file) / "snapshots" / commit / Path(*file.path.split("/"))


def commit_of(file: HubFile, pointer: Path) -> str:
    return pointer.relative_to(folder_of(file) / "snapshots").parts[0]


def etag_of(pointer: Path) -> str | None:
    """The name of the blob; None where there are no links."""
    return target(pointer).name if pointer.is_symlink() else None


def verified(path: Path, etag: str | None) -> str | None:
    """The sha256 of a file; None if the file is not the one that the hub calls `etag`.

    The hub names large files by their sha256 and small ones as git does. Other servers have names
    of their own, which tell nothing.
    """
    whole, git = sha256(), sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    is_git = etag is not None and len(etag) == 40
    with path.open("rb") as data:
        while chunk := data.read(CHUNK):
            whole.update(chunk)
            if is_git:
                git.update(chunk)
    if is_git:
        return whole.hexdigest() if etag == git.hexdigest() else None
    return whole.hexdigest() if not is_sha256(etag) or etag == whole.hexdigest() else None


def is_sha256(etag: str | None) -> bool:
    return etag is not None and len(etag) == 64


def link(pointer: Path, blob: Path) -> None:
    """Let a snapshot's file be that blob."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        pointer.unlink()
    try:
        if constants.HF_HUB_DISABLE_SYMLINKS:
            raise OSError
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:  # Windows, as a rule
        shutil.copyfile(blob, pointer) if is_used(blob) else os.replace(blob, pointer)


def point(file: HubFile, commit: str) -> None:
    """Note which commit a branch or tag is at, for programs without a network."""
    ref = folder_of(file) / "refs" / file.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    part = ref.with_name(f"{ref.name}.{uuid4().hex}.tmp")  # of this thread alone
    part.write_text(commit)
    os.replace(part, ref)


def remove(file: HubFile, pointer: Path | None) -> int:
    """Take a file out of the cache, finished or not. Returns the bytes freed. Raises OSError.

    A blob stays while another snapshot's file is it.
    """
    parts = list((folder_of(file) / "blobs").glob(f"*.{tag(file)}.incomplete"))
    freed = sum(removed(part) for part in parts)
    if pointer is not None:
        blob = target(pointer)
        freed += removed(pointer)
        if blob.parent == folder_of(file) / "blobs" and not is_used(blob):
            freed += removed(blob)
    tidy(folder_of(file))
    return freed


def removed(path: Path) -> int:
    """The bytes that this freed: a link has none."""
    size = 0 if path.is_symlink() else path.stat().st_size
    path.unlink()
    return size


def target(pointer: Path) -> Path:
    """The blob; no further, as it can itself be a link into a store of huggingface_hub's."""
    if not pointer.is_symlink():
        return pointer
    return Path(os.path.normpath(pointer.parent / os.readlink(pointer)))


def is_used(blob: Path) -> bool:
    """Whether a snapshot's file is this blob."""
    snapshots = blob.parents[1] / "snapshots"
    return any(path.is_symlink() and target(path) == blob for path in snapshots.rglob("*"))


def tidy(folder: Path) -> None:
    """Remove what is empty, and branches that point to nothing."""
    snapshots = folder / "snapshots"
    for path in deepest_first(snapshots):
        with suppress(OSError):  # not empty
            path.rmdir()
    for ref in deepest_first(folder / "refs"):
        if ref.is_file() and not (snapshots / ref.read_text()).is_dir():
            ref.unlink()
    if not snapshots.exists() and not any((folder / "blobs").glob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def deepest_first(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*"), key=lambda path: -len(path.parts))
    if folder.is_dir():
        yield folder


def tag(file: HubFile) -> str:
    """Tells the unfinished downloads of a repository's files apart."""
    return sha256(file.path.encode()).hexdigest()[:8]
