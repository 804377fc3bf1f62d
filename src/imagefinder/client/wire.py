"""What a service answers, as the library's values; whatever does not fit raises."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import numpy as np

from imagefinder.arrays import Embedding
from imagefinder.client.connection import Answer
from imagefinder.types import (
    AddReport,
    Distance,
    Hit,
    ImageRecord,
    Metadata,
    MetadataValue,
    Skipped,
    SpaceStatus,
    Status,
)

DISTANCES: dict[str, Distance] = {name: name for name in get_args(Distance)}
Page = tuple[list[tuple[ImageRecord, Embedding | None]], str | None]


def hits(answer: Answer) -> list[Hit]:
    """Of a search."""
    return [
        Hit(
            id=text(hit["id"]),
            score=float(hit["score"]),
            uri=text(hit["uri"]),
            metadata=mapping(hit["metadata"]),
            confidence=hit.get("confidence"),
        )
        for hit in answer["hits"]
    ]


def record(found: Answer) -> ImageRecord:
    """One image."""
    date = found.get("date")
    return ImageRecord(
        id=text(found["id"]),
        uri=text(found["uri"]),
        sha256=text(found["sha256"]),
        width=int(found["width"]),
        height=int(found["height"]),
        format=text(found["format"]),
        size=int(found["size"]),
        mtime=found.get("mtime"),
        date=None if date is None else datetime.fromisoformat(date),
        camera=found.get("camera"),
        latitude=found.get("latitude"),
        longitude=found.get("longitude"),
        metadata=mapping(found["metadata"]),
    )


def page(answer: Answer) -> Page:
    """A page of images, and after which id the next one begins."""
    found = [(record(image), embedding(image.get("embedding"))) for image in answer["images"]]
    return found, answer["next"]


def embedding(numbers: object) -> Embedding | None:
    """(dim,)"""
    return None if numbers is None else np.array(numbers, dtype=np.float32)


def embeddings(count: int, answer: Answer) -> list[Embedding]:
    """`count` rows."""
    rows = [np.array(row, dtype=np.float32) for row in answer["embeddings"]]
    if len(rows) != count:
        raise ValueError(f"{len(rows)} rows for {count} images")
    return rows


def status(answer: Answer) -> Status:
    """Without `path`, which is the caller's word for the service."""
    return Status(
        collection=text(answer["collection"]),
        path="",
        model=text(answer["model"]),
        dim=int(answer["dim"]),
        images=int(answer["images"]),
        skipped=int(answer["skipped"]),
        spaces=tuple(map(text, answer["spaces"])),
        sources=(),
        disk_bytes=None if answer["disk_bytes"] is None else int(answer["disk_bytes"]),
    )


@dataclass(frozen=True, slots=True)
class Models:
    """The spaces, and the model by which images are being embedded now."""

    spaces: list[SpaceStatus]
    filling: str | None


def models(answer: Answer) -> Models:
    """Where a space's model is, is the service's business."""
    spaces = [
        SpaceStatus(
            name=text(one["name"]),
            model="",
            dim=int(one["dim"]),
            distance=DISTANCES[text(one["distance"])],
            images=int(one["images"]),
            behind=int(one["behind"]),
            in_use=bool(one["default"]),
            text=bool(one["text"]),
        )
        for one in answer["models"]
    ]
    return Models(spaces, answer["filling"])


def skipped(answer: Answer) -> list[Skipped]:
    """The images that could not be indexed."""
    return [
        Skipped(text(one["id"]), text(one["uri"]), text(one["reason"])) for one in answer["skipped"]
    ]


def added(answer: Answer) -> AddReport:
    """What became of uploads; a skipped one has no id here, its uri is the name it was sent by."""
    return AddReport(
        added=list(map(text, answer["added"])),
        updated=list(map(text, answer["updated"])),
        unchanged=list(map(text, answer["unchanged"])),
        skipped=[Skipped("", text(s["name"]), text(s["reason"])) for s in answer["skipped"]],
    )


def plain(metadata: Metadata) -> dict[str, MetadataValue]:
    """Metadata as it comes back from JSON: lists, and None for what is no finite number."""
    values = {name: finite(value) for name, value in metadata.items()}
    known: dict[str, MetadataValue] = json.loads(json.dumps(values, default=list))
    return known


def finite(value: MetadataValue) -> MetadataValue:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return [each for each in value if not isinstance(each, float) or math.isfinite(each)]


def text(value: object) -> str:
    """Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text belongs")
    return value


def mapping(value: object) -> Mapping[str, MetadataValue]:
    """Raises TypeError."""
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where an object belongs")
    return value
