"""What every VectorStore promises for each distance, beside the contract of all. A test module
subclasses DistanceContract once for each store."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from imagefinder.arrays import Embeddings
from imagefinder.errors import UsageError
from imagefinder.filters import parse_filter
from imagefinder.protocols import VectorStore
from imagefinder.stores.exact import ExactStore
from imagefinder.stores.vectors import MAX_LENGTH
from imagefinder.types import Distance, Scored
from tests.store_contract import DIM, drawn, ids, numbered, record, unit

COUNT = 300
EACH: list[Distance] = ["cosine", "euclidean", "dot"]
AS_GIVEN: list[Distance] = ["euclidean", "dot"]  # those that keep rows as they are
each_distance = pytest.mark.parametrize("distance", EACH)
as_given = pytest.mark.parametrize("distance", AS_GIVEN)


def spread(count: int, seed: int = 0, sigma: float = 1.0) -> Embeddings:
    """Rows of very different lengths: a sigma of 1 makes most 0.1 to 10 long."""
    lengths = np.exp(sigma * np.random.default_rng(seed + 1000).standard_normal((count, 1)))
    return (drawn(count, seed) * lengths).astype(np.float32)


def line(*numbers: float) -> Embeddings:
    """One row that begins so, and goes on with zeros."""
    return np.array([[*numbers, *[0.0] * (DIM - len(numbers))]], np.float32)


def compare(got: list[Scored], wanted: list[Scored], k: int) -> None:
    """They are the first k of all that are wanted, up to float32 rounding, which may swap what is
    nearly equal."""
    scores = {hit.record.id: hit.score for hit in wanted}
    rounding = 1e-6 * max(abs(score) for score in scores.values())
    assert len(set(ids(got))) == len(got) == min(k, len(wanted))
    assert got == sorted(got, key=lambda hit: (-hit.score, hit.record.id))
    for hit, best in zip(got, wanted, strict=False):
        assert hit.score == pytest.approx(scores[hit.record.id], rel=1e-6, abs=rounding)
        assert hit.score == pytest.approx(best.score, rel=1e-6, abs=rounding)


class DistanceContract:
    @pytest.fixture
    def store(self, distance: Distance) -> Iterator[VectorStore]:
        """An empty one for DIM dimensions that goes by its index, if it has one, however small it
        is."""
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("distance", "order", "scores"),
        [
            ("cosine", ["far", "near", "off", "back"], [1, 3 / 10**0.5, 3.5 / 28.25**0.5, -1]),
            ("euclidean", ["near", "off", "back", "far"], [-(2**0.5), -(16.25**0.5), -5, -96]),
            ("dot", ["far", "off", "near", "back"], [400, 14, 12, -4]),
        ],
    )
    def test_each_distance_has_its_own_order_and_scores(
        self, store: VectorStore, distance: Distance, order: list[str], scores: list[float]
    ) -> None:
        """Worked out by hand."""
        assert store.distance == distance
        rows = np.concatenate([line(100), line(3, 1), line(3.5, 4), line(-1)])
        store.upsert([record(id) for id in ("far", "near", "off", "back")], rows)
        for _ in range(2):
            for exact in (False, True):
                hits = store.search(line(4), 9, exact=exact)[0]
                assert ids(hits) == order
                assert [hit.score for hit in hits] == pytest.approx(scores, rel=1e-6)
            store.optimize()

    @as_given
    def test_the_closest_as_the_oracle_has_them(self, store: VectorStore) -> None:
        oracle = ExactStore(DIM, store.distance)
        stores: list[VectorStore] = [store, oracle]
        for each in stores:
            each.upsert(numbered(COUNT), spread(COUNT))
        queries = np.concatenate([spread(2, seed=9), 100 * spread(1, seed=8), -spread(1)])
        for exact in (False, True, True):
            wanted = oracle.search(queries, COUNT)
            for k in (1, 7, COUNT - 2, COUNT + 1, 20_000):
                found = store.search(queries, k, exact=exact)
                for hits, best in zip(found, wanted, strict=True):
                    compare(hits, best, k)
            store.optimize()
            for each in stores:
                each.upsert(numbered(30), spread(30, seed=4))
                each.delete(["00031", "00032"])

    @as_given
    def test_the_graph_finds_nearly_everything(self, store: VectorStore) -> None:
        store.upsert(numbered(2000), spread(2000, sigma=0.2))
        store.optimize()
        queries = spread(50, seed=6, sigma=0.2)
        exact, near = store.search(queries, 10, exact=True), store.search(queries, 10)
        same = [len(set(ids(a)) & set(ids(b))) / 10 for a, b in zip(exact, near, strict=True)]
        assert np.mean(same) >= 0.97
        for full, hits in zip(exact, near, strict=True):
            scores = {hit.record.id: hit.score for hit in full}
            assert hits[0].score == pytest.approx(scores[hits[0].record.id], rel=1e-5)

    @as_given
    def test_ties_are_ordered_by_id_even_across_the_kth_place(self, store: VectorStore) -> None:
        same = np.repeat(2 * drawn(1), 40, axis=0)
        twins = [record(f"t{number:02}") for number in np.random.default_rng(1).permutation(40)]
        store.upsert(twins[:25], same[:25])
        store.upsert(numbered(200), drawn(200, seed=3))
        store.optimize()
        store.upsert(twins[25:], same[25:])
        queries = np.concatenate([2 * drawn(1), 3 * unit(drawn(1) + 0.2 * drawn(1, seed=8))])
        for k in (1, 10, 39, 40, 41):
            for exact in (False, True):
                for hits in store.search(queries, k, exact=exact):
                    assert ids(hits)[:40] == [f"t{number:02}" for number in range(min(k, 40))]
                    assert len({hit.score for hit in hits[:40]}) == 1

    @as_given
    def test_a_narrow_filter_finds_all_that_match(self, store: VectorStore) -> None:
        rows, oracle = spread(COUNT, seed=2), ExactStore(DIM, store.distance)
        records = [record(f"{number:05}", width=number % 50) for number in range(COUNT)]
        store.upsert(records, rows)
        store.optimize()
        oracle.upsert(records, rows)
        for text in ("width == 7", 'width == 7 and uri contains "jpg"', 'uri contains "007.jpg"'):
            filter = parse_filter(text)
            wanted = ids(oracle.search(-spread(1), 6, filter=filter)[0])
            for exact in (False, True):
                hits = store.search(-spread(1), 6, filter=filter, exact=exact)[0]
                assert ids(hits) == wanted

    @as_given
    def test_rows_are_kept_to_the_bit(self, store: VectorStore) -> None:
        rows = spread(50)
        rows[3] *= np.float32(1e-12)
        rows[4] *= np.float32(1e12)
        store.upsert(numbered(50), spread(50, seed=5))
        store.upsert(numbered(50), rows)  # replaces
        store.update([record("00007", width=1)])
        for _ in range(2):
            found = store.embeddings([f"{n:05}" for n in range(50)])
            scanned = {each.id: row for each, row in store.scan()}
            for n, row in enumerate(rows):
                assert found[f"{n:05}"].tobytes() == scanned[f"{n:05}"].tobytes() == row.tobytes()
            store.optimize()

    @pytest.mark.parametrize("distance", ["euclidean"])
    def test_the_same_is_at_distance_zero_and_nearly_the_same_is_near(
        self, store: VectorStore
    ) -> None:
        """Also far from the origin, where the difference of two large squares would be noise."""
        rows = 1e3 * drawn(2)
        near = rows[:1].copy()
        near[0, 0] = np.nextafter(near[0, 0], np.float32(np.inf))
        store.upsert(numbered(2), rows)
        store.upsert([record("near")], near)
        for _ in range(2):
            hits = store.search(rows[:1], 3)[0]
            assert ids(hits) == ["00000", "near", "00001"]
            assert (hits[0].score, math.copysign(1, hits[0].score)) == (0.0, 1.0)
            assert hits[1].score == pytest.approx(-float(abs(near[0, 0] - rows[0, 0])), rel=1e-5)
            store.optimize()

    @as_given
    def test_a_zero_row_is_a_point(self, store: VectorStore, distance: Distance) -> None:
        store.upsert(numbered(3), np.concatenate([line(0), line(3), line(-2)]))
        scores = {hit.record.id: hit.score for hit in store.search(line(1), 3)[0]}
        far = {"00000": -1.0, "00001": -2.0, "00002": -3.0}
        assert scores == (far if distance == "euclidean" else {"00000": 0, "00001": 3, "00002": -2})
        if distance == "euclidean":
            assert ids(store.search(line(0), 3)[0]) == ["00000", "00002", "00001"]
        else:
            with pytest.raises(
                UsageError, match="query 0: the embedding is all zero or not finite"
            ):
                store.search(line(0), 3)

    @as_given
    @pytest.mark.parametrize(
        ("row", "problem"),
        [
            (line(np.nan), "not finite"),
            (line(0, -np.inf), "not finite"),
            (np.full((1, DIM), 1e300), "not finite"),
            (
                line(1e30),
                r"has the length 1.0e\+30, the limit is 9e\+18; scale all embeddings down",
            ),
            (np.full((1, DIM), 5e18, np.float32), r"has the length 2.0e\+19"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(
        self, store: VectorStore, row: Embeddings, problem: str
    ) -> None:
        rows = np.concatenate([line(1), row])
        with pytest.raises(UsageError, match=f"query 1: the embedding .*{problem}"):
            store.search(rows, 1)
        with pytest.raises(UsageError, match=f"image 1: the embedding .*{problem}"):
            store.upsert(numbered(2), rows)
        assert store.count() == 0

    @each_distance
    def test_the_longest_rows_have_finite_scores(
        self, store: VectorStore, distance: Distance
    ) -> None:
        rows = MAX_LENGTH * 0.999 * np.concatenate([drawn(1), -drawn(1), drawn(1, seed=1)])
        store.upsert(numbered(3), rows)
        for _ in range(2):
            hits = store.search(rows[:1], 3)[0]
            assert ids(hits) == ["00000", "00002", "00001"]
            length = float(np.linalg.norm(rows[0]))
            best, worst = {
                "cosine": (1.0, -1.0),
                "euclidean": (0.0, -2 * length),
                "dot": (length**2, -(length**2)),
            }[distance]
            assert hits[0].score == pytest.approx(best, rel=1e-5)
            assert hits[2].score == pytest.approx(worst, rel=1e-5)
            store.optimize()
