"""The ledger of a cluster gives the answers that the one of a directory gives."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagefinder.errors import StoreError
from imagefinder.stores.ids import key_of
from imagefinder.stores.ledger import ImageEntry, Ledger, SkippedEntry, SpaceEntry
from imagefinder.stores.ledger.sqlite import SqliteLedger
from imagefinder.stores.media import FOLDER
from imagefinder.stores.milvus import claims
from imagefinder.stores.milvus.address import parse_address
from imagefinder.stores.milvus.claims import ID, Claims, Hold
from imagefinder.stores.milvus.connection import Connection
from imagefinder.stores.milvus.freshness import newest
from imagefinder.stores.milvus.ledger import IMAGES, NOTES, MilvusLedger
from imagefinder.stores.milvus.table import Table, create_tables

pytestmark = pytest.mark.milvus

IDS = [
    *(f"{number:03}.jpg" for number in range(30)),
    "q\"uo'te\\",
    "ü/é 図😀.png",
    "%_like",
    "x" * 1000,
]
MODEL = SpaceEntry("model", "model:1", 3, "model")


class Contents(dict[str, str]):
    """What a space's store has: id -> SHA-256."""

    def contents(self, ids: Sequence[str]) -> dict[str, str]:
        return {id: self[id] for id in ids if id in self}

    def count(self) -> int:
        return len(self)


@pytest.fixture(scope="module")
def tables(milvus_address: str) -> Iterator[tuple[Table, Table]]:
    with closing(Connection(parse_address(f"milvus://{milvus_address}/ledger"))) as connection:
        images, notes = (
            Table(connection, "ledger__images", IMAGES),
            Table(connection, "ledger__notes", NOTES),
        )
        create_tables([images, notes])
        create_tables([images, notes])  # another process may have been first
        yield images, notes


@pytest.fixture
def empty(tables: tuple[Table, Table]) -> Iterator[tuple[Table, Table]]:
    with newest():
        for table in tables:
            table.delete([str(row["key"]) for row in table.rows()])
            assert table.count() == 0
        yield tables


@pytest.fixture
def stores() -> dict[str, Contents]:
    return {}


@pytest.fixture
def ledger(empty: tuple[Table, Table], stores: dict[str, Contents]) -> Iterator[MilvusLedger]:
    with closing(MilvusLedger(*empty, stores.__getitem__)) as ledger:
        yield ledger


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def entry(id: str, source: int, lot: random.Random) -> ImageEntry:
    content = f"{lot.randrange(5):064}"
    return ImageEntry(id, source, f"folder/{id}", lot.randrange(99), None, content, "")


def skip(id: str, source: int, lot: random.Random) -> SkippedEntry:
    return SkippedEntry(source, id, f"folder/{id}", 1, 2, bool(lot.randrange(2)), "bad")


def step(ledger: Ledger, numbers: Sequence[int], lot: random.Random) -> None:
    """One change, by lot."""
    some = lot.sample(IDS, 4)
    source = lot.choice(numbers)
    match lot.randrange(6):
        case 0 | 1 | 2:
            ledger.acknowledge(
                [entry(id, source, lot) for id in some[:3]], [skip(some[3], source, lot)]
            )
        case 3:
            ledger.acknowledge([], gone=some[:2])
        case 4:
            ledger.forget(some[:1])
        case 5:
            ledger.look_again(some)


def answers(ledger: Ledger, numbers: Sequence[int]) -> object:
    """What a ledger says, in a form that does not depend on the numbers of its sources."""
    names = {number: root for number, (root, _) in ledger.sources().items()}

    def plain(each: ImageEntry | SkippedEntry) -> tuple[object, ...]:
        facts = {name: getattr(each, name) for name in each.__slots__}
        return tuple(sorted({**facts, "source": names[each.source]}.items()))

    entries = ledger.images(IDS)
    below = [each for number in numbers for page in ledger.below(number) for each in page]
    return SimpleNamespace(
        sources=sorted(ledger.sources().values()),
        images=sorted(map(plain, entries.values())),
        ids=sorted(ledger.ids(limit=len(IDS))),
        pages=[ledger.ids(limit=3), ledger.ids(after="002.jpg", limit=3)],
        counts=[ledger.count(), *map(ledger.count, numbers), ledger.skipped_count()],
        below=sorted(map(plain, below)),
        inside=[plain(each) for page in ledger.below(numbers[0], "other") for each in page],
        contents=[sorted(plain(e) for e in ledger.with_content(f"{n:064}")) for n in range(5)],
        skipped=sorted(map(plain, ledger.skipped())),
        skips=[sorted(ledger.skips(number, IDS)) for number in numbers],
        drawn=(sorted(ledger.random_ids(99)), len(ledger.random_ids(3))),
    )


