"""A collection that is there for the measuring only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imagefinder.finder import ImageFinder

if TYPE_CHECKING:
    from imagefinder.models import OnFetch


@contextmanager
def temporary(
    model: str | None = None, *, device: str = "auto", on_fetch: "OnFetch | None" = None
) -> Iterator[ImageFinder]:
    """An empty collection, to index into; all of it is gone afterwards. The arguments are those of
    `ImageFinder.open`."""
    with TemporaryDirectory(prefix="imagefinder-") as folder:
        where = Path(folder, "evaluation")
        with ImageFinder.open(where, model=model, device=device, on_fetch=on_fetch) as finder:
            yield finder
