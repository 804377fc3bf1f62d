"""What to say of a source without any image."""

from imagefinder.errors import SourceError
from imagefinder.protocols import Source


def nothing_in(source: Source, ignored: int) -> SourceError:
    """It is most likely not the one that was meant. `ignored`: how many of its files are no
    images."""
    if not source.complete:
        what = "no image is left by include, exclude and sample"
    else:
        what = f"no image among its {ignored} files" if ignored else "it is empty"
    return SourceError(f"{source.root}: {what}; name a folder, file, table or URL with images")
