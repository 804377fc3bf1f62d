"""Two pictures to test with, in every format."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).parent / "data"
SIZE = WIDTH, HEIGHT = 96, 64
CORNERS = ((220, 40, 40), (40, 200, 60), (50, 70, 220), (240, 220, 60))  # TL, TR, BL, BR


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Four corners of four colours, so that no turn and no mirroring goes unseen."""
    image = Image.new("RGB", (2, 2))
    image.putdata(CORNERS)
    return image.resize(size, Image.Resampling.NEAREST)


def photograph(size: tuple[int, int] = SIZE) -> Image.Image:
    """Smooth noise: nothing of it compresses to nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def samples(image: Image.Image) -> dict[str, bytes]:
    """The picture in every format and usual variant, by file name. HEIF: always `picture()`."""
    grey, palette = image.convert("L"), image.quantize(16)
    return {
        "baseline.jpg": encoded(image, "JPEG", quality=92, subsampling=0),
        "subsampled.jpg": encoded(image, "JPEG", quality=92, subsampling=2),
        "progressive.jpg": encoded(image, "JPEG", quality=92, progressive=True),
        "grey.jpg": encoded(grey, "JPEG", quality=92),
        "two-pictures.jpg": encoded(image, "MPO", save_all=True, append_images=[grey], quality=92),
        "rgb.png": encoded(image, "PNG"),
        "palette.png": encoded(palette, "PNG"),
        "lossy.webp": encoded(image, "WEBP", quality=92),
        "lossless.webp": encoded(image, "WEBP", lossless=True),
        "picture.avif": encoded(image, "AVIF", quality=92, subsampling="4:4:4"),
        "picture.heic": (DATA / "upright.heic").read_bytes(),
        "picture.gif": encoded(palette, "GIF"),
        "raw.tif": encoded(image, "TIFF"),
        "lzw.tif": encoded(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(image, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encoded(image, "TIFF", compression="jpeg", quality=92),
        "big.tif": encoded(image, "TIFF", big_tiff=True),
        "picture.bmp": encoded(image, "BMP"),
        "palette.bmp": encoded(palette, "BMP"),
    }
