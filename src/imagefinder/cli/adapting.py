"""imagefinder adapt"""

import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import FAILURE, app
from imagefinder.cli.evaluating import LabelOption
from imagefinder.cli.opening import chosen, is_registered, is_service, open_finder
from imagefinder.cli.options import CollectionOption, DeviceOption, JsonOption
from imagefinder.cli.output import counted, note, plain, show_json, show_rows
from imagefinder.cli.progress import BarProgress
from imagefinder.cli.tracking import EXPERIMENT, ExperimentOption, TrackOption, tracked
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from imagefinder.adapt import Adaptation, Plan
    from imagefinder.evaluate.interval import Interval
    from imagefinder.finder import ImageFinder
    from imagefinder.tracking.runs import Run

SHOWN = 5  # methods

EvidenceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[LABELS]",
        help="A folder with a directory for each class, a table with labels, or one of pairs with"
        " the columns query, id and liked. Without it, labels are in the collection's metadata.",
        show_default=False,
    ),
]


@app.command(epilog="Example:  imagefinder adapt labels.csv -c shop")
def adapt(
    labels: EvidenceArgument = None,
    collection: CollectionOption = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The space to learn from.", show_default="the one in use"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The new space.", show_default="SPACE-adapted"),
    ] = None,
    label: LabelOption = None,
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the labels, to be measured by.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="What divides them.")] = 0,
    precision: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Of matches above the threshold, how many are to be right.",
            show_default="the threshold of the best F-beta",
        ),
    ] = None,
    beta: Annotated[
        float,
        typer.Option(min=0.01, help="Of that: below 1 where precision counts more than recall."),
    ] = 0.5,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="The model's folder, after which the space is called.",
            show_default="in the collection",
        ),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune",
            help="Train the whole network, a model of transformers, instead of a projection.",
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="With --fine-tune: so many at most.", show_default="10"
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="RATE", help="With --fine-tune.", show_default="1e-5"
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=4, metavar="N", help="With --fine-tune: images in a step.", show_default="64"
        ),
    ] = None,
    track: TrackOption = None,
    experiment: ExperimentOption = EXPERIMENT,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Learn from labels, or from liked pairs, how to see images: a space where it is better.

    Only what is better on labels that nothing was learned from is kept, by more than chance; else
    the exit status is 1, and nothing has changed."""
    where = chosen(collection)
    if is_service(where) or is_registered(where):
        from imagefinder.home import not_here

        raise not_here(where)
    from imagefinder.adapt import Plan
    from imagefinder.adapt import adapt as project

    if name and folder:
        raise UsageError("--name or --output: the space is called as the model's folder is")
    plan = Plan(label=label, test=test, seed=seed, precision=precision, beta=beta)
    tuning = {"epochs": epochs, "learning_rate": learning_rate, "batch": batch}
    learn = tuned_by(tuning, device) if fine_tune else project
    if not fine_tune and (given := [option for option in tuning if tuning[option] is not None]):
        options = ", ".join(f"--{option.replace('_', '-')}" for option in given)
        raise UsageError(f"{options}: only a network is trained like that; add --fine-tune")
    with (
        tracked_by(track, experiment, plan, labels, where, tuning) as run,
        open_finder(collection, device=device) as finder,
    ):
        with BarProgress("training" if fine_tune else "trying methods") as progress:
            result = learn(
                finder,  # type: ignore[arg-type]  # no service: it is a `LocalFinder`
                labels,
                plan=plan,
                space=space,
                name=name,
                folder=folder,
                on_progress=progress,
            )
        if json:
            show_json(as_json(result))
        else:
            show(result, collection)
        keep(run, result, finder, labels, label, where)
    if not result.kept:
        raise typer.Exit(FAILURE)


def tuned_by(tuning: Mapping[str, int | float | None], device: str) -> "Callable[..., Adaptation]":
    """Learning of a whole network, with the options that were given."""
    from imagefinder.adapt import Tuning, fine_tune

    given = {option: value for option, value in tuning.items() if value is not None}
    return partial(fine_tune, tuning=Tuning(**given, device=device))  # type: ignore[arg-type]


def tracked_by(
    track: str | None,
    experiment: str,
    plan: "Plan",
    labels: str | None,
    where: str,
    tuning: Mapping[str, object],
) -> "AbstractContextManager[Run | None]":
    """A run in MLflow, where one is asked for."""
    parameters: dict[str, object] = {}
    if track is not None:
        from imagefinder.tracking.adapted import planned

        parameters = {**planned(plan, labels=labels, collection=where), **tuning}
    return tracked(track, experiment, "adapt", parameters)


def keep(
    run: "Run | None",
    result: "Adaptation",
    finder: "ImageFinder",
    labels: str | None,
    label: str | None,
    where: str,
) -> None:
    """Log an adaptation to its run, if there is one."""
    if run is not None:
        from imagefinder.tracking.adapted import log_adaptation
        from imagefinder.tracking.digest import learned_from

        log_adaptation(run, result, learned_from(finder, labels, label, where))


def show(result: "Adaptation", collection: str | None) -> None:
    """What was tried, what came of it, and what to do with it."""
    note(
        f"learned from {result.train} {result.kind},"
        f" tested on {result.test} others (seed {result.seed})"
    )
    if result.skipped:
        note(f"{counted(len(result.skipped), 'image')} skipped, which nothing was learned from")
    for problem in result.skipped[:SHOWN]:
        note(f"  skipped {plain(problem.id)}: {plain(problem.reason)}")
    best = [(one.name, f"{one.mean:.3f}") for one in result.tried[:SHOWN]]
    show_rows(("method", result.measure), best, right=result.measure)
    difference = result.difference
    print(
        f"{result.measure} on the test part: {result.before.value:.3f} as it is,"
        f" {result.after.value:.3f} adapted: {difference.value:+.3f}"
        f" (95%: {difference.low:+.3f} to {difference.high:+.3f})"
    )
    if not result.kept:
        note(f"not kept: {why_not(result)}; nothing has changed")
        return
    matching = result.operating
    print(
        f"the same thing from a score of {matching.threshold:.3f}: precision"
        f" {matching.precision:.3f}, recall {matching.recall:.3f} among pairs of the test part"
    )
    of = "" if collection is None else f" -c {shlex.quote(collection)}"
    note(f"kept as the space {plain(result.space)}; the model is {plain(result.folder)}")
    note(f"  to search by it: --space {plain(result.space)}")
    note(f"  for such matches only: --min-score {matching.threshold:.3f}")
    note(f"  from now on: imagefinder models use {plain(result.space)}{of}")
    note(f"  to be rid of it: imagefinder models drop {plain(result.space)}{of}")


def why_not(result: "Adaptation") -> str:
    """In words."""
    if result.tried[0].name != result.method:
        return "no method was better than the embeddings as they are"
    if result.difference.low <= 0:
        return "the difference is not greater than its interval"
    return f"labels dealt out at random may make a difference of {result.chance:+.3f}"


def as_json(result: "Adaptation") -> dict[str, object]:
    """For programs."""

    def interval(one: "Interval") -> dict[str, float]:
        return {"value": one.value, "low": one.low, "high": one.high}

    return {
        "base": result.base,
        "method": result.method,
        "tried": {one.name: one.mean for one in result.tried},
        "train": result.train,
        "test": result.test,
        "kind": result.kind,
        "measure": result.measure,
        "seed": result.seed,
        "before": interval(result.before),
        "after": interval(result.after),
        "difference": interval(result.difference),
        "chance": result.chance,
        "operating": asdict(result.operating),
        "kept": result.kept,
        "skipped": [asdict(one) for one in result.skipped],
        "space": result.space,
        "folder": None if result.folder is None else str(result.folder),
    }
