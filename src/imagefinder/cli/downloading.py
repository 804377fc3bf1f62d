"""imagefinder download"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import FAILURE, INTERRUPTED, app
from imagefinder.cli.opening import table_columns
from imagefinder.cli.options import (
    IdColumnOption,
    JsonOption,
    LocationColumnOption,
    StrictOption,
)
from imagefinder.cli.output import human_bytes, note, plain, show_json
from imagefinder.cli.progress import BarProgress

if TYPE_CHECKING:
    from imagefinder.download import DownloadReport

SHOWN = 10  # failures in the summary


@app.command(
    epilog="Example:  imagefinder download images.csv photos/  and then  imagefinder index photos/"
)
def download(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="A table of ids and URLs, or a list of URLs.", show_default=False
        ),
    ],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files go.", show_default=False)
    ],
    id_column: IdColumnOption = None,
    location_column: LocationColumnOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Downloads at a time.")] = 16,
    per_host: Annotated[int, typer.Option(min=1, help="Downloads at a time from one host.")] = 4,
    strict: StrictOption = False,
    json: JsonOption = False,
) -> None:
    """Fetch the images of a table into a folder, with a manifest that `index` reads.

    Run again, it fetches only what is missing."""
    from imagefinder.download import download
    from imagefinder.sources import Fetcher, open_source

    columns = table_columns(id_column, location_column)
    source = open_source(table, columns=columns, fetcher=Fetcher(per_host=per_host))
    with BarProgress("downloading") as progress:
        report = download(source, directory, workers=workers, per_host=per_host, progress=progress)
    if json:
        show_json(
            {
                "downloaded": report.downloaded,
                "present": report.present,
                "failed": [
                    {"id": item.id, "uri": item.uri, "reason": item.reason}
                    for item in report.failed
                ],
            }
        )
    else:
        summarise(report, directory)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    nothing = not report.downloaded and not report.present
    if report.failed and (strict or nothing):
        raise typer.Exit(FAILURE)


def summarise(report: "DownloadReport", directory: Path) -> None:
    """What is there now, and what is not."""
    print(
        f"{'interrupted: ' if report.interrupted else ''}{report.downloaded} downloaded"
        f" ({human_bytes(report.bytes)}), {report.present} already there,"
        f" {len(report.failed)} failed"
    )
    for problem in report.failed[:SHOWN]:
        note(f"  failed {plain(problem.id)} ({plain(problem.uri)}): {plain(problem.reason)}")
    if len(report.failed) > SHOWN:
        note(f"  and {len(report.failed) - SHOWN} more; --json lists them all")
    if report.failed or report.interrupted:
        note("  the same command tries again what is missing")
    if report.downloaded or report.present:
        note(f"  next: imagefinder index {directory}")
