"""imagefinder evaluate"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import FAILURE, app
from imagefinder.cli.evaluated import as_json, show, tell_left_out
from imagefinder.cli.opening import chosen, open_finder, table_columns
from imagefinder.cli.options import (
    CollectionOption,
    DeviceOption,
    IdColumnOption,
    JsonOption,
    LocationColumnOption,
)
from imagefinder.cli.output import counted, note, plain, show_json
from imagefinder.cli.progress import BarProgress, FetchProgress, IndexProgress
from imagefinder.cli.tracking import EXPERIMENT, ExperimentOption, TrackOption, tracked
from imagefinder.errors import SourceError, UsageError

if TYPE_CHECKING:
    from imagefinder.evaluate import Evaluation, Plan
    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements
    from imagefinder.report import Page
    from imagefinder.sources import TableColumns
    from imagefinder.tracking.runs import Run
    from imagefinder.types import FillReport, IndexReport

SHOWN = 5  # skipped images in the summary

LabelsArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[LABELS]",
        help="A folder with a directory for each class, a table with labels, or one with the"
        " columns query and relevant. Without it, labels are in the collection's metadata.",
        show_default=False,
    ),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The column of labels.",
        show_default="label, class, category, target or breed",
    ),
]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR|ORG/NAME",
        help="A model to measure, without -c; repeat it to compare several.",
        show_default=False,
    ),
]
SpacesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--space",
        metavar="NAME[,NAME]",
        help="A space to measure, several fused; repeat it to compare settings.",
        show_default="the one in use",
    ),
]
LimitsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="MEASURE=VALUE",
        help="Exit with 1 where a setting is below, as mAP=0.4; may be repeated.",
        show_default=False,
    ),
]


ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report", metavar="FILE", help="Write a page with plots, .html.", show_default=False
    ),
]


@app.command(epilog="Example:  imagefinder evaluate ~/Pictures --fail-under mAP=0.4")
def evaluate(
    labels: LabelsArgument = None,
    collection: CollectionOption = None,
    label: LabelOption = None,
    model: ModelsOption = None,
    space: SpacesOption = None,
    k: Annotated[str, typer.Option("-k", metavar="K[,K]", help="How many hits.")] = "1,5,10",
    beta: Annotated[
        float, typer.Option(help="Of F: below 1 where precision counts more than recall.")
    ] = 1.0,
    queries: Annotated[
        int, typer.Option(min=1, metavar="N", help="Search with so many images at most.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="What draws them.")] = 0,
    fail_under: LimitsOption = None,
    report: ReportOption = None,
    track: TrackOption = None,
    experiment: ExperimentOption = EXPERIMENT,
    device: DeviceOption = "auto",
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    json: JsonOption = False,
) -> None:
    """Measure how well labelled images find each other, and compare models and spaces.

    Without -c, the images of a folder or table are indexed for the measuring only."""
    from imagefinder.evaluate import Plan
    from imagefinder.evaluate import evaluate as measure
    from imagefinder.evaluate.limits import failures, parse_limit

    plan = Plan(ks=numbers(k), beta=beta, queries=queries, seed=seed)
    limits = [parse_limit(text, plan.measures) for text in fail_under or ()]
    if report is not None and not report.parent.is_dir():
        raise UsageError(f"{report}: there is no folder {report.parent}")
    columns = table_columns(id_column, location_column)
    if model and (collection is not None or labels is None):
        raise UsageError("--model is for images that are indexed now; of a collection take --space")
    if collection is not None or labels is None:
        if columns:
            raise UsageError("--id-column and --location-column are for a table without -c")
        opened = of_collection(labels, label, collection, space or [], device)
    elif space:
        raise UsageError("--space is of a collection; name it with -c, or take --model")
    else:
        opened = of_images(labels, label, model or [], columns, device)
    place = Place(labels, None if labels is not None and collection is None else chosen(collection))
    with tracked_by(track, experiment, plan, place) as run, opened as subject:
        with BarProgress("searching") as progress:
            evaluation = measure(
                subject.finder,
                subject.judgements,
                spaces=subject.spaces,
                plan=plan,
                on_progress=progress,
            )
        page = None if report is None else write_report(report, evaluation, subject)
        failed = failures(evaluation, limits)
        if json:
            show_json(as_json(evaluation, failed))
        else:
            show(evaluation)
        if run is not None:
            keep(run, evaluation, page or page_of(evaluation, subject), subject, place)
    tell_left_out(subject.judgements, evaluation)
    for name in subject.adapted:
        note(
            f"{plain(name)} is adapted: only labels that it has not learned from say how good it is"
        )
    for failure in failed:
        note(
            f"{plain(failure.setting)}: {failure.measure} is {failure.value:.3f},"
            f" under {failure.least:g}"
        )
    if failed:
        raise typer.Exit(FAILURE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the labels stand, None for the collection's metadata, and the collection that is
    measured, None where images are indexed for it."""

    labels: str | None
    collection: str | None


