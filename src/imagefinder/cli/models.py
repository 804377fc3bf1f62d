"""imagefinder models: what there is, and the models of a collection"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import FAILURE, INTERRUPTED, app
from imagefinder.cli.indexing import asked_to_stop, summarise_space, wait_for_optimizer
from imagefinder.cli.opening import chosen, distance_of, is_cluster, is_service, open_finder
from imagefinder.cli.options import (
    CollectionOption,
    DeviceOption,
    DistanceOption,
    JsonOption,
    YesOption,
)
from imagefinder.cli.output import human_bytes, note, plain, show_json, show_rows
from imagefinder.cli.progress import BarProgress, FetchProgress
from imagefinder.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imagefinder.models import NetworkModel, RowModel

models = typer.Typer(
    help="List models, fetch them, and search a collection by several.",
    epilog="Example:  imagefinder models",
    invoke_without_command=True,
)
app.add_typer(models, name="models")

NamesArgument = Annotated[
    list[str],
    typer.Argument(metavar="NAME", help="As `imagefinder models` lists.", show_default=False),
]
PullArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME",
        help="As `imagefinder models` lists, or ORG/NAME of the hub.",
        show_default=False,
    ),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name that `imagefinder models` lists, a folder, or ORG/NAME of the hub.",
        show_default=False,
    ),
]
SpaceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SPACE", help="As `imagefinder status` lists; a model's name.", show_default=False
    ),
]


@models.callback()
def list_models(context: typer.Context, json: JsonOption = False) -> None:
    """List models, fetch them, and search a collection by several."""
    if context.invoked_subcommand is not None:
        return
    from imagefinder.models import RowModel, catalog

    known = [RowModel(row) for row in catalog().values()]
    if json:
        show_json([as_json(model) for model in known])
        return
    titles = ("model", "dim", "input", "download", "licence", "text", "here", "tried with")
    show_rows(titles, map(as_row, known), right="dim input download")


@models.command(epilog="Example:  imagefinder models pull resnet50")
def pull(names: PullArgument) -> None:
    """Fetch models from the hub, so that they work without a network from then on."""
    for model in [fetchable(name) for name in names]:
        paths = model.pull(on_fetch=FetchProgress())
        size = sum(path.stat().st_size for path in paths)
        note(f"{model.name}: {human_bytes(size)} here, verified" if paths else built_in(model))


@models.command(epilog="Example:  imagefinder models remove resnet50")
def remove(names: NamesArgument) -> None:
    """Delete the fetched files of models, unless others that are here need them too; collections
    keep their embeddings."""
    from imagefinder.models.hub.files import forget

    doomed = [row_model(name) for name in names]
    needed = {file for other in others_here(doomed) for file in other.files}
    for model in doomed:
        freed = forget([file for file in model.files if file not in needed])
        note(f"{model.name}: {human_bytes(freed)} freed" if model.files else built_in(model))


@models.command(epilog="Example:  imagefinder models show ./my-model")
def show(model: ModelArgument, json: JsonOption = False) -> None:
    """Load a model, and say what it is: which output is taken, how pictures are prepared."""
    from imagefinder.models import find_model

    named = find_model(model)
    spec = named.load(fetch=False).spec
    how = spec.preprocessing
    facts = {
        "name": spec.name,
        "dim": spec.dim,
        "text": named.has_text,
        "output": spec.output or "its only one",
        "input": f"{how.width} x {how.height}",
        "resize": how.resize + (f" from {how.shortest}" if how.shortest else ""),
        "resample": how.resample,
        "mean": how.mean,
        "std": how.std,
        "sha256": spec.sha256,
        "fingerprint": spec.fingerprint,
    }
    if json:
        show_json(facts)
    else:
        show_rows(("", ""), list(facts.items()))


@models.command(epilog="Example:  imagefinder models add clip-vit-b32 -c photos")
def add(
    model: ModelArgument,
    distance: DistanceOption = None,
    device: DeviceOption = "auto",
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Embed every image of the collection by another model, beside what is there.

    A run that was cut off goes on where it stopped."""
    compared = distance_of(distance)
    fetch_first(model, chosen(collection))
    with open_finder(collection, device=device) as finder, asked_to_stop() as stop:
        with BarProgress("embedding") as progress:
            report = finder.add_space(model, distance=compared, stop=stop, on_progress=progress)
        space = next((one for one in finder.spaces() if one.name == report.space), None)
        wait_for_optimizer(finder)
    if json:
        facts = {"space": report.space, "added": report.added, "skipped": report.skipped}
        there = (space.images, space.behind) if space else (0, 0)  # a service may be loading it
        show_json({**facts, "images": there[0], "behind": there[1]})
    else:
        summarise_space(report)
        if report.interrupted:
            note("  interrupted; the same command goes on where this one stopped")
        elif space is not None and not space.in_use:
            note(
                f"  to search by it: --space {space.name};"
                f" from now on: imagefinder models use {space.name}{of(collection)}"
            )
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.skipped and not (space and space.images):
        raise typer.Exit(FAILURE)


