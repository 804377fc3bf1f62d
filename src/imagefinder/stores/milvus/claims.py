"""Who is changing what: several processes write to one collection, and Milvus has no transactions.

A name (of an image, a content, a space) is claimed while it is changed. Who wants it writes a claim
and then reads all claims on it, strongly consistent: of two who do so at the same time at least one
sees the other. Only who sees no other goes on; the others wait their turn, in the order in which
they came (Lamport's bakery). A claim ends by itself when its holder is gone for LEASE: what it was
changing is then in doubt, and settled by whoever claims it next.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from uuid import uuid4

from imagefinder.errors import StoreError
from imagefinder.stores.milvus.freshness import newest
from imagefinder.stores.milvus.table import Row, Table

LEASE = 60.0  # seconds; a batch takes one or two, and clocks may differ by half of it
PATIENCE = 2 * LEASE  # seconds that a claim is waited for
IN_LINE = 5.0  # seconds; who has not looked for so long has lost its place
POLL = 0.2  # seconds at least between two looks

CLAIMS = 'kind == "claim"'
ID, CONTENT, SPACE = "id:", "content:", "space:"  # what a name begins with


@dataclass(slots=True)
class Hold:
    """What a thread has claimed. `in_doubt` once stores may be ahead of the ledger."""

    owner: str
    names: set[str]
    since: float  # time.monotonic() of the last word about it
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """One row. `has`: it is held, not waited for."""

    key: str
    name: str
    owner: str
    has: bool
    since: float  # seconds since 1970
    until: float

    @classmethod
    def of(cls, row: Row) -> "Claim":
        return cls(str(row["key"]), **json.loads(str(row["body"])))


@dataclass(frozen=True, slots=True)
class Claims:
    """`settle` is told of names whose last holder is gone, while they are held. Processes that work
    on one thing may share an `owner`: they do not shut each other out."""

    notes: Table
    settle: Callable[[list[str]], None]
    owner: str | None = None
    _local: threading.local = field(default_factory=threading.local)

    @contextmanager
    def held(self, names: Iterable[str]) -> Iterator[None]:
        """Within it nobody else changes what these names stand for, and every read on this thread
        sees all that was written before. Raises StoreError where another does not let go."""
        mine = {name for hold in self._holds() for name in hold.names}
        new = set(names) - mine
        if not new:
            with newest():
                yield
            return
        hold = Hold(self.owner or uuid4().hex, new, time.monotonic())
        left = self._acquire(hold)
        self._holds().append(hold)
        try:
            with newest():
                if left:
                    self.settle(sorted({claim.name for claim in left if claim.has}))
                    self.notes.delete((claim.key for claim in left), wait=False)
                yield
        except BaseException:
            self._holds().remove(hold)
            self._let_go(hold, in_doubt=hold.in_doubt)
            raise
        self._holds().remove(hold)
        self._let_go(hold, in_doubt=False)

    def doubt(self) -> None:
        """From now on, should what this thread holds not end well, it has to be settled."""
        for hold in self._holds():
            hold.in_doubt = True

    def renew(self) -> None:
        """Before what was written is acknowledged: raises StoreError where it took so long that
        others may believe the holder gone."""
        for hold in self._holds():
            if time.monotonic() - hold.since < LEASE / 3:
                continue
            kept = {claim.name for claim in self._on(hold.names) if claim.owner == hold.owner}
            if time.monotonic() - hold.since > LEASE or kept < hold.names:
                raise StoreError(
                    "writing took so long that others may have gone on; run the same command again"
                )
            self._write(hold, has=True)

    def abandoned(self) -> list[str]:
        """The names whose holders are gone."""
        now = time.time()
        claims = map(Claim.of, self.notes.rows(CLAIMS))
        return [claim.name for claim in claims if claim.until < now]

    def _holds(self) -> list[Hold]:
        if not hasattr(self._local, "holds"):
            self._local.holds = []
        holds: list[Hold] = self._local.holds
        return holds

    def _acquire(self, hold: Hold) -> list[Claim]:
        """Returns the claims of those who are gone."""
        since, give_up = time.time(), time.monotonic() + PATIENCE
        has = True
        while True:
            self._write(hold, has=has, since=since)
            now = time.time()
            others = [claim for claim in self._on(hold.names) if claim.owner != hold.owner]
            live = [claim for claim in others if claim.until >= now]
            held = {claim.name for claim in live if claim.has}
            if has and not held:
                return [claim for claim in others if claim.until < now]
            if time.monotonic() > give_up:
                self._let_go(hold, in_doubt=False)
                name = min(held or hold.names).partition(":")[2]
                raise StoreError(f"{name}: another program is changing it; try again")
            first = all((since, hold.owner) < (claim.since, claim.owner) for claim in live)
            if has:  # let others by, and come again in turn
                self._write(hold, has=False, since=since)
            has = not held and first
            if not has:
                time.sleep(random.uniform(POLL, 2 * POLL))

    def _on(self, names: Iterable[str]) -> list[Claim]:
        with newest():
            targets = sorted(map(target_of, names))
            return list(map(Claim.of, self.notes.where(CLAIMS, targets, "target")))

    def _write(self, hold: Hold, *, has: bool, since: float | None = None) -> None:
        hold.since = time.monotonic()
        now = time.time()
        until = now + (LEASE if has else IN_LINE)
        self.notes.put(row_of(hold, has, now if since is None else since, until, hold.names))

    def _let_go(self, hold: Hold, *, in_doubt: bool) -> None:
        """What is in doubt is left behind for the next one, at once."""
        if in_doubt:
            left = Hold(f"left by {hold.owner}", hold.names, hold.since)
            self.notes.put(row_of(left, True, 0.0, 0.0, left.names))
        self.notes.delete((key_of(name, hold.owner) for name in hold.names), wait=False)


def row_of(
    hold: Hold, has: bool, since: float, until: float, names: Iterable[str]
) -> Iterator[Mapping[str, str | int]]:
    """The rows of a hold."""
    for name in names:
        body = {"name": name, "owner": hold.owner, "has": has, "since": since, "until": until}
        yield {
            "key": key_of(name, hold.owner),
            "kind": "claim",
            "target": target_of(name),
            "number": 0,
            "body": json.dumps(body),
        }


def key_of(name: str, owner: str) -> str:
    """Of the row of a claim."""
    return f"claim:{target_of(name)}:{owner}"


def target_of(name: str) -> str:
    """What a claim is found by: the name may be too long, or no text."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
