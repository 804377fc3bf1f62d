"""The ledger of a cluster: two tables in Milvus, so that whoever has the address has it.

    images   a row an image: its entry
    notes    everything of which there is less: sources, spaces, skipped images, claims

There are no transactions. Each method writes in an order in which a crash between two rows leaves
what the next run puts right by itself, and whoever changes images has claimed them (see claims).
"""

import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b

from imagefinder.ahead import chunks
from imagefinder.stores.ids import key_of, possible
from imagefinder.stores.ledger import Held, ImageEntry, SkippedEntry, Unseen
from imagefinder.stores.ledger.seen import Seen
from imagefinder.stores.media import FOLDER
from imagefinder.stores.milvus.cached import Known
from imagefinder.stores.milvus.spaces import Contents, MilvusSpaces, note_row
from imagefinder.stores.milvus.table import AT_ONCE, Row, Table, literal

__all__ = ["IMAGES", "NOTES", "MilvusLedger"]

IMAGES = {"source": 0, "sha256": 64, "bucket": 0}
NOTES = {"kind": 16, "target": 1100, "number": 0}
BUCKETS = 1 << 32
SPARE = 1.5  # so many times the rows that are drawn by lot, as buckets differ
DRAWN = 10_000  # at most
MAX_SHOWN = 3000  # letters of what a skipped image is called: a row takes 65,535 bytes


class MilvusLedger:
    """A Ledger. `store` opens that of a space: what it lacks is seen there."""

    def __init__(self, images: Table, notes: Table, store: Callable[[str], Contents]) -> None:
        self._images, self._notes = images, notes
        self.spaces = MilvusSpaces(notes, self, store)
        self._sources = Known(self._read_sources)
        self._seen: dict[int, Seen] = {}  # by source
        self._changes = 0  # made through this object

    # sources

    def sources(self) -> Mapping[int, tuple[str, str]]:
        return self._sources.entries()

    def source(self, root: str, base: str) -> int:
        sources = self._sources.now()
        number = number_of(root)
        while number in sources and sources[number][0] != root:
            number += 1  # it was moved here from where this one is, or the two are alike by chance
        known = [each for each, (other, _) in sources.items() if other == root]
        if known:
            return known[0]
        self._put_source(number, root, base)
        return number

    def move_source(self, source: int, root: str, base: str) -> None:
        self._put_source(source, root, base)

    def drop_source(self, source: int) -> None:
        self._notes.delete(str(row["key"]) for row in self._skips(source))
        self._notes.delete([source_key(source)])
        self._sources.forget()

    # what is known

    @property
    def changes(self) -> int:
        """Others' changes are seen by the number of images, as far as it differs."""
        return (self._changes << 32) + self.count()

    def images(self, ids: Sequence[str]) -> dict[str, ImageEntry]:
        keys = {key_of(id): id for id in ids if possible(id)}
        return {keys[key]: entry_of(row) for key, row in self._images.get(keys).items()}

    def with_content(self, sha256: str) -> list[ImageEntry]:
        return list(map(entry_of, self._images.page(f"sha256 == {literal(sha256)}", limit=20)))

    def has_upload(self, path: str) -> bool:
        numbers = {number for number, (_, base) in self.sources().items() if base == FOLDER}
        content = path.rpartition("/")[2].partition(".")[0]
        same = map(entry_of, self._images.rows(f"sha256 == {literal(content)}"))
        return any(entry.source in numbers and entry.path == path for entry in same)

    def below(self, source: int, folder: str = "") -> Iterator[list[ImageEntry]]:
        entries = map(entry_of, self._images.rows(f"source == {source}"))
        start = f"{folder}/" if folder else ""
        return chunks((entry for entry in entries if entry.path.startswith(start)), AT_ONCE)

    def ids(self, *, after: str = "", limit: int = 1000) -> list[str]:
        """In the order of their keys: the ids themselves, but for control characters."""
        rows = self._images.page(after=key_of(after) if after else "", limit=limit)
        return [entry_of(row).id for row in rows]

    def random_ids(self, count: int) -> list[str]:
        """Those of a random stretch of buckets, a hash of the ids."""
        total, start = self.count(), random.randrange(BUCKETS)
        share = SPARE * count / max(total, 1)
        while True:
            rows = self._images.page(stretch(start, share), limit=DRAWN)
            if len(rows) >= min(count, total) or share >= 1:
                break
            share *= 2
        drawn = [entry_of(row).id for row in rows]
        random.shuffle(drawn)
        return drawn[:count]

    def count(self, source: int | None = None) -> int:
        return self._images.count("" if source is None else f"source == {source}")

    def skips(self, source: int, ids: Sequence[str]) -> dict[tuple[str, str], SkippedEntry]:
        names = [key_of(id) for id in dict.fromkeys(ids) if possible(id)]
        rows = self._notes.where(f'kind == "skipped" and number == {source}', names, "target")
        return {(skip.id, skip.path): skip for skip in map(skip_of, rows)}

    def skipped(self) -> Iterator[SkippedEntry]:
        return map(skip_of, self._notes.rows('kind == "skipped"'))

    def skipped_count(self) -> int:
        return self._notes.count('kind == "skipped"')

    # writing

    def acknowledge(
        self,
        images: Iterable[ImageEntry],
        skipped: Iterable[SkippedEntry] = (),
        gone: Sequence[str] = (),
        held: Held | None = None,
    ) -> None:
        images, skipped = list(images), list(skipped)
        if held is not None:
            self.spaces.fall_behind(self._of_new_content(images), held)
        # first: of an image that is skipped and indexed, the next run would believe the former
        skips = (skip_key(image.source, image.id, image.path) for image in images)
        self._notes.delete(skips, wait=False)
        self._images.put(map(image_row, images))
        self._notes.put(map(skip_row, skipped))
        self.forget(gone)
        self._changes += 1

    def forget(self, ids: Sequence[str]) -> None:
        self._images.delete(key_of(id) for id in ids if possible(id))
        self._changes += 1

    def look_again(self, ids: Iterable[str]) -> None:
        entries = self.images(list(ids)).values()
        self._images.put(image_row(replace(entry, size=-1, sha256="")) for entry in entries)

    def settled(self, ids: Iterable[str]) -> None:
        """A claim is what says that something is in doubt."""

    # one run over a source

    def start_run(self, source: int) -> None:
        if source in self._seen:
            self._seen.pop(source).close()
        self._seen[source] = Seen()

    def see(self, source: int, keys: Sequence[tuple[str, str]]) -> list[str | None]:
        return self._seen[source].see(keys)

    def unseen(self, source: int) -> Iterator[Unseen]:
        seen = self._seen[source]
        for entries in self.below(source):
            missing = seen.without([(entry.id, entry.path) for entry in entries])
            other_ids = seen.ids_at([path for _, path in missing])
            owners = self.images(list(other_ids.values()))
            for id, path in missing:
                owner = owners.get(other_ids.get(path, ""))
                doubled = owner is not None and (owner.source, owner.path) == (source, path)
                yield Unseen(id, path, doubled)

    def drop_unseen_skips(self, source: int) -> None:
        seen = self._seen[source]
        for rows in chunks(self._skips(source), AT_ONCE):
            skips = {
                (skip.id, skip.path): str(row["key"]) for row in rows for skip in [skip_of(row)]
            }
            self._notes.delete(skips[pair] for pair in seen.without(list(skips)))

    def close(self) -> None:
        for seen in self._seen.values():
            seen.close()

    def _of_new_content(self, images: Sequence[ImageEntry]) -> list[str]:
        """Asked for only where there are spaces that could fall behind."""
        if len(self.spaces.entries()) < 2:
            return []
        known = self.images([image.id for image in images])
        return [i.id for i in images if i.id not in known or known[i.id].sha256 != i.sha256]

    def _skips(self, source: int) -> Iterator[Row]:
        return self._notes.rows(f'kind == "skipped" and number == {source}')

    def _put_source(self, number: int, root: str, base: str) -> None:
        body = json.dumps({"root": root, "base": base})
        row = note_row(source_key(number), "source", "", body)
        self._notes.put([{**row, "number": number}])
        self._sources.forget()

    def _read_sources(self) -> dict[int, tuple[str, str]]:
        rows = self._notes.rows('kind == "source"')
        bodies = {int(row["number"]): json.loads(str(row["body"])) for row in rows}
        return {number: (body["root"], body["base"]) for number, body in bodies.items()}


