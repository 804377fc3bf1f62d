"""What a zvec collection holds for each image, made so that filters can search in it."""

import zlib
from collections.abc import Mapping
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

from imagefinder.filters import as_number, canonical
from imagefinder.stores.embedded_columns import SPARE_COLUMNS
from imagefinder.stores.embedded_tokens import tokens_of
from imagefinder.stores.ids import key_of
from imagefinder.stores.record_json import to_json
from imagefinder.types import ImageRecord

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding

__all__ = [
    "BUCKET",
    "BUCKETS",
    "EMBEDDING",
    "NUMBERS",
    "NUMBER_FIELDS",
    "RECORD",
    "TOKENS",
    "bucket_of",
    "document",
    "schema",
]

EMBEDDING = "embedding"
RECORD = "record"  # the whole record as JSON
TOKENS = "tokens"
BUCKET = "bucket"  # a hash of the id: cuts a collection into parts that writes do not move
BUCKETS = 1 << 32
NUMBER_FIELDS = ("width", "height", "size", "date", "latitude", "longitude")
NUMBERS = (*NUMBER_FIELDS, BUCKET, *SPARE_COLUMNS)  # all the numeric columns


def schema(dim: int) -> CollectionSchema:
    lookup, ranges = InvertIndexParam(), InvertIndexParam(enable_range_optimization=True)
    # No int8 beside the float32: it builds in two thirds of the time and is no faster to search,
    # and without it a linear search is exact.
    graph = HnswIndexParam(metric_type=MetricType.COSINE, m=16, ef_construction=100)
    return CollectionSchema(
        name="space",
        fields=[
            FieldSchema(TOKENS, DataType.ARRAY_STRING, nullable=True, index_param=lookup),
            *(
                FieldSchema(name, DataType.DOUBLE, nullable=True, index_param=ranges)
                for name in NUMBERS
            ),
            FieldSchema(RECORD, DataType.STRING),
        ],
        vectors=VectorSchema(EMBEDDING, DataType.VECTOR_FP32, dim, index_param=graph),
    )


def document(
    record: ImageRecord, columns: Mapping[str, str], embedding: "Embedding | None" = None
) -> Doc:
    """The document of a record. One without an embedding is for an update, which leaves alone the
    columns that it does not name, so that it names them all."""
    numbers = _numbers(record, columns)
    if embedding is None:
        numbers = dict.fromkeys([*NUMBER_FIELDS, *columns.values()]) | numbers
    return Doc(
        id=key_of(record.id),
        vectors=None if embedding is None else {EMBEDDING: embedding},
        fields={
            TOKENS: tokens_of(record),
            BUCKET: float(bucket_of(record.id)),
            RECORD: to_json(record),
            **numbers,
        },
    )


def bucket_of(id: str) -> int:
    """The same for two ids that `==` takes for one."""
    return zlib.crc32(canonical(id).encode("utf-8", "surrogatepass"))


def _numbers(record: ImageRecord, columns: Mapping[str, str]) -> dict[str, float | None]:
    values = {name: as_number(getattr(record, name)) for name in NUMBER_FIELDS}
    for key, value in record.metadata.items():
        if key in columns:
            values[columns[key]] = as_number(value)
    # -0.0 + 0.0 is 0.0; zvec's index would tell the two apart.
    return {name: number + 0.0 for name, number in values.items() if number is not None}
