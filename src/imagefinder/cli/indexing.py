"""imagefinder index"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Timer
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import FAILURE, INTERRUPTED, app
from imagefinder.cli.opening import (
    chosen,
    distance_of,
    is_service,
    open_finder,
    table_columns,
)
from imagefinder.cli.options import (
    CollectionOption,
    DeviceOption,
    DistanceOption,
    IdColumnOption,
    JsonOption,
    LocationColumnOption,
    MegapixelsOption,
    ModelOption,
    RayOption,
    StrictOption,
)
from imagefinder.cli.output import console, is_person, note, plain, show_json
from imagefinder.cli.progress import IndexProgress
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from imagefinder.finder import ImageFinder
    from imagefinder.types import FillReport, IndexReport

SHOWN = 10  # skipped images in the summary

SourceArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Folders, images, tables (CSV, TSV, JSON lines, Parquet), archives (.tar), URLs.",
        show_default=False,
    ),
]
PruneOption = Annotated[
    str,
    typer.Option(
        "--prune",
        metavar="no|yes|force",
        help="Remove images that the source no longer holds; force: even more than half.",
    ),
]


@app.command(epilog="Example:  imagefinder index ~/Pictures --exclude 'screenshots/**' -c photos")
def index(
    sources: SourceArgument,
    prune: PruneOption = "no",
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only such paths, e.g. '2019/**'.", show_default=False),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="No such paths, e.g. '*.gif'.", show_default=False),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Only so many, at random.", show_default=False)
    ] = None,
    model: ModelOption = None,
    distance: DistanceOption = None,
    device: DeviceOption = "auto",
    strict: StrictOption = False,
    retry_skipped: Annotated[
        bool, typer.Option("--retry-skipped", help="Try images again that were skipped before.")
    ] = False,
    id_prefix: Annotated[
        str, typer.Option(help="Put this before every id.", metavar="TEXT", show_default=False)
    ] = "",
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    max_megapixels: MegapixelsOption = None,
    ray: RayOption = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the collection up to date with folders, files, tables or URLs."""
    if prune not in {"no", "yes", "force"}:
        raise UsageError(f"--prune={prune}: it is no, yes or force")
    compared = distance_of(distance)
    finder = open_finder(collection, model=model, max_megapixels=max_megapixels, device=device)
    with finder, asked_to_stop() as stop:
        with IndexProgress() as progress:
            report = finder.index(
                *sources,
                prune="force" if prune == "force" else prune == "yes",
                include=include or (),
                exclude=exclude or (),
                sample=sample,
                columns=table_columns(id_column, location_column),
                id_prefix=id_prefix,
                retry_skipped=retry_skipped,
                ray=ray,
                distance=compared,
                stop=stop,
                on_progress=progress.update,
            )
        if json:
            show_json(report.counts())
        else:
            summarise(report, kept=not is_service(chosen(collection)))
        sys.stdout.flush()  # an interruption of what comes now must not cost the summary
        wait_for_optimizer(finder)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    nothing = not any((report.added, report.updated, report.unchanged, report.renamed))
    if report.skipped and (strict or nothing):
        raise typer.Exit(FAILURE)


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """Set by the first Ctrl-C, so that what is under way is kept; the second one ends at once."""
    stop = Event()

    def on_interrupt(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, at_once)
        note("finishing what is under way; Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def at_once(number: int, frame: "FrameType | None") -> None:
    """What is under way is given a moment to let go: an upload over a slow line takes a minute."""
    leaving = Timer(1.0, leave)
    leaving.daemon = True
    leaving.start()
    signal.default_int_handler(number, frame)


def leave() -> None:
    """Ends the process: like every crash, it loses nothing that was acknowledged."""
    if is_person(sys.stderr):
        console(stderr=True).show_cursor()
    note("stopped")
    os._exit(INTERRUPTED)


def wait_for_optimizer(finder: "ImageFinder") -> None:
    """Building the search index is part of indexing, and takes a while for large collections."""
    if finder.optimizing:
        note("building the search index")


def summarise(report: "IndexReport", *, kept: bool) -> None:
    """The counts in words, and the first of the skipped images with their reasons. `kept`: the
    collection remembers them all; a service is not told of files that it does not get."""
    counts = ", ".join(f"{count} {name}" for name, count in report.counts().items() if count)
    print(f"{'interrupted: ' if report.interrupted else ''}{counts or 'nothing to do'}")
    for other in report.spaces:
        summarise_space(other)
    for problem in report.problems[:SHOWN]:
        note(f"  skipped {plain(problem.uri)}: {plain(problem.reason)}")
    if (more := report.skipped - min(SHOWN, len(report.problems))) and kept:
        note("  all skipped images: imagefinder skipped; to try them again: --retry-skipped")
    elif more:
        note(f"  and {more} more; the same command tries all of them again")
    if report.interrupted:
        note("  the same command goes on where this one stopped")


def summarise_space(report: "FillReport") -> None:
    """What another space got, and the first of what it did not."""
    skipped = f", {report.skipped} skipped" if report.skipped else ""
    note(f"  {report.space}: {report.added} embedded{skipped}")
    for problem in report.problems[:SHOWN]:
        note(f"    skipped {plain(problem.id)}: {plain(problem.reason)}")
