"""Learned from one part of the labels, compared on the other, kept only where it is better."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.adapt.choose import AS_IT_IS, Tried, choose, fitted, parts
from imagefinder.adapt.examples import Examples, read_examples
from imagefinder.adapt.held_out import by_chance, mean_precisions
from imagefinder.adapt.methods import Method
from imagefinder.adapt.threshold import Operating, at_threshold, operating_point
from imagefinder.errors import UsageError
from imagefinder.evaluate.interval import Interval, intervals
from imagefinder.ingest import no_one
from imagefinder.labels import read_labels
from imagefinder.labels.split import split
from imagefinder.models.description import Description
from imagefinder.models.projected import Projection, save_adapted
from imagefinder.takeover import name_problem
from imagefinder.types import SpaceStatus

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

DRAWS, CHANCE_QUERIES = 200, 200
BEFORE, AFTER, DIFFERENCE = "before", "after", "difference"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided before anything is learned. `label` is the column of labels, `test` the share
    of the labelled images that nothing is learned from. Matching is to have this `precision`, or
    else the best F-beta."""

    label: str | None = None
    test: float = 0.3
    seed: int = 0
    queries: int = 2000
    precision: float | None = None
    beta: float = 0.5


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What was learned, and what it is worth on the part that nothing was learned from. `kept` says
    whether it is better by more than chance; then `space` has it, and `folder` the model.

    `chance` is the difference that labels dealt out at random stay below 99 times in 100.
    `operating` is the threshold, chosen on the first part, with the precision and recall that pairs
    of the test part have above it."""

    base: str
    method: str
    tried: Sequence[Tried]
    train: int
    test: int
    classes: int
    seed: int
    before: Interval
    after: Interval
    difference: Interval
    chance: float
    operating: Operating
    kept: bool
    space: str | None = None
    folder: Path | None = None


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
    """Learn a projection of a space's embeddings from labels (see `read_labels`), and keep it as a
    space of its own, called `name`, where it makes mAP greater by more than its 95% interval, and
    than chance, on labels that it has not seen. The space in use stays in use. The model is a
    `folder`, whose name the space then has, by default one within the collection. `on_progress`
    gets the methods tried and their total.

    Raises UsageError, SourceError for labels that cannot be used, MissingExtraError."""
    plan = plan or Plan()
    base = base_of(finder, space)
    name = free_name(finder, folder.name if folder else name or f"{base.name}-adapted")
    examples = read_examples(finder, read_labels(labels, finder, label=plan.label), base.name)
    learned, held = halves(examples, plan)
    tried = choose(learned, seed=plan.seed, on_progress=on_progress)
    best = next(one for one in tried if one.name != AS_IT_IS)
    projection = fitted(best.fit, learned, plan.seed)
    assert projection is not None
    found = compared(held, projection, plan)
    difference = found[DIFFERENCE]
    chance = beyond_chance(held, projection, plan)
    kept = tried[0] is best and difference.low > 0 and difference.value > chance
    result = Adaptation(
        base=base.name,
        method=best.name,
        tried=tried,
        train=len(learned),
        test=len(held),
        classes=len(set(examples.classes)),
        seed=plan.seed,
        before=found[BEFORE],
        after=found[AFTER],
        difference=difference,
        chance=chance,
        operating=at_threshold(
            held, projection, threshold(learned, best.fit, plan), seed=plan.seed
        ),
        kept=kept,
    )
    return stored(finder, result, projection, base, name, folder) if kept else result


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


def halves(examples: Examples, plan: Plan) -> tuple[Examples, Examples]:
    """To learn from, and to be measured by. Raises UsageError where one has nothing to find."""
    train, test = split(
        examples.ids, examples.class_of, examples.groups, test=plan.test, seed=plan.seed
    )
    learned, held = examples.of_ids(train), examples.of_ids(test)
    if not held.judgements.queries or not learned.judgements.queries:
        raise UsageError(
            "in one of the two parts no image has another one of its class; label more images, or"
            " choose another share for the test: --test"
        )
    return learned, held


def compared(held: Examples, projection: Projection, plan: Plan) -> dict[str, Interval]:
    """mAP without and with the projection, and the difference by the same queries."""
    before = mean_precisions(held, None, queries=plan.queries, seed=plan.seed)
    after = mean_precisions(held, projection, queries=plan.queries, seed=plan.seed)
    values = {BEFORE: before, AFTER: after, DIFFERENCE: after - before}
    return intervals(values, seed=plan.seed)


def beyond_chance(held: Examples, projection: Projection, plan: Plan) -> float:
    """What the difference has to be greater than. See `by_chance`."""
    draws = by_chance(held, projection, queries=CHANCE_QUERIES, draws=DRAWS, seed=plan.seed)
    return float(np.percentile(draws, 99))


def threshold(learned: Examples, fit: Method | None, plan: Plan) -> float:
    """The mean of those that are chosen on each fold by what was learned from the others: what was
    learned from lies nearer together than what comes later."""
    chosen = [
        operating_point(
            asked,
            fitted(fit, known, plan.seed),
            precision=plan.precision,
            beta=plan.beta,
            seed=plan.seed,
        ).threshold
        for known, asked in parts(learned, plan.seed)
    ]
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
    if folder is None:
        folder = finder.models_folder / name
        shutil.rmtree(folder, ignore_errors=True)  # of a space that was dropped
    facts = {
        "space": base.name,
        "learned from": result.train,
        "tested on": result.test,
        "classes": result.classes,
        "seed": result.seed,
        "mAP before": result.before.value,
        "mAP after": result.after.value,
        "difference": [result.difference.low, result.difference.high],
    }
    fingerprint = finder.collection.ledger.spaces.entries()[base.name].fingerprint
    description = Description(
        base.model, fingerprint, result.method, result.operating.threshold, facts
    )
    save_adapted(folder, description, projection)
    report = finder.add_space(str(folder))
    return replace(result, space=report.space, folder=folder)
