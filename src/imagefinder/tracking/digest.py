"""The labelled images that a run is about, and a digest that tells them from any others."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from imagefinder.labels import read_labels
from imagefinder.labels.liked import read_liked
from imagefinder.labels.reading import has_pairs
from imagefinder.sources.address import redact

if TYPE_CHECKING:
    from mlflow.entities import Dataset

    from imagefinder.finder import ImageFinder
    from imagefinder.labels import Judgements

LONGEST = 36  # letters of a digest, for MLflow


@dataclass(frozen=True, slots=True)
class DataSet:
    """Labelled images. The `digest` is the same for the same images with the same labels, wherever
    they are and whatever their order."""

    name: str
    source: str
    digest: str
    images: int
    classes: int

    def entity(self) -> "Dataset":
        """As MLflow keeps it."""
        from mlflow.entities import Dataset

        return Dataset(
            name=self.name,
            digest=self.digest,
            source_type="imagefinder",
            source=json.dumps({"uri": self.source}),
            profile=json.dumps({"images": self.images, "classes": self.classes}),
        )


def digest_of(images: Iterable[tuple[str, str, object]]) -> str:
    """Of each image its id, the SHA-256 of its bytes, and its label or right answers."""
    lines = sorted(json.dumps(image, sort_keys=True) for image in images)
    return sha256("\n".join(lines).encode()).hexdigest()[:LONGEST]


def labelled(
    finder: "ImageFinder", judgements: "Judgements", labels: str | None, collection: str | None
) -> DataSet:
    """The images that are judged, each with its class or its right answers. `labels` is where these
    stand, None for the metadata of the `collection`."""
    asked = set() if judgements.classes else set(judgements.queries)
    images = [
        (
            record.id,
            record.sha256,
            sorted(judgements.relevant(record.id).items())
            if record.id in asked
            else judgements.classes.get(record.id),
        )
        for record in finder.images()
        if record.id in judgements
    ]
    classes = len(set(judgements.classes.values()))
    return named(labels, collection, digest_of(images), len(images), classes)


def learned_from(
    finder: "ImageFinder", labels: str | os.PathLike[str] | None, label: str | None, collection: str
) -> DataSet:
    """What `adapt` reads: labelled images, or a table of judged pairs."""
    where = None if labels is None else os.fspath(labels)
    if where is None or not has_pairs(where):
        return labelled(finder, read_labels(where, finder, label=label), where, collection)
    judged: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
    for pair in read_liked(finder, where):
        judged[pair.query].append((pair.id, pair.liked))
        judged[pair.id]  # so that its bytes count, too
    images = [
        (record.id, record.sha256, sorted(judged[record.id]))
        for record in finder.images()
        if record.id in judged
    ]
    return named(where, collection, digest_of(images), len(images), 0)


def named(
    labels: str | None, collection: str | None, digest: str, images: int, classes: int
) -> DataSet:
    """Called as its table or folder is."""
    source = redact(labels or collection or "images")
    name = source.partition("?")[0].rstrip("/\\").replace("\\", "/").rpartition("/")[2]
    return DataSet(name or source, source, digest, images, classes)
