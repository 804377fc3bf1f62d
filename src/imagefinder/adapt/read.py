"""The evidence that a user names: labels, or judged pairs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.adapt.examples import Examples, read_examples
from imagefinder.adapt.liked import Liked, of_pairs
from imagefinder.labels import read_labels
from imagefinder.labels.columns import is_liked
from imagefinder.labels.liked import read_liked
from imagefinder.labels.reading import columns_of
from imagefinder.sources.address import local_path

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder


def read_evidence(
    finder: "LocalFinder", where: str | os.PathLike[str] | None, label: str | None, space: str
) -> Examples | Liked:
    """Pairs where it is a table of them, else labelled images. Raises SourceError, UsageError."""
    if where is not None and is_liked(columns_of(where)):
        table = Path(local_path(os.fspath(where))).expanduser()
        return of_pairs(finder, read_liked(finder, table), space)
    return read_examples(finder, read_labels(where, finder, label=label), space)
