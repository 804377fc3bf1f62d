"""Adaptation from judged pairs: what they tell is learned, noise is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from imagefinder import ImageFinder, errors
from imagefinder.adapt import Plan, adapt
from imagefinder.adapt.liked import Liked
from imagefinder.adapt.pair_methods import discriminative, pair_methods, relevant, weights
from imagefinder.adapt.pair_precision import by_chance, compared, precision
from imagefinder.labels.liked import LikedPair, read_liked
from tests.commands import Run
from tests.faint_classes import CLASSES, EACH, found_right, write_classes

JUDGED = 6  # for each query: half of them of its class


def write_pairs(table: Path, *, noise: bool = False) -> int:
    """What somebody says of hits: liked are those of the query's class, or any."""
    numbers = np.random.default_rng(3)
    lines = ["query,id,liked"]
    for name in CLASSES:
        others = [one for one in CLASSES if one != name]
        for number in range(0, EACH, 2):
            for turn in range(JUDGED):
                shown = name if turn % 2 else str(numbers.choice(others))
                liked = numbers.integers(2) if noise else turn % 2
                other = (number + 1 + int(numbers.integers(EACH - 1))) % EACH
                lines.append(f"{name}/{number:02}.png,{shown}/{other:02}.png,{liked}")
    table.write_text("\n".join(lines) + "\n")
    return len(lines) - 1


def test_what_pairs_tell_is_learned(trees: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "liked.csv")
    with ImageFinder.open(trees / "c") as finder:
        found = adapt(finder, tmp_path / "liked.csv", name="liked")
        assert found.kept
        assert (found.measure, found.space) == ("AP", "liked")
        assert "liked" in found.kind
        assert found.train + found.test > 400
        assert found.before.value < 0.6  # by chance it is 0.5
        assert found.after.value > 0.75
        assert 0.1 < found.difference.low < found.difference.value < found.difference.high
        assert found.operating.precision > 0.7
        write_classes(tmp_path / "new", seed=98)
        right = found_right(finder, tmp_path / "new", CLASSES, ["toy", "liked"])
        assert right["liked"] >= 15 > 10 > right["toy"]
        finder.drop_space("liked")


def test_noise_is_refused(trees: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "noise.csv", noise=True)
    with ImageFinder.open(trees / "c") as finder:
        for seed in range(2):
            found = adapt(finder, tmp_path / "noise.csv", plan=Plan(seed=seed), name="noise")
            assert not found.kept
        assert finder.status().spaces == ("toy",)


def test_a_person_sees_what_came_of_it(trees: Path, tmp_path: Path, cli: Run) -> None:
    count = write_pairs(tmp_path / "liked.csv")
    code, out, err = cli("adapt", tmp_path / "liked.csv", "-c", trees / "c", "--name", "seen")
    assert code == 0
    assert " pairs, " in err
    assert "of them liked, tested on " in err
    assert "AP on the test part: 0." in out
    learned, liked, tested = (
        int(err.split(before)[1].split()[0])
        for before in ("learned from ", " pairs, ", "tested on ")
    )
    assert 400 < learned + tested <= count  # those that are in both parts say nothing
    assert liked == pytest.approx(learned / 2, rel=0.1)  # of those that were learned from
    assert cli("models", "drop", "seen", "-c", trees / "c", "--yes")[0] == 0