@pytest.mark.parametrize("seed", range(1, 3))
def test_it_answers_as_the_one_of_a_directory(
    ledger: MilvusLedger, oracle: SqliteLedger, seed: int
) -> None:
    lots = random.Random(seed), random.Random(seed)
    numbers = [
        [each.source(root, root) for root in ("/a", "/b", "s3://c/d")] for each in (ledger, oracle)
    ]
    for _ in range(3):
        for _ in range(5):
            step(ledger, numbers[0], lots[0])
            step(oracle, numbers[1], lots[1])
        assert answers(ledger, numbers[0]) == answers(oracle, numbers[1])


def test_a_run_knows_what_it_did_not_meet(ledger: MilvusLedger, oracle: SqliteLedger) -> None:
    found = []
    for each in (ledger, oracle):
        number, lot = each.source("/a", "/a"), random.Random(0)
        each.acknowledge(
            [entry(id, number, lot) for id in IDS], [skip(id, number, lot) for id in IDS[:9]]
        )
        each.acknowledge([], [skip("of the others", number, lot)])
        each.start_run(number)
        each.see(number, [("x", "y")])
        each.start_run(number)
        claims = each.see(number, [(id, f"folder/{id}") for id in IDS[5:]])
        claims += each.see(number, [(IDS[5], "elsewhere"), (IDS[6], f"folder/{IDS[6]}")])
        # under another id now, which is indexed at that path as well
        each.acknowledge([ImageEntry("new id", number, f"folder/{IDS[0]}", 1, 1, "", "")])
        claims += each.see(number, [("new id", f"folder/{IDS[0]}")])
        unseen = sorted((u.id, u.path, u.doubled) for u in each.unseen(number))
        each.drop_unseen_skips(number)
        found.append((claims, unseen, sorted(skip.id for skip in each.skipped())))
    assert found[0] == found[1]
    assert found[0][0][-3:] == [f"folder/{IDS[5]}", f"folder/{IDS[6]}", None]
    assert [doubled for _, _, doubled in found[0][1]] == [True, False, False, False, False]


def test_sources_keep_their_numbers_when_they_move(ledger: MilvusLedger) -> None:
    number = ledger.source("/a", "/a")
    assert ledger.source("/a", "/a") == number
    ledger.move_source(number, "/b", "/b")
    assert ledger.sources() == {number: ("/b", "/b")}
    assert ledger.source("/b", "/b") == number
    again = ledger.source("/a", "/a")  # something else is there now
    assert again != number
    ledger.drop_source(number)
    assert ledger.sources() == {again: ("/a", "/a")}


def test_an_upload_s_bytes_are_wanted_while_one_image_has_them(ledger: MilvusLedger) -> None:
    number, other = ledger.source("upload", FOLDER), ledger.source("/a", "/a")
    content = "ab" * 32
    path = f"ab/{content}.png"
    ledger.acknowledge([ImageEntry("a", number, path, 1, None, content, "")])
    ledger.acknowledge([ImageEntry("b", other, path, 1, None, content, "")])
    assert ledger.has_upload(path)
    assert not ledger.has_upload(f"ab/{content}.jpeg")
    ledger.forget(["a"])
    assert not ledger.has_upload(path)


