"""Opens bytes of a known format as a Pillow image whose pixels are not decoded yet.

The plugins are used directly and not through `Image.open`: that refuses by a limit which is
global to the process, and a library must neither change it nor depend on it.
"""

import re
from collections.abc import Callable

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from imagefinder.decode import heif, png, tiff
from imagefinder.decode.limits import DecodeLimits
from imagefinder.decode.pieces import Pieces
from imagefinder.errors import ImageError

_MOST_SCANS = 100  # of a progressive JPEG; encoders write about 10


def open_image(data: bytes, format: str, limits: DecodeLimits) -> ImageFile.ImageFile:
    """The image, its size checked. Raises ImageError, and whatever a plugin raises."""
    try:
        image = _OPENERS[format](data)
    except Image.DecompressionBombError as error:  # WebP makes room for the picture to open it
        pixels = re.search(r"(\d+) pixels", str(error))
        limits.check_pixels(int(pixels[1]) if pixels else 0, 1)
        raise ImageError("more megapixels than Pillow opens of this format") from error
    limits.check_pixels(*image.size)
    if isinstance(image, TiffImageFile):
        _check_tiles(image, limits)
    if "progressive" in image.info:
        _check_scans(data)
    return image


def _check_tiles(image: TiffImageFile, limits: DecodeLimits) -> None:
    """A small picture may declare one giant tile, for which the decoder makes room."""
    sides = image.tag_v2.get(TILEWIDTH), image.tag_v2.get(TILELENGTH)
    if isinstance(sides[0], int) and isinstance(sides[1], int):
        limits.check_pixels(sides[0], sides[1])


def _check_scans(data: bytes) -> None:
    """Each scan of a progressive JPEG costs a pass over the whole picture."""
    by_chance = len(data) // 30_000  # the mark also occurs in a film that is appended
    if data.count(b"\xff\xda") > _MOST_SCANS + by_chance:
        raise ImageError(f"a progressive JPEG of more than {_MOST_SCANS} scans")


class _Jpeg(JpegImageFile):
    """Of a file with several pictures (MPO) it is the first one."""

    def _read_dpi_from_exif(self) -> None:
        """Not needed, and text for a resolution makes it fail."""


class _Tiff(TiffImageFile):
    def load_prepare(self) -> None:
        """As inherited, without the check against Pillow's global limit."""
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.ImageFile.load_prepare(self)


def _open_jpeg(data: bytes) -> ImageFile.ImageFile:
    image = _Jpeg(Pieces(data))
    # In one go: the decoder then takes the GIL once and not for each 64 kB.
    image.decodermaxblock = max(len(data), image.decodermaxblock)
    return image


def _open_png(data: bytes) -> ImageFile.ImageFile:
    essence = png.essence(data)
    image = PngImageFile(Pieces(essence.data))
    image.decodermaxblock = max(len(data), image.decodermaxblock)
    if essence.profile is not None:
        image.info["icc_profile"] = essence.profile
    if essence.exif is not None:
        image.info["exif"] = essence.exif
    return image


def _open_avif(data: bytes) -> ImageFile.ImageFile:
    try:
        return AvifImageFile(Pieces(data))
    except Exception:
        # Broken EXIF is refused by libavif and by Pillow: take the item for one of unknown type.
        without = re.sub(rb"(infe.{8})Exif", rb"\1none", data, flags=re.DOTALL)
        if without == data:
            raise
        return AvifImageFile(Pieces(without))


def _open_tiff(data: bytes) -> ImageFile.ImageFile:
    if tiff.is_cut_short(data):
        raise EOFError
    return _Tiff(Pieces(data))


def _open_heif(data: bytes) -> ImageFile.ImageFile:
    from pi_heif import HeifImageFile

    heif.check(data)
    return HeifImageFile(Pieces(data))  # type: ignore[no-any-return]


_OPENERS: dict[str, Callable[[bytes], ImageFile.ImageFile]] = {
    "jpeg": _open_jpeg,
    "png": _open_png,
    "webp": lambda data: WebPImageFile(Pieces(data)),
    "avif": _open_avif,
    "heif": _open_heif,
    "gif": lambda data: GifImageFile(Pieces(data)),
    "tiff": _open_tiff,
    "bmp": lambda data: BmpImageFile(Pieces(data)),
}