def test_tables_are_read(trees: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.jsonl"
    rows = [
        {"query": "ash/00.png", "path": str(trees / "photos/elm/01.png"), "liked": False},
        {"query": "ash/00.png", "path": "ash/02.png", "liked": True},
        {"query": "ash/02.png", "path": "ash/00.png", "liked": "no"},  # the last word of the pair
        {"query": "ash/00.png", "path": "ash/00.png", "liked": 1},
        {"query": "nowhere", "path": "ash/00.png", "liked": 1},
        {"query": "ash/03.png", "path": "ash/00.png", "liked": None},
    ]
    table.write_text("\n".join(map(json.dumps, rows)) + "\n")
    with ImageFinder.open(trees / "c") as finder:
        assert read_liked(finder, table) == [
            LikedPair("ash/00.png", "elm/01.png", False),
            LikedPair("ash/02.png", "ash/00.png", False),
        ]


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("query,id,liked\nash/00.png,ash/01.png,maybe\n", "Source", "liked is maybe; it is 1 or 0"),
        ("query,id,liked\nx,y,1\n", "Source", "no row names two images of the collection"),
        ("query,shown,liked\nash/00.png,ash/01.png,1\n", "Source", "pairs have the columns"),
        (
            "query,id,liked\nash/00.png,ash/01.png,1\n",
            "Usage",
            "1 liked pairs and 0 others: too few to learn from",
        ),
    ],
)
def test_what_cannot_be_is_told(
    trees: Path, tmp_path: Path, text: str, kind: str, reason: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with (
        ImageFinder.open(trees / "c") as finder,
        pytest.raises(getattr(errors, f"{kind}Error"), match=reason),
    ):
        adapt(finder, tmp_path / "t.csv", name="x")


def judged(rows: list[list[float]], pairs: list[tuple[int, int, bool]], groups=None) -> Liked:
    unit = np.array(rows, dtype=np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    first, second, liked = map(np.array, zip(*pairs, strict=True))
    return Liked(unit, np.array(groups or range(len(rows))), first, second, liked)


def test_precision_is_that_by_hand() -> None:
    # scores: 0.96 liked, 0.8 not, 0.6 liked: (1 + 2/3) / 2
    some = judged(
        [[1, 0], [0.96, 0.28], [0.8, 0.6], [0.6, 0.8]], [(0, 1, True), (0, 2, False), (0, 3, True)]
    )
    scores, liked = some.scored(0)
    assert scores == pytest.approx([0.96, 0.8, 0.6], abs=1e-6)
    assert precision((scores, liked)) == pytest.approx((1 + 2 / 3) / 2)
    # the first pair three times: (3 * 1 + 4/5) / 4
    times = np.array([3, 1, 1])
    assert precision((scores, liked), times) == pytest.approx((3 + 4 / 5) / 4)


def test_intervals_are_of_queries_and_chance_is_of_verdicts() -> None:
    numbers = np.random.default_rng(0)
    liked = numbers.integers(2, size=300).astype(bool)
    blind = numbers.standard_normal(300).astype(np.float32)
    seeing = blind + 2 * liked
    queries = np.repeat(np.arange(30), 10)
    found = compared((blind, liked), (seeing, liked), queries, seed=0)
    assert found.before.low < found.before.value < found.before.high < found.after.low
    assert found.difference.value == pytest.approx(found.after.value - found.before.value)
    one = compared((blind, liked), (seeing, liked), np.zeros(300, dtype=int), seed=0)
    assert one.difference.half == 0  # of one query nothing else can be drawn
    same = by_chance((blind, liked), (blind, liked), seed=0)
    assert not same.any()
    chance = by_chance((blind, liked), (seeing, liked), seed=0)
    assert abs(chance.mean()) < 0.005 < 0.015 < chance.std()


def test_no_query_and_no_pair_is_in_both_parts() -> None:
    numbers = np.random.default_rng(1)
    pairs = [(a, b, bool((a + b) % 2)) for a in range(30) for b in numbers.integers(30, 60, 4)]
    back = [(b, a, liked) for a, b, liked in pairs]
    groups = [place // 2 for place in range(60)]  # each image has a copy
    some = judged(numbers.standard_normal((60, 4)).tolist(), pairs + back, groups)
    divided = [some.halves(0.3, 0), *some.folds(0)]
    assert len(divided) == 4
    for learned, held in divided:
        assert not set(learned.queries) & set(held.queries)
        assert not set(learned.unordered()) & set(held.unordered())
        assert learned.says_something
        assert held.says_something
        assert len(held) > 40


def test_projections_of_pairs_see_what_counts() -> None:
    """Liked pairs agree in the last two of six directions, and in nothing else."""
    numbers = np.random.default_rng(2)
    rows = numbers.standard_normal((400, 6))
    pairs = []
    for place in range(0, 398, 2):
        liked = place % 4 == 0
        if liked:
            rows[place + 1, 4:] = rows[place, 4:] + 0.1 * numbers.standard_normal(2)
        pairs.append((place, place + 1, liked))
    some = judged(rows.tolist(), pairs)
    for method in (weights, relevant(0.01), discriminative(2, 0.01)):
        matrix = np.abs(method(some, 0).matrix).sum(axis=1)
        assert matrix[4:].min() > 1.5 * matrix[:4].max(), method
    named = pair_methods(images=100, pairs=40, dim=256)
    assert list(named)[:3] == ["weights", "whitening, 16", "whitening, 32"]
    assert "discriminative components, 32, shrunk auto" in named
    assert "discriminative components, 64, shrunk auto" not in named