@models.command(epilog="Example:  imagefinder models use clip-vit-b32 -c photos")
def use(space: SpaceArgument, collection: CollectionOption = None) -> None:
    """Search by this model from now on; using the other one again takes it back."""
    from imagefinder.cli.searching import behind

    with open_finder(collection) as finder:
        before = next((one.name for one in finder.spaces() if one.in_use), None)
        finder.use_space(space)
        (state,) = (one for one in finder.spaces() if one.name == space)
    back = f"; back: imagefinder models use {before}{of(collection)}"
    note(f"searches use {space} now{back if before not in (None, space) else ''}")
    if state.behind:
        note(behind(state))


@models.command(epilog="Example:  imagefinder models drop clip-vit-b32 -c photos --yes")
def drop(space: SpaceArgument, yes: YesOption = False, collection: CollectionOption = None) -> None:
    """Delete a model's embeddings from the collection; the images and other models' stay."""
    with open_finder(collection) as finder:
        states = {one.name: one for one in finder.spaces()}
        if space in states and not yes:
            count = states[space].images
            used = ", which searches use" if states[space].in_use else ""
            question = f"Delete the {count} embeddings of {plain(space)}{used}?"
            typer.confirm(question, abort=True, err=True)
        finder.drop_space(space)
        now = next((one.name for one in finder.spaces() if one.in_use), "")
    note(f"dropped {plain(space)}")
    if space in states and states[space].in_use:
        note(f"searches use {now} now")


@models.command(epilog="Example:  imagefinder models convert facebook/dinov2-small ./dinov2-small")
def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of transformers, or ORG/NAME of the hub.",
            show_default=False,
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The new folder.", show_default=False)
    ],
) -> None:
    """Make a model of transformers into an ONNX one, which needs no PyTorch."""
    from imagefinder.models import NetworkModel, find_model
    from imagefinder.models.convert import convert

    if not isinstance(find_model(model), NetworkModel):
        raise UsageError(f"{model}: this is no model of transformers; it works as it is")
    done = convert(model, folder, on_note=note, on_progress=FetchProgress())
    words = ", understands words" if done.has_text else ""
    note(
        f"{folder}: {done.dim} dimensions ({done.output}){words};"
        f" as PyTorch's to a cosine of {done.cosine:.6f}"
    )
    note(f"  to use it: imagefinder models add {folder} -c NAME")


def fetch_first(model: str, where: str) -> None:
    """A long download while the collection is open would keep others out of it."""
    from imagefinder.home import place_of
    from imagefinder.models import NetworkModel, RowModel, find_model

    if is_service(where) or is_cluster(where):  # they have room for others meanwhile
        return
    place_of(where).require()
    named = find_model(model)
    if isinstance(named, RowModel | NetworkModel) and not named.present:
        named.pull(on_fetch=FetchProgress())


def of(collection: str | None) -> str:
    """The same collection, for a command that is shown."""
    return "" if collection is None else f" -c {shlex.quote(collection)}"


def others_here(models: "Sequence[RowModel]") -> "Iterator[RowModel]":
    """The models and variants, besides these, that are on this machine."""
    from imagefinder.models import RowModel, catalog

    for row in catalog().values():
        for variant in ("", *row.variants):
            other = RowModel(row, variant)
            if other not in models and other.present:
                yield other


def fetchable(name: str) -> "RowModel | NetworkModel":
    """Raises UsageError for what is not on the hub."""
    from imagefinder.models import NetworkModel, find_model

    model = find_model(name)
    return model if isinstance(model, NetworkModel) else row_model(name)


def row_model(name: str) -> "RowModel":
    """Raises UsageError for what is not in the catalogue."""
    from imagefinder.models import RowModel, find_model

    model = find_model(name)
    if not isinstance(model, RowModel):
        raise UsageError(f"{name}: this is no model of the catalogue; see: imagefinder models")
    return model


def built_in(model: "RowModel | NetworkModel") -> str:
    """For what is neither fetched nor deleted."""
    return f"{model.name}: comes with the package"


def as_json(model: "RowModel") -> dict[str, object]:
    """A row as `--json` shows it."""
    row = model.row
    return {
        "name": row.name,
        "dim": row.dim,
        "size": row.size,
        "bytes": row.bytes,
        "licence": row.licence,
        "text": model.has_text,
        "present": model.present,
        "tried": row.tried,
        "variants": list(row.variants),
    }


def as_row(model: "RowModel") -> tuple[object, ...]:
    """The same for people."""
    from imagefinder.models.catalog import package_rows

    row = model.row
    return (
        row.name,
        row.dim,
        f"{row.size} px",
        human_bytes(row.bytes) if row.bytes else "-",
        row.licence,
        "yes" if model.has_text else "no",
        "yes" if model.present else "no",
        "real files" if row.tried else "stand-ins" if row.name in package_rows() else "-",
    )
