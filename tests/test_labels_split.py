"""Groups of copies, and parts without copies across them."""

from collections import Counter

import numpy as np
import pytest

from imagefinder import errors
from imagefinder.labels import groups
from imagefinder.labels.groups import copies
from imagefinder.labels.split import split, split_by

RANDOM = np.random.default_rng(0)


def rows(count: int) -> np.ndarray:
    return RANDOM.standard_normal((count, 32)).astype(np.float32)


def as_sets(numbers: list[int]) -> set[frozenset[int]]:
    """The groups, by the places of their members."""
    return {
        frozenset(place for place, number in enumerate(numbers) if number == each)
        for each in numbers
    }


def test_the_same_bytes_are_copies() -> None:
    contents = {"a": "1", "b": "2", "c": "1", "d": "", "e": "", "f": "1"}
    assert as_sets(copies(list("abcdef"), contents)) == as_sets([0, 1, 0, 2, 3, 0])
    assert copies([], {}) == []


@pytest.mark.parametrize("block", [2, 3, 1000])
def test_the_same_picture_is_a_copy(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(groups, "BLOCK", block)
    embeddings = rows(8)
    embeddings[5] = embeddings[1] * 3  # the length is not looked at
    embeddings[6] = embeddings[1] + 0.02 * embeddings[3]
    embeddings[7] = embeddings[2] + 0.3 * embeddings[3]  # alike, not the same: cosine 0.95
    found = copies(list("abcdefgh"), {"a": "same", "g": "same"}, embeddings)
    assert as_sets(found) == {
        frozenset({0, 1, 5, 6}),
        *(frozenset({alone}) for alone in (2, 3, 4, 7)),
    }


def test_many_copies_of_one_picture_need_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "BLOCK", 50)
    embeddings = np.repeat(rows(1), 200, axis=0)
    assert sum(len(pairs) for pairs in groups.similar(embeddings)) <= 10 * 100
    assert set(copies([str(n) for n in range(200)], {}, embeddings)) == {0}


def test_each_class_gives_its_share() -> None:
    ids = [str(number) for number in range(150)]
    classes = {id: "many" if int(id) < 100 else "few" if int(id) < 140 else "rare" for id in ids}
    train, test = split(ids, classes, range(150), test=0.2, seed=3)
    assert Counter(classes[id] for id in test) == {"many": 20, "few": 8, "rare": 2}
    assert sorted(train + test) == sorted(ids)
    assert test == [id for id in ids if id in set(test)]
    assert split(ids, classes, range(150), test=0.2, seed=3) == (train, test)
    assert split(ids, classes, range(150), test=0.2, seed=4) != (train, test)


def test_copies_stay_together() -> None:
    ids = [str(number) for number in range(300)]
    numbers = RANDOM.integers(0, 60, 300).tolist()
    classes = {id: "ab"[number % 2] for id, number in zip(ids, numbers, strict=True)}
    train, test = split(ids, classes, numbers, test=0.25, seed=0)
    group = dict(zip(ids, numbers, strict=True))
    assert not {group[id] for id in train} & {group[id] for id in test}
    for name in "ab":
        own = [id for id in ids if classes[id] == name]
        share = len(set(test) & set(own)) / len(own)
        assert share == pytest.approx(0.25, abs=0.03)


def test_small_classes_are_in_both_parts_if_they_can() -> None:
    ids = list("abcde")
    classes = {"a": "two", "b": "two", "c": "one", "d": "twins", "e": "twins"}
    train, test = split(ids, classes, [0, 1, 2, 3, 3], test=0.1, seed=0)
    assert len(set(test) & {"a", "b"}) == 1
    assert {"c", "d", "e"} <= set(train)
    most = split(ids, classes, [0, 1, 2, 3, 3], test=0.99, seed=0)
    assert len(set(most[0]) & {"a", "b"}) == 1


@pytest.mark.parametrize("share", [0, 1, -0.5, 7, float("nan")])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(errors.UsageError, match="between 0 and 1"):
        split(["a"], {}, [0], test=share, seed=0)


def test_parts_by_a_column() -> None:
    values = {"a": "train", "b": "test", "c": "test", "d": "val"}
    parts = split_by(list("abcde"), values, [0, 0, 1, 2, 3], test=["test"])
    assert parts == (["a", "d", "e"], ["c"], ["b"])  # b is a copy of a
    with pytest.raises(errors.UsageError, match="with dev as the test; there is: test, train, val"):
        split_by(list("abcde"), values, range(5), test=["dev"])
