"""imagefinder track register, and what --track of other commands does"""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import chosen, token_of
from imagefinder.cli.options import CollectionOption, JsonOption
from imagefinder.cli.output import counted, note, plain, show_json

if TYPE_CHECKING:
    from imagefinder.tracking.register import Registered
    from imagefinder.tracking.runs import Run

track = typer.Typer(
    name="track", help="Register collections as models of MLflow.", no_args_is_help=True
)
app.add_typer(track)

TrackOption = Annotated[
    str | None,
    typer.Option(
        "--track",
        metavar="URI",
        help="Keep a run in the MLflow there: http://host:port, or sqlite:///FILE.",
        show_default=False,
    ),
]
ExperimentOption = Annotated[
    str,
    typer.Option("--experiment", metavar="NAME", help="The experiment that the run belongs to."),
]
EXPERIMENT = "imagefinder"

# Of MLflow, unless the user's environment says otherwise: it would write between our lines, and
# tell its makers of each use.
QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@track.callback()
def about() -> None:
    """Register collections as models of MLflow."""


@track.command(
    epilog="Example:  imagefinder track register shop -c shop --track http://127.0.0.1:5000"
)
def register(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the model.", show_default=False)],
    collection: CollectionOption = None,
    track: Annotated[
        str | None,
        typer.Option(
            "--track",
            metavar="URI",
            help="The MLflow server: http://host:port.",
            show_default="$MLFLOW_TRACKING_URI",
        ),
    ] = None,
    experiment: ExperimentOption = EXPERIMENT,
    alias: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the new version, as champion.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Register a collection with its models as the next version of a model of MLflow.

    It is copied; of a cluster or a service the address is registered, without secrets."""
    quiet()
    from imagefinder.tracking.register import register as make_version

    where = chosen(collection)
    made = make_version(
        name, where, track=track, experiment=experiment, token=token_of(where), alias=alias
    )
    for sentence in made.notes:
        note(plain(sentence))
    if json:
        show_json(as_json(made))
    else:
        show(made)


def show(made: "Registered") -> None:
    """Its name, and what to do with it."""
    uri = shlex.quote(plain(made.uri))
    print(plain(made.uri))
    note(f"{counted(made.images, 'image')}, space {plain(made.space)}, in {plain(made.server)}")
    note(f"  there: export MLFLOW_TRACKING_URI={shlex.quote(plain(made.server))}")
    note(f"  to search in it: imagefinder search photo.jpg -c {uri}")
    note(f"  to serve it: mlflow models serve -m {uri} --env-manager local -p 5001")


def as_json(made: "Registered") -> dict[str, object]:
    """For programs."""
    return {
        "name": made.name,
        "version": made.version,
        "uri": made.uri,
        "server": made.server,
        "images": made.images,
        "space": made.space,
        "fingerprint": made.fingerprint or None,
        "notes": list(made.notes),
    }


@contextmanager
def tracked(
    uri: str | None, experiment: str, command: str, parameters: Mapping[str, object]
) -> Iterator["Run | None"]:
    """A run around what a command does; None without --track. A server that does not answer is told
    before the block begins."""
    if uri is None:
        yield None
        return
    quiet()
    from imagefinder.tracking.runs import started

    with started(uri, experiment, command) as run:
        run.parameters(parameters)
        yield run
    note(f"the run is {plain(run.shown)}")


def quiet() -> None:
    """Before MLflow is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
