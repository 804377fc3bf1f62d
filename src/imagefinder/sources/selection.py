"""Which images of a source are wanted: globs, and a sample."""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING

from imagefinder.errors import UsageError
from imagefinder.sources.names import is_hidden
from imagefinder.types import ImageRef, Skipped

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from imagefinder.protocols import Source


class Selection:
    """Globs on the path below the root, read as in a .gitignore file but without regard to case.

    `*.jpg` matches at any depth, `2019/*.jpg` directly below `2019`, `2019/` or `2019/**`
    everything in it. An image is wanted when it matches some `include` (or there is none) and no
    `exclude`.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = _compile("include", include) if include else None
        self._exclude = _compile("exclude", exclude) if exclude else None

    @property
    def everything(self) -> bool:
        return self._include is None and self._exclude is None

    def wants(self, path: str) -> bool:
        path = path.lower()
        if self._include is not None and not self._include.match_file(path):
            return False
        return self._exclude is None or not self._exclude.match_file(path)

    def enters(self, folder: str) -> bool:
        """False when a whole folder is excluded, so that it need not be read."""
        return self._exclude is None or not self._exclude.match_file(folder.lower() + "/")

    def covers(self, path: str, within: str = "") -> bool:
        """Whether a walk from the folder `within` comes to this path and wants it."""
        return self.wants(path) and not any(map(is_hidden, path.removeprefix(within).split("/")))


EVERYTHING = Selection()


def _compile(option: str, globs: Sequence[str]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # 15 ms, and seldom needed

    for glob in globs:
        try:
            GitIgnoreSpec.from_lines([glob.lower()])
        except (ValueError, re.error) as error:
            example = "not a glob such as '*.jpg' or '2019/**'"
            raise UsageError(f"--{option} {glob}: {example}") from error
    return GitIgnoreSpec.from_lines([glob.lower() for glob in globs])


class Sample:
    """`count` images of another source, the same ones at every run.

    Taken are the images whose path has the lowest hash, which is as good as drawing lots, needs
    memory for `count` images only, and hardly changes when images are added or removed.
    """

    complete = False

    def __init__(self, source: "Source", count: int) -> None:
        if count < 1:
            raise UsageError(f"--sample {count}: must be 1 or more")
        self._source, self._count = source, count

    @property
    def root(self) -> str:
        return self._source.root

    def items(self) -> Iterator[ImageRef | Skipped | None]:
        lowest: list[tuple[int, int, ImageRef]] = []  # a heap, the highest hash first
        for position, item in enumerate(self._source.items()):
            if not isinstance(item, ImageRef):
                yield item
                continue
            digest = blake2b(item.path.encode("utf-8", "replace"), digest_size=8).digest()
            entry = (-int.from_bytes(digest, "big"), -position, item)
            if len(lowest) < self._count:
                heappush(lowest, entry)
            else:
                heappushpop(lowest, entry)
        lowest.sort(key=lambda entry: -entry[1])
        for _, _, ref in lowest:
            yield ref

    def read(self, ref: ImageRef) -> bytes:
        return self._source.read(ref)

    def exists(self, path: str) -> bool:
        return self._source.exists(path)

    def covers(self, path: str) -> bool:
        return self._source.covers(path)
