"""imagefinder search"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer

from imagefinder.cli.app import app
from imagefinder.cli.opening import open_finder
from imagefinder.cli.options import (
    CollectionOption,
    DeviceOption,
    FilterOption,
    JsonOption,
    MegapixelsOption,
    ModelOption,
    SpaceOption,
)
from imagefinder.cli.output import note, show_json, show_rows
from imagefinder.errors import ImageFinderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagefinder.client.remote import RemoteFinder
    from imagefinder.finder import ImageFinder
    from imagefinder.types import Hit, SpaceStatus

SCORES = {  # what the column of scores is called
    "cosine": "score",
    "dot": "dot-product",
    "euclidean": "minus-distance",
    "fused": "fused-rank",
    "": "score",
}

QueryArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="QUERY",
        help="A path, a URL, id:ID, or text:WORDS; the mean of several is searched for.",
        show_default=False,
    ),
]


@app.command(
    epilog="""Example:  imagefinder search photo.jpg -k 5 --filter 'width >= 800' --open"""
)
def search(
    query: QueryArgument,
    k: Annotated[int, typer.Option("-k", min=1, help="How many images.")] = 3,
    filter: FilterOption = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every image.")] = False,
    exclude_same: Annotated[
        bool,
        typer.Option("--exclude-same", help="Leave out the query itself and its copies."),
    ] = False,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE",
            help="Only images with this score or more, as `adapt` tells one for matching.",
            show_default=False,
        ),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Show the pictures in the browser.")] = False,
    collection: CollectionOption = None,
    space: SpaceOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    max_megapixels: MegapixelsOption = None,
    json: JsonOption = False,
) -> None:
    """Find the images that look most like the query."""
    with open_finder(
        collection, model=model, max_megapixels=max_megapixels, device=device
    ) as finder:
        found = finder.search(
            list(query), k, filter=filter, exact=exact, exclude_same=exclude_same, space=space
        )
        hits = [hit for hit in found if min_score is None or hit.score >= min_score]
        known = finder.spaces()
        pictured = at_hand(finder, hits) if open else hits
    names = space.split(",") if space else [one.name for one in known if one.in_use]
    used = [one for one in known if one.name in names]
    scores = "fused" if len(used) > 1 else "".join(one.distance for one in used)
    if json:
        shown = [as_json(hit) for hit in hits]
        show_json({"model": ",".join(names), "scores": scores, "hits": shown})
    else:
        show_hits(hits, SCORES[scores])
        if found and not hits:
            note(f"no image has a score of {min_score:g}; the closest has {found[0].score:.3f}")
        elif not hits:
            some = any(one.images for one in used)
            note("no image matches" if some else "the collection has no images yet")
    for one in used:
        if one.behind:
            note(behind(one))
    if open:
        open_page(query, pictured)


def as_json(hit: "Hit") -> dict[str, object]:
    """A hit as `search --json` and the service show it."""
    return {"id": hit.id, "score": hit.score, "uri": hit.uri, "metadata": dict(hit.metadata)}


def show_hits(hits: "Sequence[Hit]", title: str = "score") -> None:
    """Score, id and place of each."""
    rows = [(f"{hit.score:.3f}", hit.id, hit.uri) for hit in hits]
    show_rows((title, "id", "uri"), rows, right=title)


def behind(space: "SpaceStatus") -> str:
    """What a space lacks, and what to do."""
    distance = f" --distance {space.distance}" if space.distance != "cosine" else ""
    return (
        f"{space.name} lacks {space.behind} of the collection's images;"
        f" to try them again: imagefinder models add {space.model or space.name}{distance}"
    )


def at_hand(finder: "ImageFinder", hits: "Sequence[Hit]") -> "Sequence[Hit]":
    """The hits with uris that lead to pictures from here: what lies on a service's machine comes
    as a small one."""
    from imagefinder.client.remote import RemoteFinder
    from imagefinder.sources.address import is_http

    if not isinstance(finder, RemoteFinder):
        return hits
    folder = Path(mkdtemp(prefix="imagefinder-"))
    return [
        hit if is_http(hit.uri) else replace(hit, uri=fetched(finder, hit, folder / f"{n}.jpg"))
        for n, hit in enumerate(hits)
    ]


def fetched(finder: "RemoteFinder", hit: "Hit", file: Path) -> str:
    """The path of a hit's picture; nothing is there where the service has none."""
    from imagefinder.results_page import SIDE

    with suppress(ImageFinderError):
        file.write_bytes(finder.thumbnail(hit.id, SIDE))
    return str(file)


def open_page(queries: "Sequence[str]", hits: "Sequence[Hit]") -> None:
    """A page of pictures, in the browser where there is one."""
    import webbrowser

    from imagefinder.results_page import write_page

    page = write_page(queries, hits)
    if webbrowser.open(page.as_uri()):
        note(f"the page is {page}")
    else:
        note(f"no browser could be opened; the page is {page}")