def test_a_space_lacks_what_its_store_has_not_or_has_otherwise(
    ledger: MilvusLedger, stores: dict[str, Contents], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefinder.stores.milvus.spaces.SETTLED", 0.0)
    number, lot = ledger.source("/a", "/a"), random.Random(0)
    entries = {id: entry(id, number, lot) for id in IDS}
    stores["model"], stores["late"] = Contents(), Contents()
    ledger.spaces.add(MODEL)
    assert ledger.spaces.behind_count("model") == 0

    def index(ids: Sequence[str]) -> None:
        stores["model"].update({id: entries[id].sha256 for id in ids})
        ledger.acknowledge([entries[id] for id in ids], held={"model": ids})

    index(IDS[:20])
    late = SpaceEntry("late", "late:1", 3, "late")
    ledger.spaces.add(late)
    assert list(ledger.spaces.entries()) == ["model", "late"]
    assert ledger.spaces.in_use == "model"
    assert ledger.spaces.behind("late") == IDS[:20]
    index(IDS[20:])
    assert ledger.spaces.behind_count("late") == len(IDS)
    stores["late"].update(stores["model"])
    ledger.spaces.caught_up("late", IDS, {})
    assert ledger.spaces.behind("late") == []
    assert ledger.spaces.behind_count("late") == 0  # and forgets the notes

    # other contents, which only one of the two has; one of them cannot be embedded
    for id in IDS[:3]:
        entries[id] = ImageEntry(id, number, "new", 1, 1, f"{99:064}", "")
    index(IDS[:3])
    assert ledger.spaces.behind_count("model") == 0
    assert ledger.spaces.lacking("late", IDS) == set(IDS[:3])
    ledger.spaces.caught_up("late", [], {IDS[0]: "broken"})
    assert ledger.spaces.behind("late") == IDS[1:3]
    assert ledger.spaces.behind("late", failed=True) == IDS[:3]
    assert ledger.spaces.behind("late", after=IDS[1], failed=True) == [IDS[2]]
    assert ledger.spaces.behind_count("late") == 3
    assert ledger.spaces.behind_count("late", failed=False) == 2

    ledger.spaces.use("late")
    assert ledger.spaces.in_use == "late"
    ledger.spaces.drop("late")
    assert (list(ledger.spaces.entries()), ledger.spaces.in_use) == (["model"], "model")


# claims


def claimed(notes: Table, settle: Callable[[list[str]], None], owner: str | None = None) -> Claims:
    return Claims(notes, settle, owner)


def vanish(gone: Claims, name: str) -> None:
    """What a process leaves that holds the name and ends in the middle of it."""
    hold = Hold(gone.owner or "gone", {name}, claims.time.monotonic(), in_doubt=True)
    assert gone._acquire(hold) == []
    gone._holds().append(hold)


def nobody(names: list[str]) -> None:
    raise AssertionError(f"{names} were not in doubt")


def test_one_holds_a_name_at_a_time(empty: tuple[Table, Table]) -> None:
    """Twelve turns of four who want it, and each something of its own as well."""
    _, notes = empty
    inside, most, turns = 0, 0, []

    def work(number: int) -> None:
        nonlocal inside, most
        mine = claimed(notes, nobody)
        for _ in range(3):
            with mine.held([f"{ID}wanted", f"{ID}{number}"]), mine.held([f"{ID}wanted"]):
                inside += 1
                most = max(most, inside)
                time.sleep(0.02)
                inside -= 1
                turns.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(turns) == sorted([*range(4)] * 3)
    assert list(notes.rows(claims.CLAIMS)) == []


def test_what_a_writer_left_in_doubt_is_settled_by_the_next(empty: tuple[Table, Table]) -> None:
    _, notes = empty
    settled: list[list[str]] = []
    first, next_ = claimed(notes, nobody), claimed(notes, settled.append)
    odd = f"{ID}\n" + "x" * 1023
    with contextlib.suppress(KeyError), first.held([odd]):
        first.doubt()
        raise KeyError
    assert next_.abandoned() == [odd]
    with next_.held([odd, f"{ID}other"]):
        assert settled == [[odd]]
    assert next_.abandoned() == []
    with pytest.raises(KeyError), first.held([odd]):
        raise KeyError  # before anything was written: nothing is in doubt
    with next_.held([odd]):
        assert settled == [[odd]]


class Clock:
    """Goes on only when it is told."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now

    monotonic = time


def test_who_is_gone_is_waited_for_no_longer_than_its_lease(
    empty: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, notes = empty
    settled: list[list[str]] = []
    clock = Clock()
    monkeypatch.setattr(claims, "time", clock)
    dead, next_ = claimed(notes, nobody), claimed(notes, settled.append)
    vanish(dead, f"{ID}a")
    assert next_.abandoned() == []
    clock.now += claims.LEASE + 1
    assert next_.abandoned() == [f"{ID}a"]
    with next_.held([f"{ID}a"]):
        assert settled == [[f"{ID}a"]]
        for _ in range(3):  # long work, whose writer says in between that it is there
            clock.now += claims.LEASE * 0.6
            next_.renew()
        # one who was only slow must not acknowledge what others have gone on from
        with pytest.raises(StoreError, match="took so long"):
            dead.renew()


def test_a_claim_that_is_not_let_go_is_given_up(
    empty: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 1.0)
    _, notes = empty
    one, other = claimed(notes, nobody), claimed(notes, nobody)
    with one.held([f"{ID}a"]):
        with pytest.raises(StoreError, match="a: another program is changing it"):
            other.held([f"{ID}a"]).__enter__()
        with other.held([f"{ID}b"]):
            pass
    with other.held([f"{ID}a"]):
        pass


def test_those_of_one_run_do_not_shut_each_other_out(empty: tuple[Table, Table]) -> None:
    _, notes = empty
    worker, again = claimed(notes, nobody, "run"), claimed(notes, nobody, "run")
    vanish(worker, f"{ID}a")
    with again.held([f"{ID}a"]):
        pass


def test_keys_order_ids(ledger: MilvusLedger) -> None:
    number = ledger.source("/a", "/a")
    ledger.acknowledge([ImageEntry(id, number, id, 1, 1, "", "") for id in IDS])
    assert ledger.ids(limit=len(IDS)) == sorted(IDS, key=key_of)
