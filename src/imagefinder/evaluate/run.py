"""Settings x measures: what a collection's searches are worth."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.errors import SourceError, UsageError
from imagefinder.evaluate import measures
from imagefinder.evaluate.interval import Interval, intervals
from imagefinder.evaluate.measures import Values
from imagefinder.evaluate.rank import Ranker, Ranking

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements

MOST = 10_000  # images of a ranking; of fused ones each space gives four times as many


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure. Precision, recall, nDCG and F (of `beta`) are of the first k for each of
    `ks`. Of more than `queries` so many are drawn by the `seed`, which also is that of the
    intervals. Rankings end after `depth` images. Raises UsageError."""

    ks: Sequence[int] = (1, 5, 10)
    beta: float = 1.0
    queries: int = 2000
    seed: int = 0
    depth: int = 1000

    def __post_init__(self) -> None:
        if not self.ks or min(self.ks) < 1:
            raise UsageError(f"k is {', '.join(map(str, self.ks)) or 'missing'}; it is at least 1")
        if not 0 < self.beta < math.inf:
            raise UsageError(f"beta is {self.beta:g}; it is above 0")
        if not max(self.ks) <= self.depth <= MOST:
            raise UsageError(f"the depth is {self.depth}; it is from k, {max(self.ks)}, to {MOST}")
        if self.queries < 1 or self.seed < 0:
            raise UsageError("at least one query is needed, and a seed that is not negative")

    @property
    def measures(self) -> list[str]:
        """What is measured, as tables call it."""
        return measures.names(self.ks, self.beta)


USUAL = Plan()


@dataclass(frozen=True, slots=True)
class ClassMeans:
    """The means over the queries of one class."""

    queries: int
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one setting is worth. `values` and `rankings` are of each query, in order; a ranking is
    None where the space does not have the query, and counts as one that has found nothing."""

    name: str
    measures: Mapping[str, Interval]
    per_class: Mapping[str, ClassMeans]
    values: Mapping[str, Values] = field(repr=False)
    rankings: Sequence[Ranking | None] = field(repr=False)

    @property
    def missing(self) -> int:
        """How many queries the space does not have."""
        return sum(ranking is None for ranking in self.rankings)


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the setting `of` exceeds the setting `to` in a measure, query by query."""

    measure: str
    of: str
    to: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Settings compared by the same queries. `images` could be found, of so many `classes` (0 with
    a ground truth); `differences` are to the first setting."""

    queries: Sequence[str]
    images: int
    classes: int
    plan: Plan
    settings: Sequence[Measured]
    differences: Sequence[Difference]


def evaluate(
    finder: "ImageFinder",
    judgements: "Judgements",
    *,
    spaces: Sequence[str] = (),
    plan: Plan = USUAL,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Search with every judged image for the others, and measure how many of the right answers come
    first.

    Each of `spaces` is a setting, `a,b` one where the rankings of two are fused; without any it is
    the space in use. Searches are exact, and neither the query nor its copies count. `on_progress`
    gets the searches done and their total.

    Raises SourceError where no query has a right answer, UsageError, MissingExtraError.
    """
    asked = sample(judgements.queries, plan.queries, plan.seed)
    names = list(dict.fromkeys(spaces)) or [finder.status().model]
    settings = []
    for number, name in enumerate(names):

        def tell(count: int, before: int = number * len(asked)) -> None:
            if on_progress is not None:
                on_progress(before + count, len(names) * len(asked))

        rankings = Ranker(finder, judgements, name, plan.depth).rank(asked, tell)
        settings.append(measured(name, judgements, asked, rankings, plan))
    return Evaluation(
        queries=asked,
        images=len(judgements),
        classes=len(set(judgements.classes.values())),
        plan=plan,
        settings=settings,
        differences=differences(settings, plan.seed),
    )


def measured(
    name: str,
    judgements: "Judgements",
    queries: Sequence[str],
    rankings: Sequence[Ranking | None],
    plan: Plan,
) -> Measured:
    """What the rankings of one setting are worth."""
    values = measures.measure(judgements, queries, rankings, ks=plan.ks, beta=plan.beta)
    means = intervals(values, seed=plan.seed)
    return Measured(name, means, per_class(judgements, queries, values), values, rankings)


def sample(queries: Sequence[str], count: int, seed: int) -> list[str]:
    """So many of them at most, in their order. Raises SourceError where there is none."""
    if not queries:
        raise SourceError(
            "no image has a right answer: no other one has its label, but for copies of it"
        )
    return drawn(queries, count, seed)


def drawn(ids: Sequence[str], count: int, seed: int) -> list[str]:
    """So many of the ids at random, in their order, or all."""
    if len(ids) <= count:
        return list(ids)
    chosen = np.random.default_rng(seed).choice(len(ids), count, replace=False)
    return [ids[number] for number in np.sort(chosen)]


def per_class(
    judgements: "Judgements", queries: Sequence[str], values: Mapping[str, Values]
) -> dict[str, ClassMeans]:
    """The means for each class, in the order of their names; none for a ground truth."""
    if not judgements.classes:
        return {}
    classes = np.array([judgements.classes[query] for query in queries])
    found = {}
    for name in sorted(set(classes.tolist())):
        own = classes == name
        means = {measure: float(each[own].mean()) for measure, each in values.items()}
        found[name] = ClassMeans(int(own.sum()), means)
    return found


def differences(settings: Sequence[Measured], seed: int) -> list[Difference]:
    """Of each further setting to the first, of the same draws as the settings' own intervals."""
    first = settings[0]
    return [
        Difference(measure, setting.name, first.name, interval)
        for setting in settings[1:]
        for measure, interval in intervals(
            {name: setting.values[name] - first.values[name] for name in first.values}, seed=seed
        ).items()
    ]
