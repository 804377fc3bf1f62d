"""What the name of a file says about it."""

from itertools import chain

# By format, as `signatures.sniff` calls it; the usual extension first.
EXTENSIONS = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png", ".apng"),
    "webp": (".webp",),
    "avif": (".avif",),
    "heif": (".heic", ".heif", ".hif"),
    "gif": (".gif",),
    "tiff": (".tif", ".tiff"),
    "bmp": (".bmp", ".dib"),
}
IMAGE_EXTENSIONS = frozenset(chain.from_iterable(EXTENSIONS.values()))
TABLE_EXTENSIONS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt"})
HEAD = 64  # bytes that tell what a file is
MANIFEST_NAME = "imagefinder-manifest.jsonl"

# What systems leave between a user's pictures; Synology's @eaDir is full of thumbnails.
_LITTER = frozenset({"@eadir", "__macosx", "thumbs.db", "desktop.ini", MANIFEST_NAME})


def extension(name: str) -> str:
    """`.jpg` of `a/B.JPG`; empty where there is none."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > max(name.rfind("/"), 0) else ""


def is_image_name(name: str) -> bool:
    return extension(name) in IMAGE_EXTENSIONS


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is left out, neither indexed nor counted."""
    return name.startswith(".") or name.lower() in _LITTER
