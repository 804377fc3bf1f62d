"""Learned from one part of what is known, compared on the other, kept only where it is better."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from imagefinder.adapt.choose import AS_IT_IS, Tried, choose
from imagefinder.adapt.evidence import Evidence
from imagefinder.adapt.read import read_evidence
from imagefinder.adapt.threshold import Operating, at_threshold, operating_point
from imagefinder.errors import UsageError
from imagefinder.evaluate.interval import Interval
from imagefinder.ingest import no_one
from imagefinder.models.description import Description
from imagefinder.models.projected import Projection, save_adapted
from imagefinder.takeover import name_problem
from imagefinder.types import Skipped, SpaceStatus

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

_E = TypeVar("_E", bound=Evidence)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided before anything is learned. `label` is the column of labels, `test` the share
    of the labelled images, or pairs, that nothing is learned from. Matching is to have this
    `precision`, or else the best F-beta."""

    label: str | None = None
    test: float = 0.3
    seed: int = 0
    precision: float | None = None
    beta: float = 0.5


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What was learned, and what it is worth on the part that nothing was learned from. `kept` says
    whether it is better by more than chance; then `space` has it, and `folder` the model.

    `train` and `test` are so many; the first are of a `kind`, as "images of 4 classes". The
    `measure` is mAP of labelled images, and AP of pairs. `chance` is the difference that labels
    dealt out at random stay below 99 times in 100. `operating` is the threshold, chosen on the
    first part, with the precision and recall that pairs of the test part have above it. `skipped`
    are those that could not be read, where images were."""

    base: str
    method: str
    tried: Sequence[Tried[Any]]
    kind: str
    measure: str
    train: int
    test: int
    seed: int
    before: Interval
    after: Interval
    difference: Interval
    chance: float
    operating: Operating
    kept: bool
    space: str | None = None
    folder: Path | None = None
    skipped: Sequence[Skipped] = ()


def adapt(
    finder: "LocalFinder",
    labels: str | os.PathLike[str] | None = None,
    *,
    plan: Plan | None = None,
    space: str | None = None,
    name: str | None = None,
    folder: Path | None = None,
    on_progress: Callable[[int, int | None], None] = no_one,
) -> Adaptation:
    """Learn a projection of a space's embeddings from labels (see `read_labels`) or from a table of
    pairs (see `read_liked`), and keep it as a space of its own, called `name`, where it makes mAP
    greater by more than its 95% interval, and than chance, on what it has not seen. The space in
    use stays in use. The model is a `folder`, whose name the space then has, by default one within
    the collection. `on_progress` gets the methods tried and their total.

    Raises UsageError, SourceError for labels that cannot be used, MissingExtraError."""
    plan = plan or Plan()
    base = base_of(finder, space)
    name = free_name(finder, folder.name if folder else name or f"{base.name}-adapted")
    evidence = read_evidence(finder, labels, plan.label, base.name)
    result, projection = learned(evidence, base.name, plan, on_progress)
    return stored(finder, result, projection, base, name, folder) if result.kept else result


def learned(
    evidence: _E, base: str, plan: Plan, on_progress: Callable[[int, int | None], None]
) -> tuple[Adaptation, Projection]:
    """The best projection, and what it is worth."""
    known, held = evidence.halves(plan.test, plan.seed)
    tried = choose(known, seed=plan.seed, on_progress=on_progress)
    best = best_of(tried)
    assert best.fit is not None  # it is only of embeddings as they are
    projection = best.fit(known, plan.seed)
    result = weighed(
        tried,
        held,
        held.projected(projection),
        plan,
        base=base,
        kind=known.kind,
        train=len(known),
        threshold=threshold(known, best, plan),
    )
    return result, projection


def best_of(tried: Sequence[Tried[_E]]) -> Tried[_E]:
    """The best of what was learned, be it better than nothing or not."""
    return next(one for one in tried if one.name != AS_IT_IS)


def weighed(
    tried: Sequence[Tried[Any]],
    before: _E,
    after: _E,
    plan: Plan,
    *,
    base: str,
    kind: str,
    train: int,
    threshold: float,
) -> Adaptation:
    """What the best is worth by the held-out part, `before` and `after` it, and whether others may
    rely on that. See decision 17."""
    best = best_of(tried)
    comparison = before.compared(after, plan.seed)
    difference = comparison.difference
    chance = float(np.percentile(before.by_chance(after, plan.seed), 99))
    return Adaptation(
        base=base,
        method=best.name,
        tried=tried,
        kind=kind,
        measure=after.measure,
        train=train,
        test=len(after),
        seed=plan.seed,
        before=comparison.before,
        after=comparison.after,
        difference=difference,
        chance=chance,
        operating=at_threshold(after.scored(plan.seed), threshold),
        kept=tried[0] is best and difference.low > 0 and difference.value > chance,
    )


def base_of(finder: "LocalFinder", space: str | None) -> SpaceStatus:
    """The space to learn from. Raises UsageError for one that cannot be learned from."""
    states = {state.name: state for state in finder.spaces()}
    name = finder.space() if space is None else space
    if name not in states:
        raise UsageError(f"{name}: there is no such space here; there is: {', '.join(states)}")
    state = states[name]
    if not state.model:
        raise UsageError(
            f"{name}: its embeddings were imported, and no model of them is here, so that new"
            " images could not be searched for; adapt another space: --space NAME"
        )
    if state.distance != "cosine":
        raise UsageError(f"{name}: it compares by {state.distance}; adaptation is of cosine spaces")
    return state


def free_name(finder: "LocalFinder", name: str) -> str:
    """Raises UsageError for one that a space has, or none can have."""
    if problem := name_problem(name, "--name"):
        raise UsageError(problem)
    if name in {state.name for state in finder.spaces()}:
        raise UsageError(
            f"{name}: there is such a space already; give another name with --name, or delete it:"
            f" imagefinder models drop {name}"
        )
    return name


def threshold(known: _E, best: Tried[_E], plan: Plan) -> float:
    """The mean of those that are chosen on each fold by what was learned from the others: what was
    learned from lies nearer together than what comes later."""
    assert best.fit is not None
    chosen = []
    for some, asked in known.folds(plan.seed):
        scored = asked.projected(best.fit(some, plan.seed)).scored(plan.seed)
        chosen.append(operating_point(scored, precision=plan.precision, beta=plan.beta).threshold)
    return float(np.mean(chosen))


def stored(
    finder: "LocalFinder",
    result: Adaptation,
    projection: Projection,
    base: SpaceStatus,
    name: str,
    folder: Path | None,
) -> Adaptation:
    """With the model in its folder, and the space filled."""
    folder = folder or vacated(finder, name)
    save_adapted(folder, described(finder, result, base), projection)
    report = finder.add_space(str(folder))
    return replace(result, space=report.space, folder=folder)


def vacated(finder: "LocalFinder", name: str) -> Path:
    """The folder of a model within the collection, without what a dropped space has left there."""
    folder = finder.models_folder / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def described(finder: "LocalFinder", result: Adaptation, base: SpaceStatus) -> Description:
    """What the model's folder is to say."""
    facts = {
        "space": base.name,
        "learned from": result.train,
        "tested on": result.test,
        "kind": result.kind,
        "seed": result.seed,
        f"{result.measure} before": result.before.value,
        f"{result.measure} after": result.after.value,
        "difference": [result.difference.low, result.difference.high],
    }
    fingerprint = finder.collection.ledger.spaces.entries()[base.name].fingerprint
    return Description(base.model, fingerprint, result.method, result.operating.threshold, facts)
