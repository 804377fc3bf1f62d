"""Makes a folder of image files of every kind that real collections hold, good and bad.

Used by tests and benchmarks: `make(folder)` says of each file what has to become of it.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from tests.profiles import grey_profile, wide_gamut_profile
from tests.samples import CORNERS, DATA, HEIGHT, SIZE, WIDTH, encoded, photograph, picture, samples

GOOD = None
PILLOW = int(PIL.__version__.partition(".")[0])
IGNORED = "ignored"  # no image, or nothing to read: never indexed; a source may name a reason
Verdict = str | None  # None: good; IGNORED; else a word of the reason why it is bad
Files = Iterator[tuple[str, bytes, Verdict]]


def make(folder: Path) -> dict[str, Verdict]:
    """Write the files below `folder`; returns path (with forward slashes) -> verdict."""
    verdicts: dict[str, Verdict] = {}
    for name, content, verdict in _all_files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        verdicts[name] = verdict
    return verdicts | _make_what_is_no_file(folder)


def _all_files() -> Files:
    for part in (
        *(_formats, _modes, _orientations, _animations, _shapes, _truncations, _bombs),
        *(_impostors, _broken_exif, _broken_profiles, _oddities, _names),
    ):
        for name, content, verdict in part():
            yield f"{part.__name__.removeprefix('_')}/{name}", content, verdict


def _formats() -> Files:
    for name, content in samples(picture()).items():
        yield name, content, GOOD
    yield "turned.heic", (DATA / "turned.heic").read_bytes(), GOOD
    yield "alpha.heic", (DATA / "alpha.heic").read_bytes(), GOOD


def _modes() -> Files:
    image = picture()
    alpha = Image.linear_gradient("L").resize(SIZE)
    see_through = image.copy()
    see_through.putalpha(alpha)
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    indexed = image.quantize(16)
    for mode, name, content in (
        ("1", "1.png", encoded(image.convert("1"), "PNG")),
        ("1", "1.tif", encoded(image.convert("1"), "TIFF", compression="group4")),
        ("L", "l.png", encoded(image.convert("L"), "PNG")),
        ("LA", "la.png", encoded(see_through.convert("LA"), "PNG")),
        ("LA", "la.tif", encoded(see_through.convert("LA"), "TIFF")),
        ("P", "p-transparent.png", encoded(indexed, "PNG", transparency=0)),
        ("P", "p-alpha.png", encoded(indexed, "PNG", transparency=bytes(range(0, 256, 16)))),
        ("P", "p-transparent.gif", encoded(indexed, "GIF", transparency=0)),
        ("PA", "pa.tif", encoded(indexed.convert("PA"), "TIFF")),
        ("RGB", "rgb-colour-key.png", encoded(image, "PNG", transparency=CORNERS[0])),
        ("RGBA", "rgba.png", encoded(see_through, "PNG")),
        ("RGBA", "rgba.webp", encoded(see_through, "WEBP", lossless=True)),
        ("RGBA", "rgba.avif", encoded(see_through, "AVIF")),
        ("RGBA", "rgba.tif", encoded(see_through, "TIFF")),
        ("I;16", "16.png", encoded(_deep(deep), "PNG")),
        ("I;16", "16.tif", encoded(_deep(deep), "TIFF")),
        ("I", "32.tif", encoded(Image.fromarray(deep.astype(np.int32) * 1000), "TIFF")),
        ("F", "float.tif", encoded(Image.fromarray(deep.astype(np.float32) / 65535), "TIFF")),
        ("CMYK", "cmyk.jpg", encoded(image.convert("CMYK"), "JPEG", quality=95)),
        ("CMYK", "cmyk.tif", encoded(image.convert("CMYK"), "TIFF")),
        ("YCbCr", "ycbcr.tif", encoded(image.convert("YCbCr"), "TIFF")),
        ("LAB", "lab.tif", encoded(Image.new("LAB", SIZE, (120, 183, 177)), "TIFF")),
    ):
        readable = mode != "YCbCr" or PILLOW >= 13  # before, without compression: "truncated"
        yield f"{mode.replace(';', '-')}/{name}", content, GOOD if readable else "truncated"


def _deep(values: np.ndarray) -> Image.Image:
    """A picture of mode I;16, which `fromarray` does not make of every Pillow version."""
    return Image.frombytes("I;16", (values.shape[1], values.shape[0]), values.tobytes())


def exif_block(orientation: int = 1, **more: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for tag, value in more.items():
        exif[int(tag.removeprefix("tag_"), 16)] = value
    return exif.tobytes()


def _orientations() -> Files:
    for turn in range(1, 9):
        yield f"{turn}.jpg", encoded(picture(), "JPEG", exif=exif_block(turn)), GOOD
    yield "9.jpg", encoded(picture(), "JPEG", exif=exif_block(9)), GOOD


def _animations() -> Files:
    frames = [Image.new("RGB", SIZE, (shade, shade, shade)) for shade in range(0, 200, 20)]
    options = {"save_all": True, "append_images": frames, "duration": 50}
    yield "animated.gif", encoded(picture(), "GIF", **options), GOOD
    yield "animated.webp", encoded(picture(), "WEBP", **options), GOOD
    yield "animated.png", encoded(picture(), "PNG", **options), GOOD
    yield "pages.tif", encoded(picture(), "TIFF", save_all=True, append_images=frames), GOOD
    apng = encoded(picture(), "PNG", **options)
    yield "no-frames.png", apng.replace(apng[37:49], b"acTL" + bytes(8), 1), GOOD
    yield "many-frames.gif", _many_frames(5_000), GOOD


def _many_frames(count: int) -> bytes:
    """A valid GIF whose frames take 30 bytes each."""
    start = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"," + struct.pack("<HHHHB", 0, 0, 4, 4, 0) + b"\x02\x05\x84\x8f\xa9\x8d\x05\x00"
    return start + frame * count + b";"


def _shapes() -> Files:
    for width, height in ((1, 1), (1, 10_000), (30_000, 2), (3, 1)):
        image = picture((width, height))
        for format in ("JPEG", "PNG", "TIFF", "BMP", "GIF"):
            yield f"{width}x{height}.{format.lower()}", encoded(image, format), GOOD
    for name, format in (("1x1.webp", "WEBP"), ("1x1.avif", "AVIF")):
        yield name, encoded(picture((1, 1)), format), GOOD


def _truncations() -> Files:
    for name, content in samples(photograph()).items():
        for part in (0.2, 0.4, 0.6, 0.8, 0.95):
            cut = content[: max(64, int(len(content) * part))]
            # of a file with several pictures only the first is needed
            whole = name == "two-pictures.jpg" and len(cut) >= content.rindex(b"\xff\xd8\xff")
            yield f"{int(part * 100)}-percent-{name}", cut, GOOD if whole else "truncated"
        yield f"80-bytes-{name}", content[:80], "truncated"
    size = {256: WIDTH, 257: HEIGHT, 259: 8}
    strip = _tiff(size, zlib.compress(photograph().tobytes()))
    yield "whole-strip.tif", strip, GOOD
    yield "cut-strip.tif", strip[:-30], "truncated"
    png, gif = (samples(photograph())[name] for name in ("rgb.png", "picture.gif"))
    yield "only-the-end-mark.png", png[:-12], GOOD
    yield "only-the-end-mark.gif", gif[:-1], GOOD


def _bombs() -> Files:
    small = picture()
    yield "declared.png", _png(60_000, 60_000, zlib.compress(bytes(60_000))), "megapixels"
    yield "declared.gif", b"GIF89a\xff\xff\xff\xff" + encoded(small, "GIF")[10:], "megapixels"
    yield "frame.gif", _larger_frame(_many_frames(1)), "megapixels"
    yield "declared.jpg", _larger_jpeg(encoded(small, "JPEG")), "megapixels"
    progressive = encoded(small, "JPEG", progressive=True)
    yield "declared-progressive.jpg", _larger_jpeg(progressive), "megapixels"
    yield "scans.jpg", _many_scans(progressive), "scans"
    bmp = encoded(small, "BMP")
    yield "declared.bmp", bmp[:18] + struct.pack("<ii", 90_000, 90_000) + bmp[26:], "megapixels"
    heic = (DATA / "upright.heic").read_bytes()
    at = heic.index(b"ispe") + 8
    yield "declared.heic", heic[:at] + struct.pack(">II", 20_000, 20_000) + heic[at + 8 :], "pixel"
    yield "declared.tif", _tiff({256: 60_000, 257: 60_000}), "megapixels"
    tile = {256: 10, 257: 10, 322: 60_000, 323: 60_000, 259: 8}
    yield "one-tile.tif", _tiff(tile, zlib.compress(bytes(100_000))), "megapixels"
    yield "canvas.webp", _larger_canvas(12_000), "144 megapixels"
    yield "canvas-beyond-pillow.webp", _larger_canvas(16_383), "268.5 megapixels"
    # Bombs beside the picture hurt nobody, and the picture is good.
    flat = zlib.compress(bytes(WIDTH * HEIGHT * 3 + HEIGHT) + bytes(30_000_000))
    yield "too-much-data.png", _png(WIDTH, HEIGHT, flat), GOOD
    flood = zlib.compress(bytes(30_000_000))
    yield "text.png", _with_chunk(small, b"zTXt", b"Comment\0\0" + flood), GOOD
    yield "profile.png", _with_chunk(small, b"iCCP", b"profile\0\0" + flood), GOOD
    yield "texts.png", _with_chunk(small, b"tEXt", b"Comment\0" + bytes(1_000), 2_000), GOOD


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _png(width: int, height: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _with_chunk(image: Image.Image, kind: bytes, content: bytes, times: int = 1) -> bytes:
    png = encoded(image, "PNG")
    return png[:33] + _chunk(kind, content) * times + png[33:]


def _larger_jpeg(jpeg: bytes) -> bytes:
    at = max(jpeg.find(b"\xff\xc0\0\x11"), jpeg.find(b"\xff\xc2\0\x11")) + 5
    return jpeg[:at] + struct.pack(">HH", 65_000, 65_000) + jpeg[at + 4 :]


def _many_scans(progressive: bytes) -> bytes:
    last = progressive.rindex(b"\xff\xda")
    return progressive[:last] + progressive[last:-2] * 2_000 + b"\xff\xd9"


def _larger_frame(gif: bytes) -> bytes:
    at = gif.index(b",") + 1
    return gif[:at] + struct.pack("<HHHH", 0, 0, 50_000, 50_000) + gif[at + 8 :]


def _larger_canvas(side: int) -> bytes:
    webp = encoded(picture(), "WEBP", save_all=True, append_images=[photograph()])
    at = webp.index(b"VP8X") + 12
    return webp[:at] + (side - 1).to_bytes(3, "little") * 2 + webp[at + 6 :]


def _tiff(tags: dict[int, int], pixels: bytes = bytes(1_000)) -> bytes:
    """An RGB TIFF with these tags; the picture data at its end."""
    offsets, counts = (324, 325) if 322 in tags else (273, 279)
    directory = ImageFileDirectory_v2()
    values = {258: (8, 8, 8), 259: 1, 262: 2, 277: 3, offsets: 0, counts: len(pixels)} | tags
    for tag, value in values.items():
        directory.tagtype[tag] = 4 if tag != 258 else 3
        directory[tag] = value
    head = b"II*\0" + struct.pack("<I", 8)
    if offsets == 324:  # Pillow itself counts offsets of strips from the end of the directory
        directory[offsets] = len(head + directory.tobytes(8))
    return head + directory.tobytes(8) + pixels


def _impostors() -> Files:
    image = picture()
    png, jpeg = encoded(image, "PNG"), encoded(image, "JPEG")
    text = b"This is no picture.\n" * 20
    yield "png-named.jpg", png, GOOD
    yield "jpeg-named.png", jpeg, GOOD
    yield "jpeg-named.heic", jpeg, GOOD
    yield "webp-named.gif", encoded(image, "WEBP"), GOOD
    yield "jpeg-named.dat", jpeg, GOOD
    yield "jpeg-without-extension", jpeg, GOOD
    yield "empty.jpg", b"", "empty"
    yield "one-byte.jpg", b"\xff", "unknown"
    yield "zeros.jpg", bytes(4_096), "zeros"
    yield "noise.jpg", np.random.default_rng(1).bytes(4_096), "unknown"
    yield "text.jpg", text, "text"
    yield "about-bmx.bmp", b"BMX is a sport.\n" * 9, "text"
    yield "page.png", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "HTML"
    yield "drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"
    yield "document.jpg", b"%PDF-1.7\n" + text, "PDF"
    yield "archive.jpg", b"PK\x03\x04" + bytes(60), "archive"
    yield "film.jpg", struct.pack(">I", 24) + b"ftypisom\0\0\x02\0isomiso2" + bytes(99), "video"
    yield "modern.jpg", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "JPEG XL"
    yield "notes.txt", text, IGNORED
    yield "document.pdf", b"%PDF-1.7\n" + text, IGNORED
    yield "README", text, IGNORED
    yield "nothing", b"", IGNORED
    yield ".hidden.jpg", jpeg, IGNORED


def _broken_exif() -> Files:
    image, good = picture(), exif_block(tag_010F="Acme", tag_0110="One")
    gps = Image.Exif()
    gps.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0), 3: "E", 4: (4.0, 5.0, 6.0)})
    zero = gps.tobytes().replace(struct.pack(">II", 1, 1), bytes(8))
    blocks = {
        "garbage": b"Exif\0\0" + b"\xde\xad\xbe\xef" * 20,
        "text": b"Exif\0\0this is no directory",
        "empty": b"Exif\0\0",
        "cut-off": good[:20],
        "count": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + good[16:],
        "loop": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "beyond": b"Exif\0\0II*\0" + struct.pack("<I", 2**31),
        "huge-value": b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 271, 2, 2**32 - 1, 8),
        "many-values": _exif_entry(0x0112, 3, 3, 1),
        "text-for-turn": _exif_entry(0x0112, 2, 4, 0x61626364),
        "zero-denominator": zero,
        "text-for-resolution": b"Exif\0\0II*\0\x08\0\0\0\x02\0"
        + struct.pack("<HHII", 0x011A, 2, 1, 0)
        + struct.pack("<HHIII", 0x0128, 3, 1, 2, 0),
        "dates": exif_block(tag_0132="0000:00:00 00:00:00", tag_9003="yesterday"),
    }
    for name, block in blocks.items():
        for format in ("JPEG", "PNG", "WEBP"):
            yield f"{name}.{format.lower()}", encoded(image, format, exif=block), GOOD
    avif = encoded(image, "AVIF", exif=good)
    at = avif.index(b"MM\0*", avif.index(b"mdat"))
    yield "garbage.avif", avif[:at] + b"\xde\xad\xbe\xef" + avif[at + 4 :], GOOD
    directory = ImageFileDirectory_v2()
    directory.tagtype[60_000] = 4
    directory[60_000] = (1, 2, 3)
    tiff = encoded(image, "TIFF", tiffinfo=directory)
    yield "private-tag.tif", tiff, GOOD
    private, maker = (struct.pack("<HHI", tag, 4, 3) for tag in (60_000, 271))
    assert private in tiff
    yield "three-makers.tif", tiff.replace(private, maker), GOOD
    heic = (DATA / "turned.heic").read_bytes()
    yield "item-of-no-type.heic", heic.replace(b"Exif", b"\xffxif", 1), "damaged"


def _exif_entry(tag: int, type: int, count: int, value: int) -> bytes:
    entry = struct.pack("<HHII", tag, type, count, value)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)


def _broken_profiles() -> Files:
    image, good = picture(), wide_gamut_profile()
    profiles = {
        "good": good,
        "garbage": b"\xde\xad\xbe\xef" * 50,
        "cut-off": good[: len(good) // 2],
        "too-long": good + bytes(999),
        "wrong-size": struct.pack(">I", 2**31) + good[4:],
        "other-space": grey_profile(1.8),
        "one-byte": b"x",
    }
    for name, content in profiles.items():
        for format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
            yield f"{name}.{format.lower()}", encoded(image, format, icc_profile=content), GOOD
    jpeg = encoded(image, "JPEG", icc_profile=good)
    at = jpeg.index(b"ICC_PROFILE\0") + 12
    yield "missing-part.jpg", jpeg[:at] + b"\x01\x03" + jpeg[at + 2 :], GOOD
    yield "no-zlib.png", _with_chunk(image, b"iCCP", b"name\0\0not compressed"), GOOD
    yield "method.png", _with_chunk(image, b"iCCP", b"name\0\x09" + zlib.compress(good)), GOOD


def _oddities() -> Files:
    """Bytes that change nothing."""
    image = picture()
    jpeg, png = encoded(image, "JPEG"), encoded(image, "PNG")
    yield "twin-1.jpg", jpeg, GOOD
    yield "twin-2.jpg", jpeg, GOOD
    yield "with-archive.jpg", jpeg + b"PK\x03\x04" + bytes(1_000), GOOD
    yield "padded.jpg", jpeg + bytes(100_000), GOOD
    yield "fill-bytes.jpg", jpeg[:2] + b"\xff" * 9 + jpeg[2:], GOOD
    yield (
        "comment.jpg",
        jpeg[:2] + b"\xff\xfe\xff\xff" + b"\xff\xd9" * 32_766 + b"x" + jpeg[2:],
        GOOD,
    )
    yield "after-the-end.png", png + b"<html>" * 100, GOOD
    yield "private-chunk.png", _with_chunk(image, b"prVt", b"\0" * 100), GOOD
    bad_text = _with_chunk(image, b"tEXt", b"Comment\0hello").replace(b"hello", b"jello")
    yield "checksum-of-text.png", bad_text, GOOD
    at = png.index(b"IHDR") + 4
    yield "checksum-of-header.png", png[:at] + b"\0\0\1\0" + png[at + 4 :], "damaged"
    at = png.index(b"IDAT") + 20
    yield "flipped.png", png[:at] + bytes(9) + png[at + 9 :], "damaged"


def _names() -> Files:
    content = encoded(picture(), "JPEG")
    for name in (
        *("with space.jpg", " leading.jpg", "trailing .jpg", "UPPER.JPG", "two.dots.jpg"),
        *("new\nline.jpg", "tab\t.jpg", "escape\x1b[31m.jpg", 'it\'s "quoted".jpg', "$(date).jpg"),
        *("-rf.jpg", "50%.jpg", "a;b&c|d.jpg", "back\\slash.jpg", "star*?.jpg", "[bold]x[/].jpg"),
        *("größe.jpg", "gro\u0308ße.jpg", "写真.jpg", "صورة.jpg", "🌵🐫.jpg", "\u202ereversed.jpg"),
        *("id:7.jpg", "file:x.jpg", "x" * 251 + ".jpg", "deep/" * 40 + "x.jpg"),
    ):
        yield name, content, GOOD
    yield os.fsdecode(b"caf\xe9.jpg"), content, "UTF-8"  # an id has to be text


def _make_what_is_no_file(folder: Path) -> dict[str, Verdict]:
    place = folder / "no-files"
    place.mkdir()
    (place / "folder.jpg").mkdir()
    (place / "broken-link.jpg").symlink_to("nowhere")
    (place / "loop.jpg").symlink_to("loop.jpg")
    (place / "loop").symlink_to(".", target_is_directory=True)
    os.mkfifo(place / "pipe.jpg")
    return {f"no-files/{file.name}": IGNORED for file in place.iterdir()}
