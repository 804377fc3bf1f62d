"""How good rankings are among labelled images that nothing was learned from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt.evidence import Comparison
from imagefinder.evaluate.interval import intervals
from imagefinder.evaluate.measures import MEAN_PRECISION, measure
from imagefinder.evaluate.rank import Ranking
from imagefinder.evaluate.run import drawn

if TYPE_CHECKING:
    from imagefinder.adapt.examples import Examples

DEPTH = 1000  # images of a ranking
DRAWS = 200


def mean_precisions(examples: "Examples", *, queries: int, seed: int) -> NDArray[np.float64]:
    """(queries,): the average precision of each query, every example being one and searched for
    among the others; of more than `queries` as many are drawn, the same for the same seed."""
    judgements = examples.judgements
    asked = drawn(judgements.queries, queries, seed)
    return measure(judgements, asked, ranked(examples, asked), ks=(), beta=1)[MEAN_PRECISION]


def compared(before: "Examples", after: "Examples", *, queries: int, seed: int) -> Comparison:
    """mAP by the embeddings of both, and the difference query by query."""
    low, high = (mean_precisions(each, queries=queries, seed=seed) for each in (before, after))
    values = {"before": low, "after": high, "difference": high - low}
    return Comparison(**intervals(values, seed=seed))


def by_chance(
    before: "Examples", after: "Examples", *, queries: int, seed: int, draws: int = DRAWS
) -> NDArray[np.float64]:
    """(draws,): by how much mAP would be greater after, were the labels dealt out to the images at
    random. Queries are not independent of each other: they are searched for among the same few
    images, which the bootstrap over queries does not see, and this does."""
    numbers = np.random.default_rng(seed)
    asked = drawn(before.ids, queries, seed)
    rankings = [ranked(each, asked) for each in (before, after)]
    differences = np.zeros(draws)
    for draw in range(draws):
        dealt = [before.classes[place] for place in numbers.permutation(len(before))]
        judgements = replace(before, classes=dealt).judgements
        # a query that is alone with its label counts 0 both times
        known = set(judgements.queries)
        kept = [number for number, id in enumerate(asked) if id in known]
        names = [asked[number] for number in kept]
        low, high = (
            measure(judgements, names, [each[number] for number in kept], ks=(), beta=1)
            for each in rankings
        )
        if names:
            differences[draw] = (high[MEAN_PRECISION] - low[MEAN_PRECISION]).mean()
    return differences


def ranked(examples: "Examples", queries: Sequence[str]) -> list[Ranking]:
    """The ranking of each query among the other examples."""
    rows = examples.rows
    place = {id: number for number, id in enumerate(examples.ids)}
    judgements = examples.judgements
    rankings = []
    for id in queries:
        scores = rows @ rows[place[id]]
        copies = judgements.copies(id)
        # the ids are in order, so that a stable sort takes the first of equal scores
        best = np.argsort(-scores, kind="stable")[: DEPTH + len(copies)]
        kept = [number for number in best.tolist() if examples.ids[number] not in copies][:DEPTH]
        rankings.append(Ranking(tuple(examples.ids[number] for number in kept), scores[kept]))
    return rankings
