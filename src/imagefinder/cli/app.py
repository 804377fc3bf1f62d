"""The commands in one app, and what becomes of errors: a sentence on stderr and an exit code."""

import logging
import os
import sys

import typer
from typer.exceptions import TyperException

from imagefinder.cli.options import DebugOption, VersionOption
from imagefinder.errors import ImageFinderError, UsageError

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
def options(version: VersionOption = False, debug: DebugOption = False) -> None:
    """Find the images of a collection that look most like a given image."""


def main() -> None:
    """The `imagefinder` command."""
    logging.basicConfig(format="note: %(message)s", level=logging.WARNING)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("IMAGEFINDER_DEBUG"))
    sys.exit(run([argument for argument in arguments if argument != "--debug"], debug=debug))


def with_values(arguments: list[str]) -> list[str]:
    """`--prune` alone means `--prune=yes`; Typer has no options with an optional value."""
    return ["--prune=yes" if argument == "--prune" else argument for argument in arguments]


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command; returns the exit code. With `debug`, errors come with their traceback."""
    from imagefinder.cli import commands  # noqa: F401 - they register themselves

    try:
        return int(app(with_values(arguments), prog_name="imagefinder", standalone_mode=False) or 0)
    except TyperException as error:
        show_usage(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of a pipe has enough, as `head` does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
        return 0
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(sentence(error), file=sys.stderr)
        return WRONG_USE if isinstance(error, UsageError) else FAILURE


def sentence(error: Exception) -> str:
    """What a person reads of an error."""
    if isinstance(error, ImageFinderError):
        return f"error: {error}"
    return (
        f"error: {type(error).__name__}: {error}\n"
        "This is a mistake in imagefinder; --debug shows where. Please report it."
    )


def show_usage(error: TyperException) -> None:
    """What was wrong with the call, and where help is."""
    from typer import rich_utils

    rich_utils.rich_format_error(error)  # type: ignore[arg-type]
