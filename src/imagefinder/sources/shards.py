"""The archives of one source, as its walk comes to them."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from imagefinder.errors import FetchError
from imagefinder.sources.fetch import Fetcher
from imagefinder.sources.selection import Selection
from imagefinder.sources.shard import Shard, images, split_at_shards
from imagefinder.sources.shard_index import Found
from imagefinder.types import ImageRef, Skipped


class Shards:
    """Names their images, and remembers which it met: 8 bytes each. So whether an image is still
    there is known without reading an archive again."""

    def __init__(self, fetcher: Fetcher, selection: Selection) -> None:
        self._fetcher, self._selection = fetcher, selection
        self._under_way: dict[str, set[int]] = {}  # hashes of paths, by the archive's path
        self._walked: dict[str, array[int]] = {}  # the same, sorted
        self._damaged: set[str] = set()

    def images(self, path: str, found: Found) -> Iterator[ImageRef | Skipped | None]:
        """Those of the archive at a path below the root, as `Source.items` has them."""
        if not self._selection.enters(path):
            return
        met = self._under_way.setdefault(path, set())

        def wants(image: str) -> bool:
            met.add(hash(image))
            return self._selection.wants(image)

        shard = Shard(path, found.uri, found.size, found.mtime_ns)
        try:
            with found.open() as archive:
                for item in images(shard, archive, wants):
                    if isinstance(item, Skipped) and item.id == path:
                        self._damaged.add(path)
                    yield item
        except FetchError as error:
            self._damaged.add(path)
            yield Skipped(path, found.uri, str(error))
        self._walked[path] = array("q", sorted(met))
        del self._under_way[path]

    def exists(self, path: str, root: str) -> bool | None:
        """Whether an archive holds the image of this path, or may, where it is damaged or cannot be
        read; None where the path goes through no archive. `root` ends with a slash."""
        for shard, member in split_at_shards(path):
            if shard in self._walked or shard in self._under_way:
                if self._met(shard, hash(path)) or shard in self._damaged:
                    return True
                if shard in self._walked:
                    return False
            try:
                held = self._fetcher.in_shard(root + shard, member)
            except FetchError:
                return True
            if held is not None:
                return held
        return None

    def _met(self, shard: str, key: int) -> bool:
        if (met := self._under_way.get(shard)) is not None and key in met:
            return True
        keys = self._walked.get(shard, ())
        place = bisect_left(keys, key)
        return place < len(keys) and keys[place] == key
