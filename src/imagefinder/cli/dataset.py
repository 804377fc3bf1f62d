"""imagefinder dataset report, clean, split and export"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.datasets import (
    as_json,
    summarise,
    tell_cleaned,
    tell_dropped,
    tell_skipped,
)
from imagefinder.cli.opening import limits_of, table_columns
from imagefinder.cli.options import (
    DeviceOption,
    IdColumnOption,
    JsonOption,
    LocationColumnOption,
    MegapixelsOption,
)
from imagefinder.cli.output import counted, note, plain, show_json
from imagefinder.cli.progress import BarProgress
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from imagefinder.protocols import Embedder

dataset = typer.Typer(
    name="dataset",
    help="Look at a data set, clean its table, split it, export it.",
    no_args_is_help=True,
)
app.add_typer(dataset)

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder, a table, an archive or a list of URLs.",
        show_default=False,
    ),
]
TableArgument = Annotated[
    Path,
    typer.Argument(metavar="TABLE", help="CSV, TSV, JSON (lines), Parquet.", show_default=False),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The column of labels.",
        show_default="label, class, category, target or breed, else the directory",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, metavar="N", help="What draws them.")]


@dataset.command(epilog="Example:  imagefinder dataset report ~/Pictures --output pictures.html")
def report(
    source: SourceArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The report, in HTML.", show_default=False
        ),
    ] = None,
    label: LabelOption = None,
    map: Annotated[
        bool, typer.Option("--map/--no-map", help="With a map, by the built-in model.")
    ] = True,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    max_megapixels: MegapixelsOption = None,
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    json: JsonOption = False,
) -> None:
    """Counts, sizes, formats, copies, colours, a map, and what cannot be read.

    Without --output only the counts are printed."""
    from imagefinder.dataset import describe
    from imagefinder.sources import open_source

    drawn = output is not None
    if output is not None:
        check_report(output)
    with BarProgress("reading") as progress:
        found = describe(
            open_source(source, columns=table_columns(id_column, location_column)),
            label=label,
            embedder=embedder(device) if map and drawn else None,
            limits=limits_of(max_megapixels),
            seed=seed,
            on_progress=progress,
        )
    if output is not None:
        from imagefinder.dataset.page import page_of

        page_of(found).write(output)
    if json:
        show_json(as_json(found))
    else:
        summarise(found)
        if output is not None:
            note(f"  the report: {plain(output)}")


@dataset.command(epilog="Example:  imagefinder dataset clean images.csv --output clean.csv")
def clean(
    table: TableArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The rows that stay.", show_default=False
        ),
    ],
    check_links: Annotated[
        bool, typer.Option("--check-links", help="Fetch what is at the URLs, leave out dead ones.")
    ] = False,
    by_content: Annotated[
        bool, typer.Option("--by-content", help="Read all images, leave out the same bytes.")
    ] = False,
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    json: JsonOption = False,
) -> None:
    """Copy a table without copies, malformed rows, missing files and dead links.

    What is left out is listed in *.dropped.csv beside it."""
    from imagefinder.dataset import clean

    with BarProgress("reading rows") as progress:
        cleaned = clean(
            existing(table),
            output,
            columns=table_columns(id_column, location_column),
            check_links=check_links,
            by_content=by_content,
            on_progress=progress,
        )
    if json:
        show_json(
            {
                "rows": cleaned.rows,
                "kept": cleaned.kept,
                "dropped": cleaned.counts,
                "output": str(cleaned.output),
                "listed": str(cleaned.listed),
            }
        )
        return
    tell_cleaned(cleaned)


@dataset.command(
    epilog="Example:  imagefinder dataset split images.csv --output parts/ --test 0.2 --seed 0"
)
def split(
    table: TableArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="For train.* and test.*.", show_default=False
        ),
    ],
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="The test part of each class.")
    ] = 0.2,
    seed: SeedOption = 0,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="By this column instead; the test part is what has the value test, or VALUE.",
            show_default=False,
        ),
    ] = None,
    label: LabelOption = None,
    looks: Annotated[
        bool,
        typer.Option(
            "--looks/--no-looks",
            help="Keep together also what looks the same to the built-in model.",
        ),
    ] = True,
    device: DeviceOption = "auto",
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    json: JsonOption = False,
) -> None:
    """Two tables of one, to learn from and to be measured by, without copies across them."""
    from imagefinder.dataset import SplitPlan, split_table

    column, _, value = (by or "").partition("=")
    with BarProgress("reading") as progress:
        parts = split_table(
            existing(table),
            output,
            plan=SplitPlan(test, seed, column or None, [value or "test"], label),
            columns=table_columns(id_column, location_column),
            embedder=embedder(device) if looks else None,
            on_progress=progress,
        )
    if json:
        show_json(
            {
                "train": parts.trained,
                "test": parts.tested,
                "groups": parts.groups,
                "straddling": parts.straddling,
                "dropped": len(parts.dropped),
                "files": [str(parts.train), str(parts.test)],
            }
        )
        return
    print(f"{counted(parts.trained, 'row')} in {plain(parts.train)}")
    print(f"{counted(parts.tested, 'row')} in {plain(parts.test)}")
    if parts.groups:
        note(f"  {counted(parts.groups, 'group')} of copies")
    if parts.straddling:
        note(f"  {counted(parts.straddling, 'row')} of the test with a copy in train: left out")
    tell_dropped(parts.dropped)


@dataset.command(epilog="Example:  imagefinder dataset export ~/Pictures out/")
def export(
    source: SourceArgument,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)
    ],
    label: LabelOption = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The column that says train, validation or test.",
            show_default=False,
        ),
    ] = None,
    max_megapixels: MegapixelsOption = None,
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the images into folders that Hugging Face datasets reads, with metadata.jsonl."""
    from imagefinder.dataset import export_imagefolder
    from imagefinder.sources import open_source

    with BarProgress("copying") as progress:
        exported = export_imagefolder(
            open_source(source, columns=table_columns(id_column, location_column)),
            directory,
            label=label,
            split=split,
            limits=limits_of(max_megapixels),
            on_progress=progress,
        )
    if json:
        show_json(
            {
                "images": exported.images,
                "splits": exported.splits,
                "classes": exported.classes,
                "skipped": [
                    {"id": one.id, "uri": one.uri, "reason": one.reason} for one in exported.skipped
                ],
            }
        )
        return
    parts = ", ".join(f"{count:,} in {part}" for part, count in sorted(exported.splits.items()))
    print(f"{counted(exported.images, 'image')}: {parts}")
    if exported.classes:
        note(f"  {counted(len(exported.classes), 'class', 'es')}")
    tell_skipped(exported.skipped, len(exported.skipped))


def existing(table: Path) -> Path:
    """The table itself. Raises UsageError where it is no table."""
    from imagefinder.errors import SourceError
    from imagefinder.sources.names import TABLE_EXTENSIONS, extension

    table = table.expanduser()
    if extension(table.name) not in TABLE_EXTENSIONS:
        raise UsageError(f"{table}: not a table; it ends in {', '.join(sorted(TABLE_EXTENSIONS))}")
    if not table.is_file():
        raise SourceError(f"{table}: no such file")
    return table


def check_report(output: Path) -> None:
    """Before the images are read. Raises UsageError, MissingExtraError."""
    from importlib.util import find_spec

    from imagefinder.errors import MissingExtraError

    if find_spec("matplotlib") is None:
        raise MissingExtraError("a report with plots", "evaluate")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: a report is a file, in a folder that is there")


def embedder(device: str) -> "Embedder":
    """The built-in model."""
    from imagefinder.models import load_embedder

    return load_embedder(device=device)
