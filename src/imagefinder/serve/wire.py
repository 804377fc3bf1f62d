"""What goes over the wire: the bodies of `/v1`, with an example each."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from imagefinder._version import __version__
from imagefinder.serve.metadata import FINITE, NewMetadata
from imagefinder.types import Distance, Metadata

Score = Annotated[
    float,
    Field(
        description="Greater is more alike. The cosine similarity, -1 to 1, unless `/v1/models`"
        " says something else of the space; of several spaces the fused rank, 0 to 1."
    ),
]
WireMetadata = dict[str, JsonValue]

RECORD: dict[str, JsonValue] = {
    "id": "big-cat-06",
    "uri": "images/big-cat-06.png",
    "sha256": "09d39ff7494adc3fbf081b39d25ccddb98cdcf80da3e36b65b30f10535455fe7",
    "width": 416,
    "height": 278,
    "format": "png",
    "size": 16696,
    "mtime": 1767225600.0,
    "date": None,
    "camera": None,
    "latitude": None,
    "longitude": None,
    "metadata": {"label": "big cat"},
    "thumbnail": "/v1/images/big-cat-06/thumbnail",
}


def example(value: dict[str, JsonValue]) -> ConfigDict:
    """A model's configuration with one example."""
    return ConfigDict(json_schema_extra={"examples": [value]})


class WireHit(BaseModel):
    """One result, best first."""

    id: str
    score: Score
    uri: str
    metadata: WireMetadata
    confidence: float | None = Field(description="Calibrated, 0 to 1; null without calibration.")
    thumbnail: str = Field(description="Where a small picture of it is.")


class SearchAnswer(BaseModel):
    model_config = example(
        {
            "model": "efficientnet-lite0",
            "took_ms": 11.3,
            "hits": [
                {
                    "id": RECORD["id"],
                    "score": 0.7703134,
                    "uri": RECORD["uri"],
                    "metadata": RECORD["metadata"],
                    "confidence": 0.877,
                    "thumbnail": RECORD["thumbnail"],
                }
            ],
        }
    )

    model: str
    took_ms: float
    hits: list[WireHit]
    previews: list[str] = Field(
        default=[], description="Pictures of the query as data URLs; there when asked for."
    )


class WireRecord(BaseModel):
    model_config = example(RECORD)

    id: str
    uri: str = Field(description="A URL, or the path below the folder that was indexed.")
    sha256: str
    width: int
    height: int
    format: str
    size: int = Field(description="Bytes of the file.")
    mtime: float | None = Field(description="Seconds since 1970.")
    date: datetime | None
    camera: str | None
    latitude: float | None
    longitude: float | None
    metadata: WireMetadata
    thumbnail: str
    embedding: list[float] = Field(
        default=[], description="Of unit length; there when asked for, and where the space has one."
    )


class ImagesAnswer(BaseModel):
    model_config = example({"images": [RECORD], "next": RECORD["id"]})

    images: list[WireRecord]
    next: str | None = Field(
        description="`after` of the next page; null on the last one, and of a sample."
    )


class WireSkippedUpload(BaseModel):
    name: str
    reason: str


class AddAnswer(BaseModel):
    model_config = example(
        {
            "added": ["cat.jpg"],
            "updated": [],
            "unchanged": [],
            "skipped": [{"name": "broken.jpg", "reason": "not an image"}],
        }
    )

    added: list[str]
    updated: list[str]
    unchanged: list[str]
    skipped: list[WireSkippedUpload]


class MetadataChange(BaseModel):
    """A JSON merge patch (RFC 7396): null takes a value out, what is not named stays."""

    model_config = ConfigDict(
        **FINITE,
        extra="forbid",
        json_schema_extra={"examples": [{"metadata": {"label": "tiger", "draft": None}}]},
    )

    metadata: NewMetadata


class EmbedAnswer(BaseModel):
    model_config = example(
        {"model": "efficientnet-lite0", "dim": 3, "embeddings": [[0.48, -0.6, 0.64]]}
    )

    model: str
    dim: int
    embeddings: list[list[float]] = Field(
        description="One row an image, of unit length where the space compares by cosine."
    )


