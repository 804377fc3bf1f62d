"""How good rankings are, query by query."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.ahead import chunks
from imagefinder.errors import MissingExtraError
from imagefinder.evaluate.rank import Ranking

if TYPE_CHECKING:
    from imagefinder.labels import Judgements

Values: TypeAlias = NDArray[np.float64]  # (queries,)

AT_ONCE = 256  # queries whose right answers are in memory

MEAN_PRECISION, RECIPROCAL_RANK = "mAP", "MRR"


def names(ks: Sequence[int], beta: float) -> list[str]:
    """What the measures are called, in the order of tables: mAP, MRR, P@1 and so on."""
    kinds = ("P", "R", "nDCG", f"F{beta:g}")
    return [MEAN_PRECISION, RECIPROCAL_RANK, *(f"{kind}@{k}" for kind in kinds for k in ks)]


def measure(
    judgements: "Judgements",
    queries: Sequence[str],
    rankings: Sequence[Ranking | None],
    *,
    ks: Sequence[int],
    beta: float,
) -> dict[str, Values]:
    """Each measure's value for each query, 0 where there is no ranking.

    mAP looks at the whole ranking and divides by all right answers, also those that it has not; P@k
    divides by k, also where fewer were found. F is of P@k and R@k: (1 + b^2) P R / (b^2 P + R), as
    van Rijsbergen defines it (trec_eval's set_F takes b^2 for b). nDCG takes the grades as gains
    and the logarithm of the rank as discount. Raises MissingExtraError.
    """
    values = {name: np.zeros(len(queries)) for name in names(ks, beta)}
    done = 0
    for batch in chunks(iter(zip(queries, rankings, strict=True)), AT_ONCE):
        for name, number, value in measured(judgements, batch, ks):
            values[name][done + number] = value
        done += len(batch)
    for k in ks:
        values[f"F{beta:g}@{k}"] = f_measure(values[f"P@{k}"], values[f"R@{k}"], beta)
    return values


def measured(
    judgements: "Judgements",
    batch: Sequence[tuple[str, Ranking | None]],
    ks: Sequence[int],
) -> list[tuple[str, int, float]]:
    """The measure, the query's place in the batch, the value.

    Ranks go there as scores: of equal scores trec_eval takes the greatest id first, and a search
    the least."""
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("evaluation", "evaluate") from error
    known: dict[Any, str] = {ir_measures.AP: MEAN_PRECISION, ir_measures.RR: RECIPROCAL_RANK}
    for k in ks:
        known[ir_measures.P @ k] = f"P@{k}"
        known[ir_measures.R @ k] = f"R@{k}"
        known[ir_measures.nDCG @ k] = f"nDCG@{k}"
    right = {str(n): dict(judgements.relevant(query)) for n, (query, _) in enumerate(batch)}
    run = {
        str(n): {id: float(-rank) for rank, id in enumerate(ranking.ids)}
        for n, (_, ranking) in enumerate(batch)
        if ranking is not None
    }
    found = ir_measures.iter_calc(list(known), right, run)
    return [(known[one.measure], int(one.query_id), float(one.value)) for one in found]


def f_measure(precision: Values, recall: Values, beta: float) -> Values:
    """0 where both are."""
    below = beta**2 * precision + recall
    values: Values = (1 + beta**2) * precision * recall / np.where(below > 0, below, 1)
    return values
