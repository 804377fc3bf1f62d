"""imagefinder collections, delete-collection, backup, restore"""

from pathlib import Path
from typing import Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import chosen, token_of
from imagefinder.cli.options import CollectionOption, JsonOption, YesOption
from imagefinder.cli.output import human_bytes, note, plain, show_json, show_rows
from imagefinder.errors import CollectionDamagedError, CollectionFormatError


@app.command(epilog="Example:  imagefinder collections --json")
def collections(json: JsonOption = False) -> None:
    """List the collections that have a name."""
    from imagefinder.upkeep import describe_collections

    found = describe_collections()
    if json:
        show_json([{"name": item.name, "path": item.path, "images": item.images} for item in found])
    elif found:
        rows = [
            (
                item.name,
                item.problem if item.images is None else item.images,
                human_bytes(item.bytes),
            )
            for item in found
        ]
        show_rows(("collection", "images", "on disk"), rows, right="images")
    else:
        note("no collections yet; make one with: imagefinder index FOLDER -c NAME")


@app.command("delete-collection", epilog="Example:  imagefinder delete-collection photos")
def delete_collection(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR|URL", show_default=False)],
    yes: YesOption = False,
) -> None:
    """Delete a collection for good; the images themselves stay."""
    from imagefinder.sources.address import redact
    from imagefinder.upkeep import count_images, delete_collection

    shown = plain(redact(name))
    if not yes:
        try:
            content = f"with {count_images(name, token_of(name))} images"
        except (CollectionDamagedError, CollectionFormatError):  # the reason to delete it
            content = "that cannot be read"
        typer.confirm(f"Delete the collection {shown} {content}?", abort=True, err=True)
    delete_collection(name, token_of(name))
    note(f"deleted the collection {shown}")


@app.command(epilog="Example:  imagefinder backup photos.tar -c photos")
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .tar or .tar.gz file.", show_default=False)
    ],
    collection: CollectionOption = None,
) -> None:
    """Copy the whole collection into one file."""
    from imagefinder.upkeep import backup

    images = backup(chosen(collection), file)
    note(f"{file}: {images} images, {human_bytes(file.stat().st_size)}")


@app.command(epilog="Example:  imagefinder restore photos.tar -c photos-again")
def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file that backup wrote.", show_default=False)
    ],
    collection: CollectionOption = None,
) -> None:
    """Make a collection from a backup; an existing collection is never overwritten."""
    from imagefinder.upkeep import restore

    name = chosen(collection)
    images = restore(file, name)
    note(f"{name}: {images} images restored")
