"""The spaces of a cluster's collection, and which images each of them lacks.

That is seen by comparing: a space lacks an image where its store has none, or one of other contents
than the ledger says. So that nobody has to compare all of them, whoever acknowledges new contents
that a space does not have leaves a note of their ids (`behind`; a new space: of all). A note goes
once none of its images is lacking any more, and it is old enough for its writer to have ended.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Protocol
from uuid import uuid4

from imagefinder.ahead import chunks
from imagefinder.stores.ids import key_of
from imagefinder.stores.ledger import Held, ImageEntry, SpaceEntry
from imagefinder.stores.milvus.cached import Cached
from imagefinder.stores.milvus.claims import LEASE
from imagefinder.stores.milvus.table import Row, Table, literal

SETTLED = 2 * LEASE  # seconds after which a note's writer has acknowledged, or is gone
IDS_A_NOTE = 60  # of 1,024 bytes each at most: a row takes 65,535


class Images(Protocol):
    """What is asked of the ledger."""

    def images(self, ids: Sequence[str]) -> dict[str, ImageEntry]: ...

    def ids(self, *, after: str = "", limit: int = 1000) -> list[str]: ...

    def count(self, source: int | None = None) -> int: ...


class Contents(Protocol):
    """What is asked of a space's store."""

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The SHA-256 of the images as the store has them."""

    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Note:
    """`ids` None: of every image."""

    key: str
    ids: list[str] | None
    at: float  # seconds since 1970


class MilvusSpaces:
    """A SpaceTable."""

    def __init__(self, notes: Table, images: Images, store: Callable[[str], Contents]) -> None:
        self._notes, self._images, self._store = notes, images, store
        self._known = Cached(self._read)

    def entries(self) -> Mapping[str, SpaceEntry]:
        return self._known.value()[0]

    @property
    def in_use(self) -> str | None:
        entries, in_use = self._known.value()
        return in_use if in_use in entries else next(iter(entries), None)

    def now(self) -> Mapping[str, SpaceEntry]:
        """The same, read anew."""
        return self._known.now()[0]

    def add(self, entry: SpaceEntry) -> None:
        if not entry.imported and self._images.count():
            self._note(entry.name, None)
        self._put(entry, time.time())

    def moved(self, name: str, model: str) -> None:
        row = self._notes.get([space_key(name)])[space_key(name)]
        self._put(replace(self.entries()[name], model=model), json.loads(str(row["body"]))["at"])

    def use(self, name: str) -> None:
        self._notes.put([note_row("in use", "in use", name, "")])
        self._known.forget()

    def drop(self, name: str) -> None:
        about = f'(kind == "behind" or kind == "failed") and target == {literal(name)}'
        self._notes.delete(str(row["key"]) for row in self._notes.rows(about))
        self._notes.delete([space_key(name)])
        self._known.forget()

    # what a space lacks

    def behind(
        self, space: str, *, after: str = "", limit: int = 1000, failed: bool = False
    ) -> list[str]:
        found: list[str] = []
        given_up = set() if failed else self._failed(space)
        for ids in self._suspects(space, after):
            lacking = self.lacking(space, ids)
            found += [id for id in ids if id in lacking and id not in given_up]
            if len(found) >= limit:
                break
        return found[:limit]

    def behind_count(self, space: str, *, failed: bool = True) -> int:
        notes = self._notes_of(space)
        if not notes:
            return 0
        lacking = 0
        for ids in self._suspects(space, ""):
            lacking += len(self.lacking(space, ids))
        if not lacking:
            ended = time.time() - SETTLED
            self._notes.delete((note.key for note in notes if note.at < ended), wait=False)
        return lacking if failed else lacking - len(self._failed(space))

    def lacking(self, space: str, ids: Sequence[str]) -> set[str]:
        entry = self.entries().get(space)
        if not ids or entry is None or entry.imported:
            return set()
        entries, contents = self._images.images(ids), self._store(space).contents(ids)
        return {
            id
            for id, entry in entries.items()
            if id not in contents or entry.sha256 not in ("", contents[id])
        }

    def caught_up(self, space: str, ids: Iterable[str], failed: Mapping[str, str]) -> None:
        self._notes.delete(failed_key(space, id) for id in ids)
        self._notes.put(
            note_row(failed_key(space, id), "failed", space, json.dumps([id, reason[:1000]]))
            for id, reason in failed.items()
        )

    def fall_behind(self, ids: Sequence[str], held: Held) -> None:
        """These images have new contents, whose embeddings only the spaces in `held` have."""
        for space, entry in self.entries().items():
            have = set(held.get(space, ()))
            late = [id for id in ids if id not in have]
            if late and not entry.imported:
                self._notes.delete((failed_key(space, id) for id in late), wait=False)
                for some in chunks(late, IDS_A_NOTE):
                    self._note(space, some)

    def look_again(self, ids: Sequence[str]) -> None:
        """Some space may have others contents of these than the ledger says."""
        self.fall_behind(ids, {})

    def _suspects(self, space: str, after: str) -> Iterator[list[str]]:
        """The ids of the notes beyond `after`, in order, some at once."""
        notes = self._notes_of(space)
        if any(note.ids is None for note in notes):
            while ids := self._images.ids(after=after):
                yield ids
                after = ids[-1]
            return
        noted = {id for note in notes for id in note.ids or ()}
        beyond = key_of(after) if after else ""
        yield from chunks(sorted((id for id in noted if key_of(id) > beyond), key=key_of), 1000)

    def _failed(self, space: str) -> set[str]:
        rows = self._notes.rows(f'kind == "failed" and target == {literal(space)}')
        return {json.loads(str(row["body"]))[0] for row in rows}

    def _notes_of(self, space: str) -> list[Note]:
        rows = self._notes.rows(f'kind == "behind" and target == {literal(space)}')
        return [Note(str(row["key"]), **json.loads(str(row["body"]))) for row in rows]

    def _note(self, space: str, ids: list[str] | None) -> None:
        body = json.dumps({"ids": ids, "at": time.time()})
        self._notes.put([note_row(f"behind:{uuid4().hex}", "behind", space, body)])

    def _put(self, entry: SpaceEntry, at: float) -> None:
        body = json.dumps({"at": at, "entry": asdict(entry)})
        self._notes.put([note_row(space_key(entry.name), "space", entry.name, body)])
        self._known.forget()

    def _read(self) -> tuple[dict[str, SpaceEntry], str | None]:
        rows = self._notes.rows('kind == "space"')
        found = sorted((json.loads(str(row["body"])) for row in rows), key=lambda body: body["at"])
        entries = [SpaceEntry(**body["entry"]) for body in found]
        used = self._notes.get(["in use"]).get("in use")
        return {entry.name: entry for entry in entries}, str(used["target"]) if used else None


def note_row(key: str, kind: str, target: str, body: str) -> Row:
    """A row of the table of notes."""
    return {"key": key, "kind": kind, "target": target, "number": 0, "body": body}


def space_key(name: str) -> str:
    return f"space:{name}"


def failed_key(space: str, id: str) -> str:
    digest = blake2b(json.dumps([space, id]).encode(), digest_size=16).hexdigest()
    return f"failed:{digest}"