class StatusAnswer(BaseModel):
    model_config = example(
        {
            "collection": "photos",
            "model": "efficientnet-lite0",
            "dim": 256,
            "images": 304,
            "skipped": 0,
            "spaces": ["efficientnet-lite0"],
            "disk_bytes": 1884160,
            "version": __version__,
            "read_only": False,
            "writable": True,
            "serves_content": False,
            "fetches_urls": True,
            "max_results": 1000,
            "max_upload_bytes": 50_000_000,
        }
    )

    collection: str
    model: str
    dim: int
    images: int
    skipped: int
    spaces: list[str]
    disk_bytes: int | None
    version: str
    read_only: bool = Field(description="Whether nobody may change the collection.")
    writable: bool = Field(description="Whether whoever asks may change the collection.")
    serves_content: bool = Field(description="Whether `/v1/images/{id}/content` answers.")
    fetches_urls: bool = Field(description="Whether `url` may be used.")
    max_results: int = Field(description="The greatest `k`, `limit` and `sample`.")
    max_upload_bytes: int = Field(description="Of a request's body.")


class WireFieldValue(BaseModel):
    value: str | bool
    count: int


class WireField(BaseModel):
    name: str
    type: Literal["text", "number", "date", "bool", "list"]
    count: int = Field(description="How many of the sampled images have it.")
    values: list[WireFieldValue] = Field(
        description="The commonest of text, bool and list; none where each image has another one."
    )
    min: int | float | str | None = Field(description="Of numbers, and of dates in ISO form.")
    max: int | float | str | None


class FieldsAnswer(BaseModel):
    model_config = example(
        {
            "images": 304,
            "sampled": 304,
            "fields": [
                {
                    "name": "format",
                    "type": "text",
                    "count": 304,
                    "values": [{"value": "png", "count": 224}, {"value": "jpeg", "count": 80}],
                    "min": None,
                    "max": None,
                },
                {
                    "name": "width",
                    "type": "number",
                    "count": 304,
                    "values": [],
                    "min": 179,
                    "max": 416,
                },
            ],
        }
    )

    images: int = Field(description="Of the collection.")
    sampled: int = Field(description="How many of them were looked at, picked at random.")
    fields: list[WireField]


class MapAnswer(BaseModel):
    model_config = example(
        {
            "model": "efficientnet-lite0",
            "method": "t-SNE",
            "images": 304,
            "drawing": False,
            "ids": ["big-cat-06", "horse-01"],
            "x": [0.4379, 0.8512],
            "y": [0.1204, 0.7739],
        }
    )

    model: str
    method: Literal["t-SNE", "PCA"] | None = Field(
        description="t-SNE keeps neighbours together; PCA, where the extra `map` is not installed,"
        " shows the two main directions. Null while the first map is drawn."
    )
    images: int = Field(description="Of the collection; a map has 5,000 of them at most.")
    drawing: bool = Field(description="Whether a newer map is being drawn: ask again.")
    ids: list[str]
    x: list[float] = Field(description="For each id, 0 to 1; one scale for both axes.")
    y: list[float]


class WireModel(BaseModel):
    name: str = Field(description="Of the space; what `space` takes.")
    dim: int
    default: bool = Field(description="Whether searches use it when they name none.")
    text: bool = Field(description="Whether it understands words.")
    distance: Distance = Field(
        description="What a score is. `cosine`: the cosine similarity; `dot`: the dot product;"
        " `euclidean`: minus the Euclidean distance. Greater is more alike."
    )
    images: int = Field(description="How many it has.")
    behind: int = Field(description="How many of the collection it lacks.")


class ModelsAnswer(BaseModel):
    model_config = example(
        {
            "models": [
                {
                    "name": "efficientnet-lite0",
                    "dim": 256,
                    "default": True,
                    "text": False,
                    "distance": "cosine",
                    "images": 304,
                    "behind": 0,
                }
            ],
            "filling": None,
        }
    )

    models: list[WireModel]
    filling: str | None = Field(description="The model by which images are being embedded now.")


class SpaceChange(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"default": True}]})

    default: Literal[True] = Field(description="Searches that name no space use this one.")


class WireSkipped(BaseModel):
    id: str
    uri: str
    reason: str


class SkippedAnswer(BaseModel):
    model_config = example(
        {"skipped": [{"id": "old.jpg", "uri": "old.jpg", "reason": "the file is cut short"}]}
    )

    skipped: list[WireSkipped]


def plain(metadata: Metadata) -> WireMetadata:
    """Metadata as JSON has it."""
    return {
        name: value if isinstance(value, (str, int, float)) or value is None else list(value)
        for name, value in metadata.items()
    }
