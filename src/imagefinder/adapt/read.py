"""The evidence that a user names: labels, or judged pairs."""

from typing import TYPE_CHECKING

from imagefinder.adapt.examples import Examples, read_examples
from imagefinder.adapt.liked import Liked, of_pairs
from imagefinder.labels import read_labels
from imagefinder.labels.liked import read_liked
from imagefinder.labels.reading import Where, has_pairs

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder


def read_evidence(
    finder: "LocalFinder", where: Where | None, label: str | None, space: str
) -> Examples | Liked:
    """Pairs where it is a table of them, else labelled images. Raises SourceError, UsageError."""
    if where is not None and has_pairs(where):
        return of_pairs(finder, read_liked(finder, where), space)
    return read_examples(finder, read_labels(where, finder, label=label), space)
