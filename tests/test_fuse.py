"""Several rankings as one."""

import pytest

from imagefinder.fuse import depth, fused
from imagefinder.types import Hit


def ranking(ids: str) -> list[Hit]:
    return [Hit(id, 0.5, f"/{id}", confidence=0.9) for id in ids]


def test_the_score_is_worked_out_by_hand() -> None:
    hits = fused([ranking("abc"), ranking("bad")], k=10)
    found = {hit.id: hit.score for hit in hits}
    assert [hit.id for hit in hits] == ["a", "b", "c", "d"]
    assert found["a"] == pytest.approx((61 / 61 + 61 / 62) / 2)
    assert found["b"] == pytest.approx((61 / 62 + 61 / 61) / 2)
    assert found["c"] == pytest.approx(61 / 63 / 2)
    assert found["d"] == pytest.approx(61 / 63 / 2)
    assert {hit.confidence for hit in hits} == {None}


def test_the_first_of_all_has_one() -> None:
    assert fused([ranking("xy"), ranking("xz"), ranking("x")], k=1)[0].score == pytest.approx(1)


def test_what_all_find_comes_before_what_one_finds_first() -> None:
    hits = fused([ranking("abcdefgh"), ranking("hxyz")], k=3)
    assert [hit.id for hit in hits] == ["h", "a", "b"]


def test_no_more_than_asked_for_and_no_less_than_there_is() -> None:
    assert len(fused([ranking("abc"), ranking("def")], k=4)) == 4
    assert len(fused([ranking("abc"), ranking("abc")], k=4)) == 3
    assert fused([[], []], k=4) == []
    assert depth(3) >= 50
    assert depth(1000) >= 2000
