"""The app that the commands join, and the exit codes."""

import typer

from imagefinder.cli.options import DebugOption, OfflineOption, VersionOption

FAILURE, WRONG_USE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="imagefinder",
    help="Find the images of a collection that look most like a given image.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start:  imagefinder index ~/Pictures  and then  imagefinder search photo.jpg --open",
)


@app.callback()
def options(
    version: VersionOption = False, debug: DebugOption = False, offline: OfflineOption = False
) -> None:
    """Find the images of a collection that look most like a given image."""
