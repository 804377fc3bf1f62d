"""What is below a prefix of an object store, without holding more of it than must be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagefinder import objects
from imagefinder.errors import SourceError
from imagefinder.sources.names import is_hidden
from imagefinder.sources.selection import Selection

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

PAGE = 1000  # objects; as many as S3 gives in one answer


@dataclass(frozen=True, slots=True)
class Listed:
    """One object, or a folder that could not be listed, with the `problem`. `path` is below the
    prefix that was listed."""

    path: str
    size: int | None = None  # bytes
    mtime_ns: int | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def listed(
    store: "AbstractFileSystem", prefix: str, selection: Selection
) -> Iterator[list[Listed]]:
    """The objects below a prefix (empty, or with a slash at its end), some at a time, in an order
    that stays the same; without those that are hidden or in a folder that is not wanted.

    S3 is listed across all folders, 1,000 objects a request, and one page of it is in memory. Of
    other stores it is one folder with those that it is in.

    Raises SourceError, whose words do not repeat the prefix.
    """
    portions = _pages(store, prefix) if is_s3(store, prefix) else _folders(store, prefix, selection)
    for portion in portions:
        yield [found for found in portion if not any(map(is_hidden, found.path.split("/")))]


def is_s3(store: "AbstractFileSystem", prefix: str) -> bool:
    """Whether a bucket of S3 is named, which can be listed page by page."""
    return bool(prefix) and hasattr(store, "call_s3")


def page_of_s3(
    store: "AbstractFileSystem", prefix: str, **beginning: str
) -> tuple[list[Listed], str | None]:
    """Objects in the order of their paths, and the ContinuationToken of the next page. Where it
    begins is said as ListObjectsV2 calls it. Raises SourceError."""
    bucket, _, key = prefix.partition("/")
    if after := beginning.get("StartAfter"):
        beginning["StartAfter"] = key + after
    try:
        answer = store.call_s3(
            "list_objects_v2", Bucket=bucket, Prefix=key, MaxKeys=PAGE, **beginning
        )
    except FileNotFoundError as error:
        raise SourceError("no such bucket") from error
    except Exception as error:  # botocore has its own errors
        raise SourceError(objects.reason(error)) from error
    found = [
        Listed(item["Key"][len(key) :], item["Size"], objects.mtime_ns(item))
        for item in answer.get("Contents", ())
    ]
    return found, answer.get("NextContinuationToken")


def _pages(store: "AbstractFileSystem", prefix: str) -> Iterator[list[Listed]]:
    found, token = page_of_s3(store, prefix)
    while True:
        # consoles mark a folder with an empty object of its name
        yield [item for item in found if item.name]
        if token is None:
            return
        found, token = page_of_s3(store, prefix, ContinuationToken=token)


def _folders(
    store: "AbstractFileSystem", prefix: str, selection: Selection
) -> Iterator[list[Listed]]:
    """Folder by folder; a stack and not recursion, which has a limit."""
    stack = [iter(_folder(store, prefix, ""))]
    while stack:
        objects_here: list[Listed] = []
        for found, is_folder in stack[-1]:
            if not is_folder:
                objects_here.append(found)
            elif selection.enters(found.path) and not is_hidden(found.name):
                try:
                    below = _folder(store, prefix, found.path)
                except SourceError as error:  # one folder of many
                    problem = f"folder cannot be read: {error}"
                    objects_here.append(Listed(found.path, problem=problem))
                else:
                    stack.append(iter(below))
                    break
        else:
            stack.pop()
        yield objects_here


def _folder(store: "AbstractFileSystem", prefix: str, path: str) -> list[tuple[Listed, bool]]:
    """What is directly in a folder, by name, and whether that is a folder in turn."""
    whole = prefix + path
    folder = whole.rstrip("/") or whole  # the root of a store may be `/`, or nothing
    try:
        infos = store.ls(folder, detail=True)
    except FileNotFoundError as error:
        raise SourceError("no such folder or object") from error
    except Exception as error:  # each driver has its own errors
        raise SourceError(objects.reason(error)) from error
    above = f"{path}/" if path else ""
    found = []
    for info in infos:
        # an empty object that marks the folder is listed within it
        if info["name"].strip("/") != folder.strip("/"):
            size = info.get("size")
            name = info["name"].rstrip("/").rpartition("/")[2]
            item = Listed(
                above + name, size if isinstance(size, int) else None, objects.mtime_ns(info)
            )
            found.append((item, info.get("type") == "directory"))
    return sorted(found, key=lambda pair: pair[0].path)