def tracked_by(
    track: str | None, experiment: str, plan: "Plan", place: Place
) -> "AbstractContextManager[Run | None]":
    """A run in MLflow, where one is asked for."""
    parameters: dict[str, object] = {}
    if track is not None:
        from imagefinder.tracking.measured import decided

        parameters = decided(plan, labels=place.labels, collection=place.collection)
    return tracked(track, experiment, "evaluate", parameters)


def keep(
    run: "Run", evaluation: "Evaluation", page: "Page", subject: "Subject", place: Place
) -> None:
    """Log an evaluation to its run."""
    from imagefinder.tracking.measured import log_evaluation

    log_evaluation(
        run,
        evaluation,
        page,
        subject.judgements,
        subject.finder,
        labels=place.labels,
        collection=place.collection,
    )


def write_report(file: Path, evaluation: "Evaluation", subject: "Subject") -> "Page":
    """The page of an evaluation, in a file."""
    page = page_of(evaluation, subject)
    page.write(file)
    note(f"the report is {plain(file)}")
    return page


def page_of(evaluation: "Evaluation", subject: "Subject") -> "Page":
    """With its map and pictures, which take a moment."""
    from imagefinder.evaluate.page import evaluation_page

    names = ", ".join(setting.name for setting in evaluation.settings)
    title = f"Evaluation of {names}"
    return evaluation_page(evaluation, subject.judgements, subject.finder, title=title)


def numbers(text: str) -> list[int]:
    """Those of `1,5,10`, in order. Raises UsageError."""
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UsageError(f"-k {text}: it is a number of hits, or several, as 1,5,10") from None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a collection with its right answers, and the settings' names. Those that
    are `adapted` may have learned these very answers."""

    finder: "ImageFinder"
    judgements: "Judgements"
    spaces: Sequence[str]
    adapted: Sequence[str] = ()


@contextmanager
def of_collection(
    labels: str | None,
    label: str | None,
    collection: str | None,
    spaces: Sequence[str],
    device: str,
) -> Iterator[Subject]:
    """A collection as it is."""
    from imagefinder.labels import read_labels
    from imagefinder.models.description import has_learned

    with open_finder(collection, device=device) as finder:
        known = {one.name: one for one in finder.spaces()}
        used = [one.name for one in known.values() if one.in_use]
        named = [name.strip() for space in spaces for name in space.split(",")]
        for name in named:
            if name not in known:
                there = ", ".join(sorted(known)) or "none"
                raise UsageError(f"{name}: there is no such space here; there is: {there}")
        adapted = [name for name in named or used if has_learned(Path(known[name].model))]
        yield Subject(finder, read_labels(labels, finder, label=label), spaces, adapted)


@contextmanager
def of_images(
    source: str,
    label: str | None,
    models: Sequence[str],
    columns: "TableColumns | None",
    device: str,
) -> Iterator[Subject]:
    """The images of a folder or table, in a collection for the measuring only, by each model."""
    from imagefinder.evaluate.temporary import temporary
    from imagefinder.labels.reading import (
        NO_CLASSES,
        from_folders,
        from_metadata,
        is_flat,
        is_ground_truth,
        is_table,
    )

    if is_ground_truth(source):
        raise UsageError(f"{source}: a ground truth is about a collection; name it with -c")
    if is_flat(source):
        raise SourceError(f"{source}: {NO_CLASSES}")
    models = list(dict.fromkeys(models))
    first = models[0] if models else None
    with temporary(first, device=device, on_fetch=FetchProgress()) as finder:
        with IndexProgress() as progress:
            report = finder.index(source, columns=columns, on_progress=progress.update)
        tell_skipped(report)
        if not len(finder):
            raise SourceError(f"{source}: none of its images could be read")
        spaces = [finder.status().model]
        # known before the other models embed anything
        judgements = from_metadata(finder, label) if is_table(source) else from_folders(finder)
        for model in models[1:]:
            with BarProgress("embedding") as embedding:
                filled = finder.add_space(model, on_progress=embedding)
            spaces.append(filled.space)
            tell_skipped(filled)
        yield Subject(finder, judgements, spaces)


def tell_skipped(report: "IndexReport | FillReport") -> None:
    """How many images could not be read or embedded, and the first of them with the reasons."""
    if report.skipped:
        rest = "counts as if it were" if report.skipped == 1 else "count as if they were"
        note(f"{counted(report.skipped, 'image')} skipped, which {rest} not there")
    for problem in report.problems[:SHOWN]:
        note(f"  skipped {plain(problem.uri)}: {plain(problem.reason)}")
