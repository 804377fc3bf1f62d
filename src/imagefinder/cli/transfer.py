"""imagefinder export, import"""

from pathlib import Path
from typing import Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import open_finder
from imagefinder.cli.options import CollectionOption
from imagefinder.cli.output import note
from imagefinder.cli.progress import BarProgress


@app.command("export", epilog="Example:  imagefinder export embeddings.npz -c photos")
def export_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A .csv, .npz, .parquet or .faiss file.", show_default=False
        ),
    ],
    collection: CollectionOption = None,
) -> None:
    """Write embeddings, ids and metadata to a file."""
    with open_finder(collection) as finder:
        count = finder.export(file)
    note(f"{file}: {count} images")


@app.command("import", epilog="Example:  imagefinder import embeddings.csv --space old -c photos")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .csv, .npz, .npy, .parquet or .faiss file.",
            show_default=False,
        ),
    ],
    space: Annotated[
        str | None, typer.Option(help="The space's name.", show_default="the file's name")
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="A file with the ids, for formats that hold none.", show_default=False),
    ] = None,
    collection: CollectionOption = None,
) -> None:
    """Take over the embeddings of another service into a space of their own."""
    with open_finder(collection) as finder, BarProgress("importing") as progress:
        report = finder.import_embeddings(file, space=space, ids=ids, on_progress=progress)
    note(f"{report.space}: {report.added} added, {report.updated} updated")
    for sentence in report.notes:
        note(f"  {sentence}")
