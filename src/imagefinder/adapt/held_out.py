"""How good rankings are among examples that nothing was learned from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imagefinder.adapt.examples import Examples
from imagefinder.evaluate.measures import MEAN_PRECISION, measure
from imagefinder.evaluate.rank import Ranking
from imagefinder.evaluate.run import drawn
from imagefinder.models.projected import Projection
from imagefinder.same import unit

DEPTH = 1000  # images of a ranking


def mean_precisions(
    examples: Examples, projection: Projection | None, *, queries: int, seed: int
) -> NDArray[np.float64]:
    """(queries,): the average precision of each query, every example being one and searched for
    among the others; of more than `queries` as many are drawn, the same for the same seed. None is
    the embeddings as they are."""
    judgements = examples.judgements
    asked = drawn(judgements.queries, queries, seed)
    rankings = ranked(examples, projection, asked)
    return measure(judgements, asked, rankings, ks=(), beta=1)[MEAN_PRECISION]


def by_chance(
    examples: Examples, projection: Projection, *, queries: int, draws: int, seed: int
) -> NDArray[np.float64]:
    """(draws,): by how much mAP would be greater with the projection, were the labels dealt out to
    the images at random. Queries are not independent of each other: they are searched for among
    the same few images, which the bootstrap over queries does not see, and this does."""
    numbers = np.random.default_rng(seed)
    asked = drawn(examples.ids, queries, seed)
    before, after = (ranked(examples, each, asked) for each in (None, projection))
    differences = np.zeros(draws)
    for draw in range(draws):
        dealt = [examples.classes[place] for place in numbers.permutation(len(examples))]
        judgements = replace(examples, classes=dealt).judgements
        # a query that is alone with its label counts 0 both times
        known = set(judgements.queries)
        kept = [number for number, id in enumerate(asked) if id in known]
        names = [asked[number] for number in kept]
        low, high = (
            measure(judgements, names, [each[number] for number in kept], ks=(), beta=1)
            for each in (before, after)
        )
        if names:
            differences[draw] = (high[MEAN_PRECISION] - low[MEAN_PRECISION]).mean()
    return differences


def ranked(
    examples: Examples, projection: Projection | None, queries: Sequence[str]
) -> list[Ranking]:
    """The ranking of each query among the other examples."""
    rows = examples.rows if projection is None else unit(projection(examples.rows))
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
