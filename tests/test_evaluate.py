"""How good searches are: measures worked out by hand and by scikit-learn, ties, intervals."""

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path

import numpy as np
import pytest
from ir_measures import SetF, calc_aggregate
from sklearn.metrics import average_precision_score, fbeta_score, ndcg_score

from imagefinder import Hit, ImageFinder, Upload, errors
from imagefinder.evaluate import Plan, evaluate
from imagefinder.evaluate.interval import intervals
from imagefinder.evaluate.limits import Failure, Limit, failures, parse_limit
from imagefinder.evaluate.measures import measure, names
from imagefinder.evaluate.rank import Ranker, Ranking
from imagefinder.evaluate.run import MOST
from imagefinder.evaluate.temporary import temporary
from imagefinder.labels import Judgements, read_labels
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, write_pictures
from tests.toy_models import write_model
from tests.uploads import png


def judged(answers: Mapping[str, Mapping[str, int]], others: Sequence[str] = ()) -> Judgements:
    """A ground truth, every image with bytes of its own."""
    ids = {*answers, *others, *(id for right in answers.values() for id in right)}
    return Judgements.of_answers(answers, {id: id for id in ids})


def ranking(ids: str) -> Ranking:
    return Ranking(tuple(ids.split()), np.linspace(1, 0, len(ids.split()), dtype=np.float32))


def measured(
    answers: Mapping[str, Mapping[str, int]],
    found: Mapping[str, str],
    ks: Sequence[int],
    beta: float = 1,
) -> dict[str, list[float]]:
    rankings = [ranking(found[query]) if query in found else None for query in answers]
    values = measure(judged(answers), list(answers), rankings, ks=ks, beta=beta)
    return {name: each.tolist() for name, each in values.items()}


# measures


def test_measures_by_hand() -> None:
    answers = {"q": {"a": 1, "b": 1, "c": 1}, "r": {"a": 1}, "s": {"d": 1}, "t": {"a": 1}}
    found = {"q": "a x b y", "r": "x y z a", "s": "x y"}  # t is not in the space
    values = measured(answers, found, [1, 3], beta=0.5)
    assert list(values) == names([1, 3], 0.5)
    # q: right ones at ranks 1 and 3, a third is never found
    assert values["mAP"] == pytest.approx([(1 / 1 + 2 / 3) / 3, 1 / 4, 0, 0])
    assert values["MRR"] == pytest.approx([1, 1 / 4, 0, 0])
    assert values["P@1"] == pytest.approx([1, 0, 0, 0])
    assert values["P@3"] == pytest.approx([2 / 3, 0, 0, 0])
    assert values["R@1"] == pytest.approx([1 / 3, 0, 0, 0])
    assert values["R@3"] == pytest.approx([2 / 3, 0, 0, 0])
    best = 1 + 1 / log2(3) + 1 / log2(4)
    assert values["nDCG@3"] == pytest.approx([(1 + 1 / log2(4)) / best, 0, 0, 0])
    assert values["F0.5@1"] == pytest.approx([1.25 * 1 * (1 / 3) / (0.25 * 1 + 1 / 3), 0, 0, 0])
    assert values["F0.5@3"] == pytest.approx([2 / 3, 0, 0, 0])


def test_grades_count_for_ndcg_alone() -> None:
    values = measured({"q": {"a": 1, "b": 3}}, {"q": "a b"}, [2])
    assert values["mAP"] == values["R@2"] == [1]
    assert values["nDCG@2"] == pytest.approx([(1 + 3 / log2(3)) / (3 + 1 / log2(3))])


def test_fewer_hits_than_k_do_not_make_precision_better() -> None:
    values = measured({"q": {"a": 1, "b": 1}}, {"q": "a"}, [4])
    assert values["P@4"] == [1 / 4]
    assert values["R@4"] == [1 / 2]
    assert values["F1@4"] == pytest.approx([1 / 3])


