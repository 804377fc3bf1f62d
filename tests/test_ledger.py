"""The SQLite file of a collection."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from imagefinder import errors
from imagefinder.stores.ledger import ImageEntry
from imagefinder.stores.ledger.sqlite import SqliteLedger


def test_the_first_path_of_a_run_keeps_its_id(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    number = ledger.source("/photos", "/photos")
    ledger.start_run(number)
    assert ledger.see(number, [("a", "1.jpg"), ("a", "2.jpg"), ("b", "3.jpg")]) == [
        None,
        "1.jpg",
        None,
    ]
    # in a later batch, too, although two paths have claimed it by now
    assert ledger.see(number, [("a", "4.jpg"), ("a", "1.jpg"), ("b", "3.jpg")]) == [
        "1.jpg",
        "1.jpg",
        "3.jpg",
    ]
    ledger.start_run(number)
    assert ledger.see(number, [("a", "2.jpg")]) == [None]
    ledger.close()


def test_a_full_disk_leaves_the_ledger_usable(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    number = ledger.source("/photos", "/photos")
    images = [ImageEntry(f"{n}", number, "x" * 1000, 1, 1, "", "") for n in range(1000)]
    pages = ledger.number("PRAGMA page_count")
    ledger.all(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(errors.StoreError, match=r"full.*free space"):
        ledger.acknowledge(images)
    assert ledger.count() == 0
    ledger.all("PRAGMA max_page_count = 1000000")
    ledger.acknowledge(images)
    assert ledger.count() == 1000
    assert len(ledger.images([image.id for image in images])) == 1000
    ledger.close()


def test_an_error_while_a_transaction_begins_leaves_none_open(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    with pytest.raises(KeyboardInterrupt), ledger.write():
        raise KeyboardInterrupt
    ledger.source("/photos", "/photos")
    ledger.close()


def test_a_closed_ledger_and_a_locked_one_are_not_damaged(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ledger.all("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(errors.StoreError, match="another program"):
            ledger.source("/photos", "/photos")
    ledger.close()
    with pytest.raises(errors.StoreError, match="closed"):
        ledger.count()
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, certainly not" * 100)
    with pytest.raises(errors.CollectionDamagedError, match="restore a backup"):
        SqliteLedger(tmp_path / "ledger.sqlite")


def test_ids_at_random(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        number = ledger.source("/photos", "/photos")
        known = [f"{n:03}" for n in range(100)]
        ledger.acknowledge([ImageEntry(id, number, id, 1, 1, id, "") for id in known])
        drawn = [ledger.random_ids(10) for _ in range(300)]
        assert all(len(set(some)) == 10 for some in drawn)
        counts = Counter(id for some in drawn for id in some)
        assert set(counts) == set(known)  # 30 are expected of each, with a deviation of 5
        assert max(counts.values()) < 70
        assert ledger.random_ids(1000) != known
        assert sorted(ledger.random_ids(1000)) == known


def test_changes_are_counted_and_looks_are_not(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "ledger.sqlite")) as ledger:
        number = ledger.source("/photos", "/photos")
        seen = [ledger.changes]
        ledger.acknowledge([ImageEntry("a", number, "a", 1, 1, "", "")])
        seen.append(ledger.changes)
        assert ledger.images(["a"])
        assert ledger.random_ids(1) == ["a"]
        assert ledger.changes == seen[-1]
        ledger.move_source(number, "/pictures", "/pictures")
        seen.append(ledger.changes)
        ledger.forget(["a"])
        seen.append(ledger.changes)
        assert seen == sorted(set(seen))
