"""imagefinder migrate"""

from dataclasses import asdict
from typing import Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.options import JsonOption
from imagefinder.cli.output import human_bytes, note, plain, show_json
from imagefinder.cli.progress import BarProgress
from imagefinder.config import read_settings


@app.command(epilog="Example:  imagefinder migrate photos milvus://localhost:19530/photos")
def migrate(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A collection.", show_default=False)
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="Another one, new or not.", show_default=False),
    ],
    json: JsonOption = False,
) -> None:
    """Carry a collection into another one, embeddings and all, and compare the two."""
    from imagefinder.migrate import migrate

    with BarProgress("carrying and comparing") as progress:
        report = migrate(source, target, token=read_settings().milvus_token, on_progress=progress)
    if json:
        show_json(asdict(report))
        return
    uploads = f", {human_bytes(report.upload_bytes)} of uploads" if report.upload_bytes else ""
    print(f"{report.carried} carried, {report.unchanged} there already{uploads}")
    print(
        f"{report.checked} embeddings compared: the same;"
        f" {report.searches} searches: recall {report.recall:.3f}"
    )
    for problem in report.problems:
        note(f"  left out {plain(problem.id)}: {plain(problem.reason)}")
    if more := report.left_out - len(report.problems):
        note(f"  and {more} more")
