"""Hits as the gallery shows them: captioned pictures that travel in the answer itself.

So no file of the collection is copied or handed out, and whoever may read the answer sees all.
"""

import base64
from collections.abc import Callable, Iterable
from contextlib import closing
from io import BytesIO
from typing import TypeAlias
from urllib.parse import quote

from PIL import Image

from imagefinder.ahead import ahead
from imagefinder.decode import decode
from imagefinder.errors import ImageFinderError
from imagefinder.finder import ImageFinder
from imagefinder.types import Hit

SIDE = 400  # pixels of a thumbnail's longer side: sharp on screens of high density
WORKERS = 4  # thumbnails at a time

# As Gradio's gallery takes it: {"image": {"path", "url"}, "caption"}.
Captioned: TypeAlias = dict[str, dict[str, str] | str]
Thumbnail: TypeAlias = Callable[[str], bytes]  # id -> a JPEG; raises ImageFinderError

MISSING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<rect width="100" height="100" fill="#8882"/>'
    '<text x="50" y="53" font-family="sans-serif" font-size="8" fill="#888" text-anchor="middle">'
    "no picture any more</text></svg>"
)


def captioned(hits: Iterable[Hit], thumbnail: Thumbnail) -> list[Captioned]:
    """The hits in their order. One whose file is gone has a sign in its place."""

    def picture(hit: Hit) -> Captioned:
        try:
            encoded = base64.b64encode(thumbnail(hit.id)).decode()
            url = f"data:image/jpeg;base64,{encoded}"
        except ImageFinderError:
            url = f"data:image/svg+xml,{quote(MISSING)}"
        return {"image": {"path": "", "url": url}, "caption": f"{hit.score:.3f} · {hit.id}"}

    with closing(ahead(picture, hits, workers=WORKERS, window=2 * WORKERS)) as pictures:
        return list(pictures)


def thumbnails_of(finder: ImageFinder) -> Thumbnail:
    """From a service those that it makes itself, which it hands out also where it keeps the
    original images back."""
    from imagefinder.client.remote import RemoteFinder

    if isinstance(finder, RemoteFinder):
        return lambda id: finder.thumbnail(id, SIDE)

    def thumbnail(id: str) -> bytes:
        image = Image.fromarray(decode(finder.read(id), at_least=SIDE).pixels)
        image.thumbnail((SIDE, SIDE))
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=85)
        return buffer.getvalue()

    return thumbnail
