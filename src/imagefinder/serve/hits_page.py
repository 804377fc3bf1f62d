"""The answer to a browser that searches: a page of pictures."""

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import HTMLResponse

from imagefinder.errors import ImageFinderError
from imagefinder.results_page import card, data_url, render, thumbnail
from imagefinder.serve.accept import most_welcome, qualities
from imagefinder.serve.records import image_path
from imagefinder.types import Hit

SMALL, LARGE = "thumbnail?size=400", "thumbnail?size=1024"
# The page has no script; its styles stand in it.
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
)


def wants_page(request: Request) -> bool:
    """Whether HTML is named, and more welcome than JSON, or as welcome and named before it."""
    header = request.headers.get("accept", "")
    order = (kind for kind in qualities(header) if kind in {"text/html", "application/json"})
    return most_welcome(header, order) == "text/html"


def hits_page(
    request: Request, images: Sequence[bytes], hits: Sequence[Hit], content: bool
) -> HTMLResponse:
    """The query's pictures and the hits; each links to the image itself where that is served."""
    count = len(hits)
    title = "1 closest image" if count == 1 else f"{count} closest images" if count else "No image"
    figures = [
        card(
            hit,
            f'<img alt="" loading="lazy" src="{image_path(request, hit.id, SMALL)}">',
            image_path(request, hit.id, "content" if content else LARGE),
        )
        for hit in hits
    ]
    queries = [query_picture(data) for data in images]
    return HTMLResponse(
        render(title, queries, figures),
        headers={"Content-Security-Policy": POLICY, "Vary": "Accept"},
    )


def query_picture(data: bytes) -> str:
    """What was searched with."""
    try:
        return f'<img alt="the query" src="{data_url(thumbnail(data))}">'
    except ImageFinderError:
        return ""
