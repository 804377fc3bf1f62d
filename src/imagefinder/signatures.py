"""What a file's first bytes say that it is, whatever its name says."""

from codecs import utf_8_decode

__all__ = ["FORMATS", "describe", "refusal", "sniff"]

FORMATS = ("jpeg", "png", "webp", "avif", "heif", "gif", "tiff", "bmp")

_STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
)
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
_HEIF_BRANDS = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"mif2", b"msf1"),
)

_UNSUPPORTED = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\x01\0", "icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"DDS ", "DDS"),
    (b"gimp xcf", "GIMP"),
    (b"qoif", "QOI"),
    (b"FUJIFILMCCD-RAW", "raw camera"),
)
_OTHERS = (
    (b"%PDF", "PDF"),
    (b"\x1aE\xdf\xa3", "video"),
    (b"\0\0\x01\xba", "video"),
    (b"\0\0\x01\xb3", "video"),
    (b"FLV\x01", "video"),
    (b"ID3", "sound"),
    (b"OggS", "sound"),
    (b"fLaC", "sound"),
    (b"PK\x03\x04", "an archive"),
    (b"PK\x05\x06", "an archive"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ\0", "an archive"),
    (b"\x28\xb5\x2f\xfd", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "a database"),
)
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


def sniff(head: bytes) -> str | None:
    """The image format that the first bytes announce, one of FORMATS; 64 bytes suffice."""
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "bmp"  # the letters alone would make an image of a text about BMX
    return None


def _sniff_brands(head: bytes) -> str | None:
    """AVIF and HEIF share a container; `mif1` alone leaves open which of the two it is."""
    brands = _brands(head)
    if b"avif" in brands or b"avis" in brands:
        return "avif"
    return "heif" if any(brand in _HEIF_BRANDS for brand in brands) else None


def _brands(head: bytes) -> list[bytes]:
    """The major brand, then the compatible ones (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(head[:4], "big"), len(head) - len(head) % 4)
    return [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]


def refusal(head: bytes) -> str:
    """Why these first bytes of a file cannot be decoded, for bytes that `sniff` does not know."""
    unsupported = _unsupported(head)
    if unsupported:
        return f"{unsupported} images are not supported"
    return f"not an image: the content is {describe(head)}" if head else "empty file"


def describe(head: bytes) -> str:
    """What content that is no image is, as far as a person wants to know."""
    for start, name in _OTHERS:
        if head.startswith(start):
            return name
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "video"
    if head.startswith(b"RIFF"):
        return {b"AVI ": "video", b"WAVE": "sound"}.get(head[8:12], "unknown data")
    if head and not head.strip(b"\0"):
        return "nothing but zeros"
    return _describe_text(head) or "unknown data"


def _unsupported(head: bytes) -> str | None:
    if head[4:11] == b"ftypcrx":
        return "raw camera"
    if b"<svg" in head.lower():
        return "SVG"
    return next((name for start, name in _UNSUPPORTED if head.startswith(start)), None)


def _describe_text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"  # UTF-16
    if _CONTROLS.intersection(head):
        return None
    try:
        utf_8_decode(head)  # unlike `bytes.decode` it takes a last letter that is cut in two
    except UnicodeDecodeError:
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return "HTML" if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "text"