def random_rankings() -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Twenty queries over forty images, every one in each ranking."""
    rng = np.random.default_rng(5)
    ids = [f"i{number}" for number in range(40)]
    answers, found = {}, {}
    for query in range(20):
        right = rng.choice(ids, rng.integers(1, 12), replace=False)
        answers[f"q{query}"] = {str(id): int(rng.integers(1, 4)) for id in right}
        found[f"q{query}"] = " ".join(rng.permutation(ids))
    return answers, found


def test_measures_as_scikit_learn_has_them() -> None:
    answers, found = random_rankings()
    values = measured(answers, found, [5], beta=2)
    for number, (query, right) in enumerate(answers.items()):
        order = found[query].split()
        grades = np.array([right.get(id, 0) for id in order])
        scores = -np.arange(len(order))
        first = scores > -5
        assert values["mAP"][number] == pytest.approx(average_precision_score(grades > 0, scores))
        assert values["nDCG@5"][number] == pytest.approx(ndcg_score([grades], [scores], k=5))
        assert values["F2@5"][number] == pytest.approx(fbeta_score(grades > 0, first, beta=2))


def test_f_is_what_trec_eval_calls_so_with_the_square_of_beta() -> None:
    answers, found = random_rankings()
    run = {
        query: {id: -rank for rank, id in enumerate(ids.split()[:5])}
        for query, ids in found.items()
    }
    theirs = calc_aggregate([SetF(beta=4.0)], answers, run)[SetF(beta=4.0)]
    assert np.mean(measured(answers, found, [5], beta=2)["F2@5"]) == pytest.approx(theirs, abs=1e-4)


# rankings


class Found(ImageFinder):
    """Answers every search with these hits."""

    def __init__(self, hits: Sequence[tuple[str, float]]) -> None:
        self.hits = [Hit(id, score, id) for id, score in hits]
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.hits)

    def search_many(self, queries, k=3, **options):
        assert options["exact"] is True
        self.asked += [k] * len(queries)
        return [self.hits[:k] for _ in queries]


Found.__abstractmethods__ = frozenset()  # the rest is not asked for


def test_equal_scores_keep_the_order_of_the_search() -> None:
    """Which is by id; trec_eval, handed the scores, would turn it round."""
    finder = Found([("q", 1.0), ("a", 0.5), ("b", 0.5), ("c", 0.5)])
    judgements = judged({"q": {"a": 1}}, "bc")
    (found,) = Ranker(finder, judgements, None, 10).rank(["q"], lambda done: None)
    assert found is not None
    assert found.ids == ("a", "b", "c")
    values = measure(judgements, ["q"], [found], ks=[1], beta=1)
    assert values["P@1"].tolist() == values["mAP"].tolist() == [1]


def test_what_is_not_judged_is_passed_over() -> None:
    hits = [(f"n{number:03}", 0.9) for number in range(300)]
    finder = Found([("q", 1.0), ("copy", 1.0), *hits, ("a", 0.2), ("b", 0.1)])
    contents = {"q": "1", "copy": "1", "a": "2", "b": "3"}
    judgements = Judgements.of_classes(dict.fromkeys(contents, "x"), contents)
    (found,) = Ranker(finder, judgements, None, 1).rank(["q"], lambda done: None)
    assert found is not None
    assert found.ids == ("a",)
    assert found.scores.tolist() == pytest.approx([0.2])
    few = Found([("q", 1.0), ("a", 0.2)])
    Ranker(few, judgements, None, 1).rank(["q"], lambda done: None)
    assert few.asked == [2]  # not again: there are no more images


def test_more_is_asked_for_where_too_few_are_left() -> None:
    names = [f"n{number:03}" for number in range(500)]
    finder = Found([("q", 1.0), *((name, 0.5) for name in names)])
    kept = {name: name for name in ["q", *names[100:]]}
    judgements = Judgements.of_classes(dict.fromkeys(kept, "x"), kept)
    (found,) = Ranker(finder, judgements, None, 5).rank(["q"], lambda done: None)
    assert found is not None
    assert found.ids == tuple(names[100:105])
    assert finder.asked == [17, 68, 272]


# a collection


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures of each of four kinds, alike within a kind, and a copy."""
    for kind in range(4):
        for number in range(3):
            path = tmp_path / "photos" / f"kind{kind}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.asarray(picture(kind)).astype(int)
            noise = np.random.default_rng(number).integers(-20, 20, pixels.shape)
            picture_of(np.clip(pixels + noise, 0, 255)).save(path)
    copy = tmp_path / "photos" / "kind0" / "copy.png"
    copy.write_bytes((tmp_path / "photos" / "kind0" / "0.png").read_bytes())
    return tmp_path / "photos"


