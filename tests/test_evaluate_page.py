"""The page of an evaluation, and what it draws."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from ir_measures import IPrec, calc_aggregate

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from imagefinder.evaluate import Plan, evaluate
from imagefinder.evaluate.curves import RECALL, interpolated, precision_by_recall, scores_of
from imagefinder.evaluate.page import Searches, evaluation_page
from imagefinder.evaluate.rank import Ranking
from imagefinder.labels import Judgements, read_labels
from tests.pictures import write_pictures
from tests.toy_models import write_model


def ranked(ids: list[str]) -> Ranking:
    return Ranking(tuple(ids), np.linspace(0.9, 0.1, len(ids), dtype=np.float32))


def test_the_curve_by_hand() -> None:
    # right, wrong, right, and a third answer that is never found
    found = interpolated(np.array([True, False, True, False]), 3)
    assert found[:4] == pytest.approx([1, 1, 1, 1])  # one of three is a recall of a third
    assert found[4:7] == pytest.approx([2 / 3] * 3)
    assert found[7:] == pytest.approx([0] * 4)
    assert interpolated(np.array([], dtype=bool), 2).tolist() == [0] * 11


def test_the_curve_as_trec_eval_has_it() -> None:
    rng = np.random.default_rng(4)
    ids = [f"i{number}" for number in range(30)]
    answers = {
        f"q{query}": dict.fromkeys(map(str, rng.choice(ids, 10, replace=False)), 1)
        for query in range(9)
    }
    found = {query: [str(id) for id in rng.permutation(ids)[:20]] for query in answers}
    judgements = Judgements.of_answers(answers, {id: id for id in [*ids, *answers]})
    curve = precision_by_recall(
        judgements, list(answers), [ranked(each) for each in found.values()]
    )
    run = {query: {id: -rank for rank, id in enumerate(each)} for query, each in found.items()}
    wanted = [IPrec @ round(float(level), 1) for level in RECALL]
    theirs = calc_aggregate(wanted, answers, run)
    assert curve == pytest.approx([theirs[each] for each in wanted])


def test_scores_of_right_and_wrong_answers() -> None:
    judgements = Judgements.of_answers({"q": {"a": 1}, "r": {"b": 1}}, dict.fromkeys("qrab", ""))
    right, wrong = scores_of(judgements, ["q", "r"], [ranked(["b", "a"]), None])
    assert right.tolist() == pytest.approx([0.1])
    assert wrong.tolist() == pytest.approx([0.9])
    assert precision_by_recall(judgements, ["q", "r"], [ranked(["a"]), None])[0] == 0.5


@pytest.fixture
def finder(tmp_path: Path) -> Iterator[ImageFinder]:
    """Classes of four pictures that have nothing in common, one of a hostile name."""
    names = [f"{kind}/{n}.png" for kind in ("cat", "dog", "<b>&{x}$y") for n in range(4)]
    write_pictures(tmp_path / "photos", names)
    write_model(tmp_path / "toy-a", dim=16, seed=1)
    write_model(tmp_path / "toy-b", dim=16, seed=2)
    with ImageFinder.open(tmp_path / "c", model=str(tmp_path / "toy-a")) as finder:
        finder.index(tmp_path / "photos")
        finder.add_space(str(tmp_path / "toy-b"))
        yield finder


class Seen(HTMLParser):
    """The tags of a page, and the texts of its headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.headings: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.headings.append(data)


def test_the_page_has_it_all_and_nothing_from_elsewhere(
    finder: ImageFinder, tmp_path: Path
) -> None:
    judgements = read_labels(tmp_path / "photos", finder)
    spaces = ["toy-a", "toy-b", "toy-a,toy-b"]
    evaluation = evaluate(finder, judgements, spaces=spaces, plan=Plan(ks=(1, 3)))
    page = evaluation_page(evaluation, judgements, finder, title="Toys").render()
    seen = Seen(page)
    assert seen.headings == [
        *("Measures", "Scores", "Classes", "Map of toy-a", "Best searches", "Worst searches")
    ]
    assert seen.tags.count("svg") == 1 + 3 + 1 + 1
    assert not {"script", "b", "link", "iframe"} & set(seen.tags)
    assert "&lt;b&gt;&amp;{x}$y" in page
    outside = [src for src in seen.sources if not re.match(r"data:image/jpeg;base64,|#", src)]
    assert outside == []
    for setting in evaluation.settings:
        assert f"{setting.measures['nDCG@3'].value:.3f} ±" in page
    assert "toy-a,toy-b to toy-a" in page
    assert page.count('class="query"') == 10  # five best, five worst
    good, bad = page.count('<figure class="good">'), page.count('<figure class="bad">')
    assert good + bad == 10 * 7
    best = Searches(evaluation, judgements, finder)
    values = evaluation.settings[0].values["mAP"]
    assert values[best.best()[0]] == values.max()
    assert values[best.worst()[0]] == values.min()
    assert not set(best.best()) & set(best.worst())


def test_a_page_of_a_ground_truth_with_files_that_are_gone(
    finder: ImageFinder, tmp_path: Path
) -> None:
    judgements = Judgements.of_answers(
        {"cat/0.png": {"cat/1.png": 2}}, {record.id: record.sha256 for record in finder.images()}
    )
    (tmp_path / "photos" / "cat" / "0.png").unlink()
    evaluation = evaluate(finder, judgements)
    seen = Seen(evaluation_page(evaluation, judgements, finder, title="One").render())
    assert "Classes" not in seen.headings
    assert "Best searches" in seen.headings
    assert "Worst searches" not in seen.headings


def test_the_command_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path, [f"photos/{kind}/{n}.png" for kind in "ab" for n in range(3)])
    write_model(tmp_path / "toy", dim=8, seed=1)
    arguments = ["evaluate", "photos", "--model", "./toy", "--report"]
    assert run([*arguments, "missing/report.html"]) == 2
    assert "there is no folder missing" in capsys.readouterr().err
    assert run([*arguments, "report.html"]) == 0
    assert "the report is report.html" in capsys.readouterr().err
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Evaluation of toy" in page
    assert Seen(page).tags.count("img") >= 8


def test_an_evaluation_of_one_search_has_a_page(finder: ImageFinder) -> None:
    records = {record.id: record.sha256 for record in finder.images()}
    pair = {"cat/0.png": "a", "cat/1.png": "a"}
    evaluation = evaluate(finder, Judgements.of_classes(pair, records), plan=Plan(queries=1))
    assert len(evaluation.queries) == 1
    page = evaluation_page(evaluation, Judgements.of_classes(pair, records), finder, title="One")
    assert Seen(page.render()).headings[0] == "Measures"
