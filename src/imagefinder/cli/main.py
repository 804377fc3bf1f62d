"""Running a command, and what becomes of errors: a sentence on stderr and an exit code."""

import logging
import os
import re
import signal
import sys
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from imagefinder.cli import commands  # noqa: F401 - they join the app
from imagefinder.cli.app import FAILURE, INTERRUPTED, WRONG_USE, app
from imagefinder.cli.arenas import one_arena_a_core
from imagefinder.cli.output import plain
from imagefinder.errors import ImageFinderError, UsageError

ALONE = {"--prune": "--prune=yes", "--ray": "--ray=auto"}
ADDRESS = re.compile(r"(?:[\w.-]+|\[[\da-fA-F:]+\]):\d+")


def main() -> None:
    """The `imagefinder` command."""
    one_arena_a_core()
    # as Ctrl-C does; the first process of a container would not even end on it otherwise
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for letters that a pipe cannot take
    logging.basicConfig(format="note: %(message)s", level=logging.WARNING)
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or bool(os.environ.get("IMAGEFINDER_DEBUG"))
    if "--offline" in arguments:  # before what reads it is imported
        os.environ["HF_HUB_OFFLINE"] = "1"
    anywhere = ("--debug", "--offline")
    code = run([argument for argument in arguments if argument not in anywhere], debug=debug)
    if code == INTERRUPTED:  # at once, although an index is being built: a crash is harmless
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def with_values(arguments: list[str]) -> list[str]:
    """`--prune` alone means `--prune=yes`, and `--ray` alone `--ray=auto`; what follows that is its
    value where it looks like host:port. Typer has no options with an optional value."""
    given = list[str]()
    for argument in arguments:
        if given[-1:] == ["--ray=auto"] and ADDRESS.fullmatch(argument):
            given[-1] = f"--ray={argument}"
        else:
            given.append(ALONE.get(argument, argument))
    return given


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command; returns the exit code. With `debug`, errors come with their traceback."""
    try:
        code = app(with_values(arguments), prog_name="imagefinder", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except TyperException as error:
        show_usage(error)
        return error.exit_code
    except (BrokenPipeError, SystemExit) as end:
        if not isinstance(end.__context__ or end, BrokenPipeError):  # Typer makes an exit of it
            raise
        return cut_short()
    except typer.Abort:
        print("\nerror: not confirmed, nothing was changed; --yes does not ask", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        print(sentence(error), file=sys.stderr)
        return WRONG_USE if isinstance(error, UsageError) else FAILURE


def cut_short() -> int:
    """The reader of the pipe has enough, as `head` does: what is still buffered goes nowhere."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return 0


def sentence(error: Exception) -> str:
    """What a person reads of an error."""
    if isinstance(error, ImageFinderError):
        return "error: " + "\n".join(map(plain, str(error).split("\n")))
    return (
        f"error: {type(error).__name__}: {error}\n"
        "This is a mistake in imagefinder; --debug shows where. Please report it."
    )


def show_usage(error: TyperException) -> None:
    """What was wrong with the call, and where help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "imagefinder"
    if problem := error.format_message():  # empty where the help was shown instead
        print(f"error: {plain(problem)}\nhelp: {command} --help", file=sys.stderr)
