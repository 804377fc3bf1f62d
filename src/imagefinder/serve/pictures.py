"""The collection's images for clients: small and upright in the format they like best, or as is."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from io import BytesIO
from threading import Lock

from cachetools import LRUCache
from fastapi import HTTPException, Request, Response
from PIL import Image

from imagefinder.decode import DecodeLimits, decode
from imagefinder.errors import ImageError
from imagefinder.local import LocalFinder
from imagefinder.serve.accept import most_welcome
from imagefinder.serve.cores import Cores
from imagefinder.serve.options import ServeOptions
from imagefinder.types import ImageRecord

log = logging.getLogger("imagefinder.serve")

CACHED = "private, max-age=3600"  # an id's image may change
CACHE_BYTES = 64_000_000  # some 5,000 thumbnails of 256 pixels
FORMATS = {"image/avif": "AVIF", "image/webp": "WEBP", "image/jpeg": "JPEG"}
QUALITY = {"AVIF": {"quality": 60, "speed": 8}, "WEBP": {"quality": 80}, "JPEG": {"quality": 85}}


def best_format(accept: str) -> str:
    """AVIF and WebP only for clients that name them; JPEG is what everyone reads."""
    return most_welcome(accept, FORMATS) or "image/jpeg"


class Pictures:
    """The answers with pictures in them."""

    def __init__(self, finder: LocalFinder, options: ServeOptions, cores: Cores) -> None:
        self._finder, self._options = finder, options
        self._thumbnails = Thumbnails(finder.limits, cores)

    def thumbnail(self, request: Request, id: str, size: int) -> Response:
        """No side longer than `size` pixels. Raises ImageNotFoundError."""
        content, read = self._bytes_of(self._finder.get(id))
        kind = best_format(request.headers.get("accept", ""))
        headers = {
            "ETag": f'"{content[:24]}-{size}-{kind.rpartition("/")[2]}"',
            "Vary": "Accept",
            "Cache-Control": CACHED,
        }
        if has(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        with of_image(id):
            made = self._thumbnails.get(content, size, kind, read)
        return Response(made, media_type=kind, headers=headers)

    def content(self, request: Request, id: str) -> Response:
        """The file. Raises ImageNotFoundError."""
        if not self._options.serve_content:
            raise HTTPException(403, "this service does not hand out original images")
        record = self._finder.get(id)
        content, read = self._bytes_of(record)
        headers = {"ETag": f'"{content[:24]}"', "Cache-Control": CACHED}
        if has(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        with of_image(id):
            data = read()
        known = record.format.isascii() and record.format.isalnum()  # an import may say anything
        kind = f"image/{record.format}" if known else "application/octet-stream"
        return Response(data, media_type=kind, headers=headers)

    def _bytes_of(self, record: ImageRecord) -> tuple[str, Callable[[], bytes]]:
        """What tells the content from any other, and the way to it. An imported record may not
        know its hash: its bytes have to be read for that."""
        read = partial(self._finder.read, record.id)
        if record.sha256:
            return record.sha256, read
        with of_image(record.id):
            data = read()
        return sha256(data).hexdigest(), lambda: data


@contextmanager
def of_image(id: str) -> Iterator[None]:
    """The collection has the image; its file, out of our hands, may be gone or spoilt."""
    try:
        yield
    except ImageError as error:
        log.warning("%s", error)
        raise HTTPException(404, f"{id}: the image's file cannot be read any more") from None


def has(request: Request, tag: str) -> bool:
    """Whether the client has this version already."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in (
        part.strip().removeprefix("W/") for part in known.split(",")
    )


class Thumbnails:
    """Makes them, and keeps the last ones in memory."""

    def __init__(self, limits: DecodeLimits, cores: Cores) -> None:
        self._limits, self._cores = limits, cores
        self._cache: LRUCache[tuple[str, int, str], bytes] = LRUCache(CACHE_BYTES, getsizeof=len)
        self._lock = Lock()

    def get(self, sha256: str, size: int, kind: str, read: Callable[[], bytes]) -> bytes:
        """No side longer than `size` pixels, encoded as the media type `kind`.

        Raises ImageError, FetchError."""
        key = (sha256, size, kind)
        with self._lock:
            if (found := self._cache.get(key)) is not None:
                return found
        made = self._make(read(), size, FORMATS[kind])
        with self._lock:
            if len(made) <= self._cache.maxsize:
                self._cache[key] = made
        return made

    def _make(self, data: bytes, size: int, format: str) -> bytes:
        with self._cores:
            image = Image.fromarray(decode(data, at_least=size, limits=self._limits).pixels)
            image.thumbnail((size, size))
            buffer = BytesIO()
            image.save(buffer, format, **QUALITY[format])
        return buffer.getvalue()
