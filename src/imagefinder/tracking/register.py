"""A collection as a version of a registered model of MLflow."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imagefinder._version import __version__
from imagefinder.tracking.contents import FOLDER
from imagefinder.tracking.gathering import Gathered, gather
from imagefinder.tracking.runs import EXPERIMENT, Run, started
from imagefinder.tracking.server import in_our_words

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MODEL = "model"  # the folder of the run's artifacts
EXAMPLE = "aW1hZ2U="  # base64, where a collection tells no id


@dataclass(frozen=True, slots=True)
class Registered:
    """A version of a registered model. `uri` opens it, `server` is where it is, without secrets;
    `notes` are sentences for the user."""

    name: str
    version: int
    uri: str
    server: str
    images: int
    space: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def register(
    name: str,
    where: str,
    *,
    track: str | None = None,
    experiment: str = EXPERIMENT,
    token: str | None = None,
    alias: str | None = None,
) -> Registered:
    """Register the collection `where` as the next version of the model `name`, by an `alias` if
    there is one: a copy of it with its models, or, of a cluster or a service, its address without
    secrets. `track` is the MLflow, by default the environment's; `token` lets in where `where`
    wants to know who comes.

    Raises UsageError, ImageFinderError where no MLflow answers, CollectionError as where another
    process has the collection open, MissingExtraError."""
    with started(track, experiment, "track register") as run, TemporaryDirectory() as folder:
        collected = Path(folder, FOLDER)
        collected.mkdir()
        gathered = gather(where, token, collected)
        save(gathered, collected, Path(folder, MODEL))
        run.parameters(facts(gathered))
        run.folder(Path(folder, MODEL), MODEL)
        version = make_version(run, name, gathered, alias)
    contents = gathered.contents
    return Registered(
        name=name,
        version=version,
        uri=f"models:/{name}/{version}",
        server=run.server.shown,
        images=contents.images,
        space=contents.space,
        fingerprint=contents.fingerprint,
        notes=gathered.notes,
    )


def save(gathered: Gathered, collected: Path, folder: Path) -> None:
    """The folder of an MLflow model, a `python_function` from code."""
    extras = ",".join(["mlflow", *gathered.extras])
    example = EXAMPLE if gathered.example is None else f"id:{gathered.example}"
    with in_our_words("the model"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow, about itself
        from mlflow import pyfunc

        pyfunc.save_model(
            folder,
            python_model=str(Path(__file__).with_name("loader.py")),
            artifacts={FOLDER: str(collected)},
            signature=signature(),
            input_example=[example],
            pip_requirements=[f"imagefinder[{extras}]=={__version__}"],
            metadata=facts(gathered),
        )


def signature() -> "ModelSignature":
    """Texts in; `k`, `filter` and `space` beside them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        params=ParamSchema(
            [
                ParamSpec("k", DataType.long, 3),
                ParamSpec("filter", DataType.string, ""),
                ParamSpec("space", DataType.string, ""),
            ]
        ),
    )


def make_version(run: Run, name: str, gathered: Gathered, alias: str | None) -> int:
    """Its number."""
    client = run.server.client
    with in_our_words(run.server.shown, run.server.uri):
        if not client.search_registered_models(filter_string=f"name = '{quoted(name)}'"):
            client.create_registered_model(name)
        made = client.create_model_version(
            name,
            source=f"{run.artifacts}/{MODEL}",
            run_id=run.id,
            tags={key: str(value) for key, value in facts(gathered).items()},
        )
        if alias is not None:
            client.set_registered_model_alias(name, alias, made.version)
    return int(made.version)


def facts(gathered: Gathered) -> dict[str, object]:
    """What is to be known of it without opening it."""
    contents = gathered.contents
    known: dict[str, object] = {
        "collection": contents.address or contents.title,
        "images": contents.images,
        "space": contents.space,
        "fingerprint": contents.fingerprint or None,
        "imagefinder": contents.version,
    }
    return {key: value for key, value in known.items() if value is not None}


def quoted(name: str) -> str:
    """Within the quotes of a filter of MLflow."""
    return name.replace("\\", "\\\\").replace("'", "\\'")
