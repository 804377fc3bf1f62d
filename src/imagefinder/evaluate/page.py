"""An evaluation as a page: tables, plots, and the pictures of the best and the worst searches."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.errors import ImageFinderError, ImageNotFoundError
from imagefinder.evaluate.curves import RECALL, precision_by_recall, scores_of
from imagefinder.evaluate.interval import LEVEL
from imagefinder.evaluate.run import Evaluation, Measured
from imagefinder.projection import project
from imagefinder.report import Page, Picture, beside, facts, paragraph, plot, plots, strip, table
from imagefinder.report.pictures import thumbnail

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding
    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements

SEARCHES = 5  # shown of the best, and of the worst
HITS = 7  # of each: with the query a row of a wide page
POINTS = 1000  # of the map
BINS = 40
MANY = 8  # settings that a plot has room for


def evaluation_page(
    evaluation: Evaluation, judgements: "Judgements", finder: "ImageFinder", *, title: str
) -> Page:
    """The page, which is of one file. Images whose files cannot be read have a word in their place.

    The map, the classes and the searches are those of the first setting. Raises MissingExtraError.
    """
    first = evaluation.settings[0]
    page = Page(title, introduction(evaluation))
    page.section(
        "Measures",
        known(evaluation),
        beside(measured(evaluation), precision(evaluation, judgements)),
        compared(evaluation),
    )
    page.section("Scores", scores(evaluation, judgements))
    page.section("Classes", classes(evaluation))
    page.section(f"Map of {first.name}", embedding_map(evaluation, judgements, finder))
    shown = Searches(evaluation, judgements, finder)
    page.section("Best searches", *shown.strips(shown.best()))
    page.section("Worst searches", *shown.strips(shown.worst()))
    return page


def introduction(evaluation: Evaluation) -> str:
    """What was done, in words."""
    return (
        "Images whose right answers are known were searched with, each for the others: those of"
        " its class, or those that a ground truth names. The image itself and exact copies of it"
        " do not count."
        f" What follows ± is half of the {LEVEL}% interval, by the bootstrap over the searches."
    )


def known(evaluation: Evaluation) -> str:
    """Facts of the whole."""
    pairs: list[tuple[str, object]] = [
        ("searches", len(evaluation.queries)),
        ("images", evaluation.images),
        ("classes", evaluation.classes),
        ("seed", evaluation.plan.seed),
        ("images of a ranking, at most", evaluation.plan.depth),
    ]
    return facts(pair for pair in pairs if pair != ("classes", 0))


def measured(evaluation: Evaluation) -> str:
    """Every measure of every setting: a column for each kind would be too many."""
    names = [setting.name for setting in evaluation.settings]
    rows = [
        [measure, *(with_half(setting, measure) for setting in evaluation.settings)]
        for measure in evaluation.plan.measures
    ]
    return table(["measure", *names], rows, title="Of each setting")


def with_half(setting: Measured, measure: str) -> str:
    """`0.412 ± 0.03`"""
    interval = setting.measures[measure]
    return f"{interval.value:.3f} ± {interval.half:.2f}"


def compared(evaluation: Evaluation) -> str:
    """The differences to the first setting."""
    rows = [
        (
            f"{one.of} to {one.to}",
            one.measure,
            f"{one.interval.value:+.3f}",
            f"{one.interval.low:+.3f}",
            f"{one.interval.high:+.3f}",
        )
        for one in evaluation.differences
    ]
    note = "An interval on both sides of 0 says that the difference may be chance."
    return table(
        ("settings", "measure", "difference", "from", "to"), rows, title="Differences", note=note
    )


def precision(evaluation: Evaluation, judgements: "Judgements") -> str:
    """The curve of each setting."""
    lines = {
        setting.name: (
            RECALL,
            precision_by_recall(judgements, evaluation.queries, setting.rankings),
        )
        for setting in evaluation.settings[:MANY]
    }
    drawn = plots.curve(lines, x="recall", y="precision")
    note = (
        "Of the images down to where so much of the right answers is found, so much is right:"
        " interpolated, the mean over the searches."
    )
    return plot("Precision by recall", drawn, note=note)


def scores(evaluation: Evaluation, judgements: "Judgements") -> str:
    """The histograms of each setting."""
    drawn = []
    for setting in evaluation.settings[:MANY]:
        right, wrong = scores_of(judgements, evaluation.queries, setting.rankings)
        if len(right) and len(wrong):
            groups = {"right answers": right, "other images": wrong}
            shape = plots.histogram(groups, label="score", bins=BINS)
            note = "Shares of each. The less they overlap, the better a threshold parts them."
            drawn.append(plot(f"Scores of {setting.name}", shape, note=note))
    return beside(*drawn)


def classes(evaluation: Evaluation) -> str:
    """Bars of the first setting, the lowest first, and a table of all."""
    first = evaluation.settings[0]
    if not first.per_class:
        return ""
    order = sorted(first.per_class, key=lambda name: (first.per_class[name].measures["mAP"], name))
    values = {name: first.per_class[name].measures["mAP"] for name in order}
    named = [setting.name for setting in evaluation.settings]
    rows = [
        [
            name,
            first.per_class[name].queries,
            *(f"{each.per_class[name].measures['mAP']:.3f}" for each in evaluation.settings),
        ]
        for name in order
    ]
    some = f" The {plots.SHOWN} lowest." if len(values) > plots.SHOWN else ""
    return beside(
        plot(
            f"mAP of each class, {first.name}", plots.bars(values, label="mAP"), note=some.strip()
        ),
        table(["class", "searches", *named], rows, title="mAP of each class"),
    )


def embedding_map(evaluation: Evaluation, judgements: "Judgements", finder: "ImageFinder") -> str:
    """Where images lie to each other in the space of the first setting, with their classes."""
    space = evaluation.settings[0].name.split(",")[0].strip()
    ids = evaluation.queries
    if len(ids) > POINTS:
        drawn = np.random.default_rng(evaluation.plan.seed).choice(len(ids), POINTS, replace=False)
        ids = [ids[number] for number in np.sort(drawn)]
    rows = dict(embeddings(finder, ids, space))
    if len(rows) < 2:
        return ""
    made = project(np.stack(list(rows.values())))
    named = [judgements.classes[id] for id in rows] if judgements.classes else []
    note = f"{len(rows):,} images in two dimensions by {made.method}: what is alike lies together."
    return plot("Images by what they look like", plots.scatter(made.points, named), note=note)


def embeddings(
    finder: "ImageFinder", ids: Sequence[str], space: str
) -> "Iterator[tuple[str, Embedding]]":
    """Of those that the space has."""
    for id in ids:
        try:
            yield id, finder.embed(f"id:{id}", space=space)
        except ImageNotFoundError:
            continue


class Searches:
    """The searches of the first setting as strips of pictures, each read when it is needed."""

    def __init__(
        self, evaluation: Evaluation, judgements: "Judgements", finder: "ImageFinder"
    ) -> None:
        self._evaluation, self._judgements, self._finder = evaluation, judgements, finder
        self._setting = evaluation.settings[0]
        self._jpegs: dict[str, bytes | None] = {}

    def best(self) -> list[int]:
        """The numbers of those of the greatest average precision, if there are enough for it."""
        values = self._setting.values["mAP"]
        count = min(SEARCHES, (len(values) + 1) // 2)
        return self._various(np.argsort(-values, kind="stable").tolist(), count)

    def worst(self) -> list[int]:
        """The same of the least."""
        values = self._setting.values["mAP"]
        order = np.argsort(values, kind="stable").tolist()
        best = set(self.best())
        return self._various([number for number in order if number not in best], SEARCHES)

    def strips(self, numbers: Sequence[int]) -> Iterator[str]:
        """One for each search."""
        if numbers:
            yield paragraph(
                "What was searched with, and what came first. A frame that is broken is of a wrong"
                " answer."
            )
        for number in numbers:
            query, ranking = self._evaluation.queries[number], self._setting.rankings[number]
            right = self._judgements.relevant(query)
            pictures = [Picture(self._jpeg(query), self._caption(query), "query")]
            if ranking is not None:
                pictures += [
                    Picture(
                        self._jpeg(id),
                        f"{score:.2f} {self._caption(id)}",
                        "good" if id in right else "bad",
                    )
                    for id, score in zip(ranking.ids[:HITS], ranking.scores, strict=False)
                ]
            value = self._setting.values["mAP"][number]
            note = f"{len(right):,} right answers" if len(right) != 1 else "1 right answer"
            yield strip(pictures, title=f"{query}: average precision {value:.3f}", note=note)

    def _various(self, order: Sequence[int], count: int) -> list[int]:
        """The first ones, of different classes as long as there are any."""
        classes, queries = self._judgements.classes, self._evaluation.queries
        seen: set[str] = set()
        first, rest = list[int](), list[int]()
        for number in order:
            name = classes.get(queries[number], queries[number])
            (rest if name in seen else first).append(number)
            seen.add(name)
        return [*first, *rest][:count]

    def _caption(self, id: str) -> str:
        name = self._judgements.classes.get(id)
        return id if name is None else f"{id} ({name})"

    def _jpeg(self, id: str) -> bytes | None:
        if id not in self._jpegs:
            try:
                self._jpegs[id] = thumbnail(self._finder.read(id))
            except ImageFinderError:
                self._jpegs[id] = None
        return self._jpegs[id]