def picture_of(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(pixels.astype(np.uint8))


def test_a_collection_of_alike_pictures_is_found_whole(photos: Path, tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        told: list[tuple[int, int]] = []
        evaluation = evaluate(
            finder, read_labels(photos, finder), on_progress=lambda *done: told.append(done)
        )
    assert told[-1] == (13, 13)
    (setting,) = evaluation.settings
    assert (setting.name, setting.missing, evaluation.images, evaluation.classes) == (
        "fake",
        0,
        13,
        4,
    )
    assert setting.measures["mAP"].value == 1
    assert evaluation.differences == []
    assert setting.per_class["kind0"].queries == 4
    assert setting.per_class["kind1"].measures["R@1"] == pytest.approx(1 / 2)
    # 0.png and its copy have two right answers each, the other two of their kind three
    assert setting.per_class["kind0"].measures["R@1"] == pytest.approx((2 / 2 + 2 / 3) / 4)
    by_query = dict(zip(evaluation.queries, setting.rankings, strict=True))
    assert "kind0/copy.png" not in by_query["kind0/0.png"].ids
    assert len(by_query["kind0/0.png"].ids) == 11


@pytest.fixture
def spaces(photos: Path, tmp_path: Path) -> Path:
    """A collection with two spaces, of which the second lacks an image."""
    for name, seed in (("toy-a", 1), ("toy-b", 2)):
        write_model(tmp_path / name, dim=8, seed=seed)
    with ImageFinder.open(tmp_path / "c", model=str(tmp_path / "toy-a")) as finder:
        finder.index(photos)
        finder.add_space(str(tmp_path / "toy-b"))
        finder.collection.store("toy-b").delete(["kind1/0.png"])  # type: ignore[attr-defined]
        finder.collection.ledger.spaces.lost("toy-b", ["kind1/0.png"])  # type: ignore[attr-defined]
    return tmp_path / "c"


def test_spaces_are_compared_by_the_same_queries(spaces: Path, photos: Path) -> None:
    with ImageFinder.open(spaces) as finder:
        judgements = read_labels(photos, finder)
        settings = ["toy-a", "toy-b", "toy-a,toy-b"]
        evaluation = evaluate(finder, judgements, spaces=settings, plan=Plan(ks=(2,)))
        fused = finder.search("id:kind2/0.png", 3, exact=True, space="toy-a,toy-b")
    assert [setting.name for setting in evaluation.settings] == settings
    assert [setting.missing for setting in evaluation.settings] == [0, 1, 1]
    place = evaluation.queries.index("kind1/0.png")
    assert evaluation.settings[1].values["mAP"][place] == 0
    ranked = evaluation.settings[2].rankings[evaluation.queries.index("kind2/0.png")]
    assert ranked is not None
    assert list(ranked.ids[:2]) == [hit.id for hit in fused if hit.id != "kind2/0.png"]
    for difference in evaluation.differences:
        first, other = (
            next(each for each in evaluation.settings if each.name == name)
            for name in (difference.to, difference.of)
        )
        values = other.values[difference.measure] - first.values[difference.measure]
        assert difference.interval.value == pytest.approx(values.mean())
    assert len(evaluation.differences) == 2 * len(names([2], 1))


def test_queries_are_drawn_by_a_seed(photos: Path, tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        judgements = read_labels(photos, finder)

        def drawn(seed: int) -> Sequence[str]:
            return evaluate(finder, judgements, plan=Plan(queries=5, seed=seed)).queries

        assert len(drawn(0)) == 5
        assert drawn(0) == drawn(0) == sorted(drawn(0))
        assert drawn(0) != drawn(1)


def test_nothing_to_find_is_an_error(tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.add([Upload(png(1), "a/1.png"), Upload(png(2), "b/2.png")])
        with pytest.raises(errors.SourceError, match="no image has a right answer"):
            evaluate(finder, Judgements.of_classes({"a/1.png": "a"}, {"a/1.png": ""}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ks": ()},
        {"ks": (0, 5)},
        {"beta": 0},
        {"beta": float("nan")},
        {"queries": 0},
        {"seed": -1},
        {"depth": 9},
        {"depth": MOST + 1},
    ],
)
def test_plans_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.UsageError):
        Plan(**wrong)


def test_a_temporary_collection_is_gone_afterwards(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", ["a/1.png"])
    write_model(tmp_path / "toy", dim=8, seed=1)
    with temporary(str(tmp_path / "toy")) as finder:
        finder.index(tmp_path / "photos")
        where = Path(finder.status().path)
        assert where.is_dir()
    assert not where.exists()


# intervals


def test_an_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        values = (rng.random(80) < 0.3).astype(float)
        (found,) = intervals({"P@1": values}, seed=seed).values()
        assert found.value == pytest.approx(values.mean())
        held += found.low <= 0.3 <= found.high
    assert 180 <= held <= 198  # of 200; 95% are 190


def test_an_interval_is_as_wide_as_the_normal_one_and_the_same_again() -> None:
    values = np.random.default_rng(2).random(2000)
    found = intervals({"a": values, "b": 2 * values}, seed=0)
    assert found["a"].half == pytest.approx(1.96 * values.std() / 2000**0.5, rel=0.1)
    assert found["b"].low == pytest.approx(2 * found["a"].low)
    assert intervals({"a": values, "b": 2 * values}, seed=0) == found
    assert intervals({"a": values}, seed=1)["a"] != found["a"]


def test_a_paired_difference_is_surer_than_two_means() -> None:
    rng = np.random.default_rng(3)
    first = rng.random(300)
    better = np.clip(first + 0.02 + rng.normal(0, 0.01, 300), 0, 1)
    of_each = intervals({"first": first, "better": better}, seed=0)
    paired = intervals({"difference": better - first}, seed=0)["difference"]
    assert of_each["first"].high > of_each["better"].low
    assert paired.low > 0


# limits


def test_limits_are_for_every_setting(photos: Path, tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        evaluation = evaluate(finder, read_labels(photos, finder))
    known = evaluation.plan.measures
    assert parse_limit("map=0.4", known) == Limit("mAP", 0.4)
    assert failures(evaluation, [Limit("mAP", 1)]) == []
    value = evaluation.settings[0].measures["P@10"].value
    assert failures(evaluation, [Limit("mAP", 1), Limit("P@10", 0.9)]) == [
        Failure("fake", "P@10", value, 0.9)
    ]


@pytest.mark.parametrize(
    "text", ["", "mAP", "mAP=", "mAP=high", "mAP=40", "mAP=-1", "mAP=nan", "P@3=0.5", "=1"]
)
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(errors.UsageError, match="--fail-under"):
        parse_limit(text, names([1, 5], 1))
