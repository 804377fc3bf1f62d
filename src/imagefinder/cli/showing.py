"""imagefinder status, skipped, show, list, remove, relocate"""

from dataclasses import asdict, fields
from datetime import datetime
from itertools import chain, islice
from typing import Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import is_cluster, is_service, open_finder
from imagefinder.cli.options import CollectionOption, FilterOption, JsonOption
from imagefinder.cli.output import human_bytes, note, show_json, show_rows
from imagefinder.errors import ImageNotFoundError
from imagefinder.types import ImageRecord, SpaceStatus


@app.command(epilog="Example:  imagefinder status -c photos")
def status(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """Say what is in the collection."""
    with open_finder(collection) as finder:
        state, spaces = finder.status(), finder.spaces()
    if json:
        show_json({**asdict(state), "models": [asdict(space) for space in spaces]})
        return
    rows = [
        ("collection", state.collection),
        (kind_of(state.path), state.path),
        ("model", f"{state.model} ({state.dim} dimensions)"),
        ("images", state.images),
        ("skipped", state.skipped),
        *(("source", source) for source in state.sources),
        *(("space", described(space)) for space in spaces if len(spaces) > 1),
    ]
    if state.disk_bytes is not None:
        rows.append(("on disk", human_bytes(state.disk_bytes)))
    show_rows(("", ""), rows)


def kind_of(path: str) -> str:
    """What keeps a collection."""
    if is_service(path):
        return "service"
    return "cluster" if is_cluster(path) else "directory"


def described(space: SpaceStatus) -> str:
    """A space in a line."""
    facts = [
        f"{space.name}: {space.images} images",
        f"{space.dim} dimensions",
        *([space.distance] if space.distance != "cosine" else []),
        *([f"{space.behind} behind"] if space.behind else []),
        *(["in use"] if space.in_use else []),
    ]
    return ", ".join(facts)


@app.command(epilog="Example:  imagefinder skipped --json")
def skipped(collection: CollectionOption = None, json: JsonOption = False) -> None:
    """List the images that could not be indexed, with the reasons."""
    with open_finder(collection) as finder:
        images = finder.skipped()
    if json:
        show_json([asdict(image) for image in images])
    elif images:
        show_rows(("image", "reason"), [(image.uri, image.reason) for image in images])
    else:
        note("no image was skipped")


@app.command(epilog="Example:  imagefinder show holiday/beach.jpg")
def show(
    id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is known of one image."""
    with open_finder(collection) as finder:
        record = finder.get(id)
    if json:
        show_json(as_json(record))
        return
    facts = as_json(record)
    del facts["metadata"]
    if record.mtime is not None:
        facts["mtime"] = datetime.fromtimestamp(record.mtime).isoformat(" ", "seconds")
    rows = [(name, value) for name, value in facts.items() if value not in (None, "")]
    show_rows(("", ""), [*rows, *sorted(record.metadata.items())])


def as_json(record: ImageRecord) -> dict[str, object]:
    """A record as `--json` shows it."""
    facts = {field.name: getattr(record, field.name) for field in fields(record)}
    return {**facts, "metadata": dict(record.metadata)}


@app.command("list", epilog="""Example:  imagefinder list --filter 'format == "png"'""")
def list_(
    filter: FilterOption = None,
    after: Annotated[str, typer.Option(help="Begin after this id.", show_default=False)] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many.", show_default=False)
    ] = None,
    collection: CollectionOption = None,
    json: JsonOption = False,
) -> None:
    """List the images in the order of their ids."""
    with open_finder(collection) as finder:
        records = islice(finder.images(after=after, filter=filter), limit)
        if json:
            show_json([as_json(record) for record in records])
        elif (first := next(records, None)) is None:
            note("no image matches")
        else:
            rows = (
                (record.id, dimensions(record), record.format, record.uri)
                for record in chain([first], records)
            )
            show_rows(("id", "size", "format", "uri"), rows)


def dimensions(record: ImageRecord) -> str:
    """As people say it; nothing for an image whose file was never read."""
    return f"{record.width} x {record.height}" if record.width else ""


@app.command(epilog="Example:  imagefinder remove holiday/beach.jpg")
def remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID", show_default=False)],
    collection: CollectionOption = None,
) -> None:
    """Take images out of the collection; their files stay where they are."""
    with open_finder(collection) as finder:
        unknown = [id for id in ids if id not in finder]
        if unknown:
            raise ImageNotFoundError(
                f"{', '.join(unknown)}: no image of the collection has this id; nothing was removed"
            )
        count = finder.remove(ids)
    note(f"removed {count} of the collection's images; indexing their folder brings them back")


@app.command(epilog="Example:  imagefinder relocate ~/Pictures ~/Photos")
def relocate(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="Where the images were.", show_default=False)
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="Where they are now.", show_default=False)
    ],
    collection: CollectionOption = None,
) -> None:
    """Tell the collection that a folder of images has moved."""
    with open_finder(collection) as finder:
        finder.relocate(old, new)
    note(f"the images of {old} are found at {new} now")
