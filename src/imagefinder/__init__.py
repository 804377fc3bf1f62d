"""ImageFinder finds the images of a collection that look most like a given image.

from imagefinder import ImageFinder

with ImageFinder.open("photos") as finder:
    finder.index("~/Pictures")
    for hit in finder.search("query.jpg", k=3):
        print(hit.id, hit.score, hit.uri)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from imagefinder import errors as errors
from imagefinder._version import __version__
from imagefinder.errors import ImageFinderError
from imagefinder.query import IdPart, ImagePart, Query, TextPart
from imagefinder.types import (
    AddReport,
    Box,
    FillReport,
    Hit,
    ImageRecord,
    ImportReport,
    IndexReport,
    Skipped,
    SpaceStatus,
    Status,
    Upload,
)

if TYPE_CHECKING:
    from imagefinder.decode import DecodeLimits
    from imagefinder.finder import ImageFinder
    from imagefinder.sources import TableColumns

__all__ = [
    "AddReport",
    "Box",
    "DecodeLimits",
    "FillReport",
    "Hit",
    "IdPart",
    "ImageFinder",
    "ImageFinderError",
    "ImagePart",
    "ImageRecord",
    "ImportReport",
    "IndexReport",
    "Query",
    "Skipped",
    "SpaceStatus",
    "Status",
    "TableColumns",
    "TextPart",
    "Upload",
    "__version__",
    "errors",
]

# numpy, Pillow, ONNX Runtime and zvec load with the first of these that is used
ON_USE = {
    "DecodeLimits": "imagefinder.decode",
    "ImageFinder": "imagefinder.finder",
    "TableColumns": "imagefinder.sources",
}


def __getattr__(name: str) -> object:
    if name in ON_USE:
        return getattr(import_module(ON_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
