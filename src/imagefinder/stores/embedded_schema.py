"""What a zvec collection holds for each image."""

from typing import TYPE_CHECKING

from zvec import (
    CollectionSchema,
    DataType,
    Doc,
    FieldSchema,
    HnswIndexParam,
    InvertIndexParam,
    MetricType,
    VectorSchema,
)

from imagefinder.stores.filter_tokens import tokens_of
from imagefinder.stores.ids import bucket_of, key_of
from imagefinder.stores.record_json import to_json
from imagefinder.types import Distance, ImageRecord

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding

__all__ = [
    "BUCKET",
    "EMBEDDING",
    "RECORD",
    "TOKENS",
    "distance_of",
    "document",
    "schema",
]

EMBEDDING = "embedding"
RECORD = "record"  # the whole record as JSON
TOKENS = "tokens"  # what filters look up
BUCKET = "bucket"  # a hash of the id: cuts a collection into parts that writes do not move

METRICS: dict[Distance, MetricType] = {
    "cosine": MetricType.COSINE,
    "euclidean": MetricType.L2,
    "dot": MetricType.IP,
}


def schema(dim: int, distance: Distance) -> CollectionSchema:
    lookup, ranges = InvertIndexParam(), InvertIndexParam(enable_range_optimization=True)
    # No int8 beside the float32: it is no faster to search, and without it a linear search is
    # exact. It would build in two thirds of the time.
    graph = HnswIndexParam(metric_type=METRICS[distance], m=16, ef_construction=100)
    return CollectionSchema(
        name="space",
        fields=[
            FieldSchema(TOKENS, DataType.ARRAY_STRING, nullable=False, index_param=lookup),
            FieldSchema(BUCKET, DataType.INT64, nullable=False, index_param=ranges),
            FieldSchema(RECORD, DataType.STRING, nullable=False),
        ],
        vectors=VectorSchema(EMBEDDING, DataType.VECTOR_FP32, dim, index_param=graph),
    )


def distance_of(embedding: VectorSchema) -> Distance | None:
    """What `schema` was told; None for a metric that it never chooses."""
    metric = getattr(embedding.index_param, "metric_type", None)
    return next((distance for distance, each in METRICS.items() if each == metric), None)


def document(record: ImageRecord, embedding: "Embedding | None" = None) -> Doc:
    """The document of a record; without an embedding for an update, which keeps the old one."""
    fields = {
        TOKENS: tokens_of(record),
        BUCKET: bucket_of(record.id),
        RECORD: to_json(record),
    }
    return Doc(
        id=key_of(record.id),
        vectors=None if embedding is None else {EMBEDDING: embedding},
        fields=fields,
    )