def number_of(root: str) -> int:
    """The same wherever it is asked, so that nobody has to agree on the next number."""
    return int.from_bytes(blake2b(root.encode(), digest_size=6).digest(), "big")


def stretch(start: int, share: float) -> str:
    """A condition for that share of all buckets, from this one on and around the end."""
    if share >= 1:
        return ""
    end = start + int(share * BUCKETS)
    if end <= BUCKETS:
        return f"bucket >= {start} and bucket < {end}"
    return f"(bucket >= {start} or bucket < {end - BUCKETS})"


def source_key(number: int) -> str:
    return f"source:{number}"


def image_row(entry: ImageEntry) -> Row:
    body = [entry.id, entry.path, entry.size, entry.mtime_ns, entry.metadata]
    return {
        "key": key_of(entry.id),
        "source": entry.source,
        "sha256": entry.sha256,
        "bucket": zlib.crc32(entry.id.encode("utf-8", "surrogatepass")),
        "body": json.dumps(body),
    }


def entry_of(row: Row) -> ImageEntry:
    id, path, size, mtime_ns, metadata = json.loads(str(row["body"]))
    source, sha256 = int(row["source"]), str(row["sha256"])
    return ImageEntry(id, source, path, size, mtime_ns, sha256, metadata)


def skip_key(source: int, id: str, path: str) -> str:
    """In the order of sources and, as far as the beginning tells, ids."""
    digest = blake2b(json.dumps([id, path]).encode(), digest_size=12).hexdigest()
    return f"skipped:{source:015}:{key_of(id)[:200] if possible(id) else ''}:{digest}"


def skip_row(skip: SkippedEntry) -> Row:
    texts = skip.id[:MAX_SHOWN], skip.path[:MAX_SHOWN], skip.reason[:MAX_SHOWN]
    body = [*texts[:2], skip.size, skip.mtime_ns, skip.final, texts[2]]
    return {
        "key": skip_key(skip.source, skip.id, skip.path),
        "kind": "skipped",
        "target": key_of(skip.id) if possible(skip.id) else "",
        "number": skip.source,
        "body": json.dumps(body),
    }


def skip_of(row: Row) -> SkippedEntry:
    return SkippedEntry(int(row["number"]), *json.loads(str(row["body"])))
