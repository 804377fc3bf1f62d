"""What every VectorStore promises. A test module subclasses StoreContract once for each store."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from imagefinder.arrays import Embeddings
from imagefinder.errors import StoreError, UsageError
from imagefinder.filters import parse_filter
from imagefinder.protocols import VectorStore
from imagefinder.stores.exact import ExactStore
from imagefinder.types import MAX_ID_BYTES, ImageRecord, Scored
from tests.store_filters import FILTERS, RECORDS

DIM = 16

ODD_IDS = [
    "a/b c.jpg", "ünï/図.png", "😀.gif", "e\u0301.jpg", "é.jpg", 'q"uote', "a'b", "back\\slash",
    "\\u000a", "new\nline", "tab\t", "nul\0x", "\x85\u2028\u2029", " lead and trail ", "%41", ".",
    "not utf-8 \udce9", "x" * MAX_ID_BYTES, "ü" * (MAX_ID_BYTES // 2), "\n" * MAX_ID_BYTES,
    "\t" * MAX_ID_BYTES, "-1", "null", "a=b", "A", "a",
]  # fmt: skip


def unit(rows: Embeddings) -> Embeddings:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drawn(count: int, seed: int = 0, dim: int = DIM) -> Embeddings:
    return unit(np.random.default_rng(seed).standard_normal((count, dim)))


def record(id: str, **changes: object) -> ImageRecord:
    plain = ImageRecord(id, f"{id}.jpg", "0" * 64, width=640, height=480, format="jpeg", size=9)
    return replace(plain, **changes)  # type: ignore[arg-type]


def numbered(count: int) -> list[ImageRecord]:
    return [record(f"{index:05}") for index in range(count)]


def ids(hits: list[Scored]) -> list[str]:
    return [hit.record.id for hit in hits]


def wrong_filters(store: VectorStore, exact: bool) -> list[str]:
    """The filters to which the store gives another answer than the oracle."""
    oracle, query = ExactStore(DIM), drawn(1, seed=7)
    for each, row in store.scan():
        oracle.upsert([each], row[None])
    wrong = []
    for filter in map(parse_filter, FILTERS):
        wanted = ids(oracle.search(query, oracle.count(), filter=filter)[0])
        for k in (3, len(RECORDS)):
            got = ids(store.search(query, k, filter=filter, exact=exact)[0])
            if got != wanted[:k]:
                wrong.append(f"{filter.expression[:100]}: {got}, not {wanted[:k]}")
    return wrong


class StoreContract:
    @pytest.fixture
    def store(self) -> Iterator[VectorStore]:
        """An empty one for DIM dimensions."""
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store: VectorStore) -> VectorStore:
        store.upsert(numbered(300), drawn(300))
        return store

    def test_an_empty_store_answers(self, store: VectorStore) -> None:
        assert (store.dim, store.distance) == (DIM, "cosine")
        assert store.count() == 0
        assert store.get(["a"]) == {}
        assert store.embeddings(["a"]) == {}
        assert store.delete(["a"]) == 0
        assert list(store.scan()) == []
        for exact in (False, True):
            assert store.search(drawn(2), 5, exact=exact) == [[], []]
        assert store.search(drawn(1), 1, filter=parse_filter("width > 5")) == [[]]
        store.update([record("a")])
        store.optimize()
        store.flush()
        assert store.count() == 0

    def test_what_was_put_in_comes_out(self, store: VectorStore) -> None:
        full = record(
            "full", mtime=1.5, date=datetime(2024, 2, 29, 23, 59, 59, 999_999), camera='A "B"\n',
            latitude=-0.1, longitude=179.9, size=2**60,
            metadata={"text": "é😀\0\udce9", "int": 10**40, "float": 1e-300, "yes": True,
                      "none": None, "list": ["a", 1, 2.5, False], "empty": [], "": "", "a.b/c": 1},
        )  # fmt: skip
        records = [full, *(each for each in RECORDS if each.id != "nan")]
        rows = drawn(len(records))
        store.upsert(records, rows)
        assert store.get([each.id for each in records]) == {each.id: each for each in records}
        found = store.embeddings([each.id for each in records])
        for each, row in zip(records, rows, strict=True):
            np.testing.assert_array_equal(found[each.id], row)

    def test_any_id_is_kept_apart(self, store: VectorStore) -> None:
        rows = drawn(len(ODD_IDS))
        store.upsert([record(id, uri=id) for id in ODD_IDS], rows)
        assert store.count() == len(ODD_IDS)
        assert {id: each.uri for id, each in store.get(ODD_IDS).items()} == {i: i for i in ODD_IDS}
        for id, hits in zip(ODD_IDS, store.search(rows, 1), strict=True):
            assert ids(hits) == [id]
        assert sorted(each.id for each, _ in store.scan()) == sorted(ODD_IDS)
        for id in ODD_IDS:
            assert store.delete([id]) == 1
        assert store.count() == 0

    @pytest.mark.parametrize("id", ["", "x" * (MAX_ID_BYTES + 1), "ü" * (MAX_ID_BYTES // 2 + 1)])
    def test_an_impossible_id_is_named_before_anything_is_written(
        self, store: VectorStore, id: str
    ) -> None:
        with pytest.raises(StoreError, match=r"an empty id|the limit is 1,024; shorten it"):
            store.upsert([record("good"), record(id)], drawn(2))
        assert store.count() == 0
        assert store.get([id]) == {}
        assert store.delete([id]) == 0
        store.update([record(id)])

    def test_upsert_replaces_and_the_last_of_an_id_wins(self, filled: VectorStore) -> None:
        rows = drawn(3, seed=5)
        filled.upsert([record("00001", width=width) for width in (1, 2, 3)], rows)
        assert filled.count() == 300
        assert filled.get(["00001"])["00001"].width == 3
        np.testing.assert_array_equal(filled.embeddings(["00001"])["00001"], rows[2])
        assert ids(filled.search(rows[2:], 1)[0]) == ["00001"]
        assert filled.search(drawn(2)[1:], 1)[0][0].score < 0.999

    def test_empty_batches_do_nothing(self, filled: VectorStore) -> None:
        filled.upsert([], np.empty((0, DIM), np.float32))
        filled.update([])
        assert filled.delete([]) == 0
        assert filled.get([]) == {}
        assert filled.embeddings([]) == {}
        assert filled.search(np.empty((0, DIM), np.float32), 3) == []
        assert filled.count() == 300

    def test_batches_of_any_size(self, store: VectorStore) -> None:
        rows = drawn(2500)
        store.upsert(numbered(2500), rows)
        assert store.count() == 2500
        store.update([replace(each, width=7) for each in numbered(2500)])
        everything = [f"{index:05}" for index in range(2500)]
        assert {each.width for each in store.get(everything).values()} == {7}
        assert len(store.embeddings(everything)) == 2500
        assert store.delete(everything) == 2500
        assert list(store.scan()) == []

    def test_update_keeps_the_embedding_and_adds_nothing(self, filled: VectorStore) -> None:
        before = filled.embeddings(["00007"])["00007"]
        filled.update([record("00007", metadata={"label": "cat"}), record("unknown")])
        assert filled.get(["00007", "unknown"]) == {
            "00007": record("00007", metadata={"label": "cat"})
        }
        np.testing.assert_array_equal(filled.embeddings(["00007"])["00007"], before)
        assert filled.count() == 300
        cats = parse_filter('label == "cat"')
        assert ids(filled.search(before[None], 5, filter=cats)[0]) == ["00007"]
        filled.update([record("00007")])
        assert filled.search(before[None], 5, filter=cats) == [[]]

    def test_an_update_takes_away_what_the_record_lacks(self, store: VectorStore) -> None:
        dated = record("a", date=datetime(2024, 1, 1), camera="X", metadata={"n": 5})
        store.upsert([dated], drawn(1))
        store.update([record("a")])
        for expression in (
            "exists(date)",
            "exists(camera)",
            "exists(n)",
            "n >= 0",
            "date > 2000-01-01",
        ):
            assert store.search(drawn(1), 5, filter=parse_filter(expression)) == [[]]
            negated = parse_filter(f"not {expression}")
            assert ids(store.search(drawn(1), 5, filter=negated)[0]) == ["a"]

    def test_delete_counts_what_existed(self, filled: VectorStore) -> None:
        assert filled.delete(["00001", "00001", "nope", "00002"]) == 2
        assert filled.count() == 298
        assert filled.get(["00001", "00003"]).keys() == {"00003"}
        assert "00001" not in ids(filled.search(drawn(2)[1:], 300)[0])
        filled.upsert([record("00001")], drawn(2)[1:])
        assert ids(filled.search(drawn(2)[1:], 1)[0]) == ["00001"]

    def test_every_image_finds_itself_with_score_one(self, filled: VectorStore) -> None:
        for index, hits in enumerate(filled.search(drawn(300), 3)):
            assert hits[0].record.id == f"{index:05}"
            assert hits[0].score == pytest.approx(1, abs=1e-5)
            assert -1 <= hits[-1].score <= hits[0].score <= 1

    @pytest.mark.parametrize("exact", [False, True])
    @pytest.mark.parametrize("k", [1, 7, 299, 300, 301, 5000, 20_000])
    def test_the_closest_as_the_oracle_has_them(
        self, filled: VectorStore, k: int, exact: bool
    ) -> None:
        oracle = ExactStore(DIM)
        oracle.upsert(numbered(300), drawn(300))
        queries = np.concatenate([drawn(3, seed=9), -drawn(2)])
        for got, wanted in zip(
            filled.search(queries, k, exact=exact), oracle.search(queries, k), strict=True
        ):
            assert ids(got) == ids(wanted)
            np.testing.assert_allclose(
                [hit.score for hit in got], [hit.score for hit in wanted], atol=1e-5
            )

    def test_lengths_do_not_matter(self, store: VectorStore) -> None:
        store.upsert(numbered(2), drawn(2) * np.float32([[3], [1e-3]]))
        hits = store.search(drawn(2)[:1] * np.float32(50), 2)[0]
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert hits[1].score == pytest.approx(float(drawn(2)[0] @ drawn(2)[1]), abs=1e-5)
        assert np.linalg.norm(store.embeddings(["00001"])["00001"]) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("exact", [False, True])
    @pytest.mark.parametrize("k", [1, 2, 10, 39, 40, 41])
    def test_ties_are_ordered_by_id_even_across_the_kth_place(
        self, store: VectorStore, k: int, exact: bool
    ) -> None:
        same = np.repeat(drawn(1), 40, axis=0)
        order = np.random.default_rng(1).permutation(40)
        twins = [record(f"t{number:02}") for number in order]
        store.upsert(twins[:25], same[:25])
        store.upsert(numbered(200), drawn(200, seed=3))
        store.optimize()
        store.upsert(twins[25:], same[25:])
        for query in (drawn(1), unit(drawn(1) + 0.2 * drawn(1, seed=8))):
            hits = store.search(query, k, exact=exact)[0]
            assert ids(hits)[:40] == [f"t{number:02}" for number in range(min(k, 40))]
            assert len({hit.score for hit in hits[:40]}) == 1

    @pytest.mark.parametrize("exact", [False, True])
    def test_filters(self, store: VectorStore, exact: bool) -> None:
        """In every state of a store: all in memory, and some in an index, some changed since."""
        rows = drawn(len(RECORDS))
        store.upsert(RECORDS, rows)
        assert wrong_filters(store, exact) == []
        store.optimize()
        store.upsert(RECORDS[:20], rows[-20:])
        store.update([replace(each, size=5) for each in RECORDS[15:25]])
        store.delete([each.id for each in RECORDS[30:35]])
        store.flush()
        store.upsert(RECORDS[:5], rows[:5])
        assert store.count() == len(RECORDS) - 5
        assert wrong_filters(store, exact) == []

    def test_results_keep_at_k_under_a_filter_that_no_index_knows(
        self, filled: VectorStore
    ) -> None:
        far = filled.search(-drawn(1), 20, exact=True)[0]
        filled.update([replace(hit.record, uri="far away") for hit in far])
        away = parse_filter('uri contains "far" and width > 5')
        assert ids(filled.search(drawn(1), 20, filter=away)[0]) == ids(far)[::-1]

    @pytest.mark.parametrize("k", [0, -1])
    def test_k_below_one_is_refused(self, filled: VectorStore, k: int) -> None:
        with pytest.raises(UsageError, match=f"k is {k}; ask for at least 1"):
            filled.search(drawn(1), k)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
    def test_an_embedding_without_a_direction_is_refused(
        self, store: VectorStore, value: float
    ) -> None:
        bad = np.concatenate([drawn(1), np.full((1, DIM), value, np.float32)])
        with pytest.raises(UsageError, match="query 1: the embedding is all zero or not finite"):
            store.search(bad, 1)
        with pytest.raises(UsageError, match="image 1: the embedding is all zero or not finite"):
            store.upsert(numbered(2), bad)
        assert store.count() == 0

    def test_another_dimension_is_refused(self, store: VectorStore) -> None:
        for rows in (drawn(2, dim=8), drawn(3), drawn(2)[0]):
            with pytest.raises(UsageError, match=r"embeddings of shape .* holds \(2, 16\)"):
                store.upsert(numbered(2), rows)
        with pytest.raises(UsageError, match=r"\(1, 8\).*the model that the collection was made"):
            store.search(drawn(1, dim=8), 1)
        assert store.count() == 0

    def test_scan_gives_everything_once(self, store: VectorStore) -> None:
        rows = drawn(3500)
        store.upsert(numbered(3500), rows)
        store.delete(["00005"])
        found = {each.id: row for each, row in store.scan()}
        assert len(found) == sum(1 for _ in store.scan()) == 3499
        np.testing.assert_array_equal(found["00009"], rows[9])

    def test_scan_while_writing_and_optimizing(self, store: VectorStore) -> None:
        store.upsert(numbered(3000), drawn(3000))
        seen = []
        for position, (each, _) in enumerate(store.scan()):
            seen.append(each.id)
            if position == 10:
                store.update(numbered(3000))
                store.upsert([record(f"new{index}") for index in range(500)], drawn(500))
                store.optimize()
        assert len(seen) == len(set(seen))
        assert set(seen) >= {f"{index:05}" for index in range(3000)}

    def test_nobody_sees_a_write_half_done(self, store: VectorStore) -> None:
        records, rows = numbered(200), drawn(200)
        store.upsert(records, rows)
        written = threading.Event()

        def read() -> None:
            for step in itertools.count():
                index = step % 40
                assert ids(store.search(rows[index : index + 1], 2)[0])[0] == f"{index:05}"
                assert store.get([f"{index:05}"])
                if written.is_set():
                    return

        with ThreadPoolExecutor(4) as pool:
            reading = [pool.submit(read) for _ in range(4)]
            for step in range(100):
                store.upsert(records[:20], rows[:20])
                store.upsert([record(f"new{step}")], drawn(1, seed=1 + step))
            written.set()
            for each in reading:
                each.result()
        assert len(list(store.scan())) == store.count() == 300

    def test_searches_and_writes_go_on_while_it_optimizes(self, store: VectorStore) -> None:
        rows = drawn(6000)
        store.upsert(numbered(6000), rows)
        done = threading.Event()

        def until_done(step: Callable[[int], None]) -> int:
            steps = 0
            while not done.is_set() or steps == 0:
                step(steps)
                steps += 1
            return steps

        def search(step: int) -> None:
            index = step * 37 % 6000
            assert ids(store.search(rows[index : index + 1], 2)[0])[0] == f"{index:05}"

        def write(step: int) -> None:
            store.upsert([record(f"new{step}")], drawn(1, seed=step))
            assert store.get([f"new{step}"])
            if step % 2:
                assert store.delete([f"new{step}"]) == 1

        with ThreadPoolExecutor() as pool:
            searching, writing = pool.submit(until_done, search), pool.submit(until_done, write)
            store.optimize()
            done.set()
            written = writing.result()
            assert searching.result() >= 1
        assert store.count() == 6000 + (written + 1) // 2

    def test_several_threads_write_and_read(self, store: VectorStore) -> None:
        def work(worker: int) -> None:
            rows = drawn(40, seed=worker)
            for start in range(0, 40, 8):
                names = [f"{worker}/{number}" for number in range(start, start + 8)]
                store.upsert([record(name) for name in names], rows[start : start + 8])
                store.upsert([record("shared", width=worker)], rows[:1])
                assert store.get(names).keys() == set(names)
                assert ids(store.search(rows[start : start + 1], 3)[0])[0] in (*names, "shared")
                assert store.delete(names[:1]) == 1
            store.update([record(f"{worker}/{number}", width=1) for number in range(40)])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert store.count() == 6 * 35 + 1
        assert sum(each.id == "shared" for each, _ in store.scan()) == 1

    def test_nothing_goes_after_close(self, filled: VectorStore) -> None:
        scan = filled.scan()
        filled.close()
        calls: list[Callable[[], object]] = [
            filled.count, filled.flush, filled.optimize,
            lambda: filled.upsert(numbered(1), drawn(1)), lambda: filled.update(numbered(1)),
            lambda: filled.delete(["00001"]), lambda: filled.get(["00001"]),
            lambda: filled.embeddings(["00001"]), lambda: filled.search(drawn(1), 1),
            lambda: list(scan),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StoreError, match="the collection is closed; open it again"):
                call()
        filled.close()

    def test_close_beside_running_calls(self, store: VectorStore) -> None:
        store.upsert(numbered(2000), drawn(2000))
        calls: list[Callable[[], object]] = [
            store.optimize, store.count, lambda: store.search(drawn(9), 5),
            lambda: list(store.scan()), lambda: store.update(numbered(2000)),
        ]  # fmt: skip
        with ThreadPoolExecutor(len(calls)) as pool:
            running = [pool.submit(call) for call in calls]
            store.close()
        for future in running:
            error = future.exception()
            assert error is None or (isinstance(error, StoreError) and "is closed" in str(error))
