"""Uploaded images of a collection that several machines write, at a URL that all of them reach."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from imagefinder import objects
from imagefinder.errors import SourceError, StoreError
from imagefinder.stores.media import not_kept, write_whole

# Where what is being written is seen by nobody before it is whole.
WHOLE_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
DAY = 86_400.0  # seconds
# What lies there longer is written anew, though it is the same: a sweep may be about to take it.
FRESH = DAY / 2


class ObjectMedia:
    """Objects `ab/abcdef….jpg` below a URL of any store that fsspec knows, or below a path. The
    same bytes are one object, however often and by however many writers they are put.

    Nothing is noted while the media change, as in a folder of one writer: after a crash an object
    without an image is left over, which costs its room until `sweep` is called.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def changing(self) -> AbstractContextManager[None]:
        """Does nothing: other writers change the media all the time."""
        return nullcontext()

    @property
    def in_doubt(self) -> bool:
        """Never: what there is too much, `sweep` finds."""
        return False

    def sweep(self, wanted: Callable[[str], bool], *, older_than_s: float = DAY) -> int:
        """Delete what is at no wanted path and was written so long ago that no writer is about to
        tell the ledger of it; returns how many. Raises StoreError."""
        before = (time.time() - older_than_s) * 1e9
        gone = 0
        for path, mtime_ns in self._kept.all():
            if mtime_ns is not None and mtime_ns < before and not wanted(path):
                self.discard(path)
                gone += 1
        return gone

    def put(self, data: bytes, sha256: str, format: str) -> str:
        """Keep the bytes; returns their path below the URL. They are written unless they are known
        to be there, whole and since a short time. Raises StoreError, MissingExtraError."""
        path = f"{sha256[:2]}/{sha256}.{format}"
        self._kept.put(path, data)
        return path

    def discard(self, path: str) -> None:
        """Forget the bytes at a path. What cannot be deleted stays, and harms nothing."""
        with suppress(StoreError):
            self._kept.delete(path)

    @cached_property
    def _kept(self) -> "_Files | _Objects":
        """Opened when it is needed: fsspec takes a moment, and a reader needs none of it."""
        if "://" not in self._url:
            return _Files(Path(self._url))
        if objects.protocol_of(self._url) == "file":
            return _Files(Path(url2pathname(urlsplit(self._url).path)))
        return _Objects(self._url)


class NoMedia:
    """Of a collection that has no place for uploads."""

    def __init__(self, name: str) -> None:
        self._name = name

    def changing(self) -> AbstractContextManager[None]:
        """Nothing changes."""
        return nullcontext()

    @property
    def in_doubt(self) -> bool:
        """There is nothing."""
        return False

    def put(self, data: bytes, sha256: str, format: str) -> str:
        """Raises StoreError."""
        raise StoreError(
            f"{self._name}: has no place for uploaded images; name one that every process reaches,"
            " in the collection's address: ?media=s3://bucket/folder"
        )

    def discard(self, path: str) -> None:
        """There is nothing to forget."""


class _Files:
    """In a folder that several machines share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, path: str, data: bytes) -> None:
        file = self._folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not self._is_fresh(file, len(data)):
                write_whole(file, data)
        except OSError as error:
            raise not_kept(file, error) from error

    def delete(self, path: str) -> None:
        with suppress(OSError):
            (self._folder / path).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, int | None]]:
        """Paths with their times, those of half-written files among them."""
        for file in self._folder.rglob("*"):
            with suppress(FileNotFoundError):
                status = file.stat()
                if file.is_file():
                    yield file.relative_to(self._folder).as_posix(), status.st_mtime_ns

    def _is_fresh(self, file: Path, size: int) -> bool:
        try:
            status = os.stat(file)
        except FileNotFoundError:
            return False
        return status.st_size == size and time.time() - status.st_mtime < FRESH


class _Objects:
    """In an object store, or anywhere else. Raises StoreError."""

    def __init__(self, url: str) -> None:
        self._shown = objects.without_secrets(url)
        self._in_place = objects.protocol_of(url) in WHOLE_AT_ONCE
        try:
            self._store, prefix = objects.open_store(url)
        except SourceError as error:
            raise self._failed(str(error)) from error
        self._prefix = prefix.rstrip("/") + "/"

    def put(self, path: str, data: bytes) -> None:
        place = self._prefix + path
        try:
            if not self._is_fresh(place, len(data)):
                self._write(place, data)
        except Exception as error:  # each driver has its own errors
            raise self._failed(objects.reason(error)) from error

    def delete(self, path: str) -> None:
        try:
            self._store.rm_file(self._prefix + path)
        except FileNotFoundError:
            pass
        except Exception as error:
            raise self._failed(objects.reason(error)) from error

    def all(self) -> Iterator[tuple[str, int | None]]:
        """Paths with their times, folder by folder: one in 256 of the objects is in memory."""
        try:
            for folder in sorted(self._listed(self._prefix)):
                for place, info in self._listed(folder).items():
                    yield place.removeprefix(self._prefix), objects.mtime_ns(info)
        except Exception as error:
            raise self._failed(objects.reason(error)) from error

    def _write(self, place: str, data: bytes) -> None:
        if self._in_place:
            self._store.pipe_file(place, data)
            return
        part = f"{place}.part-{secrets.token_hex(8)}"
        self._store.makedirs(place.rpartition("/")[0], exist_ok=True)
        try:
            self._store.pipe_file(part, data)
            self._store.mv(part, place)
        except BaseException:
            with suppress(Exception):
                self._store.rm_file(part)
            raise

    def _is_fresh(self, place: str, size: int) -> bool:
        try:
            info = self._store.info(place)
        except FileNotFoundError:
            return False
        mtime_ns = objects.mtime_ns(info)
        is_young = mtime_ns is not None and time.time() - mtime_ns / 1e9 < FRESH
        return info.get("size") == size and is_young

    def _listed(self, folder: str) -> dict[str, dict[str, object]]:
        try:
            infos = self._store.ls(folder.rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        return {str(info["name"]): info for info in infos}

    def _failed(self, reason: str) -> StoreError:
        return StoreError(
            f"{self._shown}: uploaded images cannot be kept here ({reason}); check that this place"
            " exists and may be written, then add them again"
        )
