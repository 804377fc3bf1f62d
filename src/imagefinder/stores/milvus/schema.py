"""What a Milvus collection of a space holds for each image."""

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from imagefinder.errors import CollectionDamagedError, StoreError
from imagefinder.stores.ids import bucket_of, key_of
from imagefinder.stores.milvus.connection import Client
from imagefinder.stores.milvus.tokens import MAX_TOKENS, numbers_of
from imagefinder.stores.record_json import from_json, to_json
from imagefinder.types import MAX_ID_BYTES, Distance, ImageRecord

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding

__all__ = [
    "BUCKET", "EMBEDDING", "KEY", "METRICS", "RECORD", "SHA256", "TOKENS", "Row", "described",
    "record_of", "rows_of", "schema",
]  # fmt: skip

Row: TypeAlias = dict[str, Any]  # column -> value, as pymilvus has them

KEY = "key"  # of the id (stores/ids.py): what two rows never share
RECORD = "record"  # the whole record as JSON
SHA256 = "sha256"  # of the image; also in the record
TOKENS = "tokens"  # what filters look through
BUCKET = "bucket"  # a hash of the id, for filters
EMBEDDING = "embedding"

MAX_RECORD = 65_535  # bytes; Milvus has no longer text
MAX_SHA256 = 256  # bytes; a hash takes 64, what a table was imported with perhaps more
FORMAT = 1

# Rows of unit length have their cosine for dot product. Milvus' own COSINE would scale them again.
METRICS: dict[Distance, str] = {"cosine": "IP", "euclidean": "L2", "dot": "IP"}


def schema(client: Client, dim: int, distance: Distance) -> Any:
    """The schema to create a collection with. What it is for stands in its description."""
    from pymilvus import DataType

    facts = json.dumps({"imagefinder": FORMAT, "distance": distance})
    new = client.create_schema(auto_id=False, enable_dynamic_field=False, description=facts)
    new.add_field(KEY, DataType.VARCHAR, is_primary=True, max_length=MAX_ID_BYTES)
    new.add_field(RECORD, DataType.VARCHAR, max_length=MAX_RECORD)
    new.add_field(SHA256, DataType.VARCHAR, max_length=MAX_SHA256)
    new.add_field(TOKENS, DataType.ARRAY, element_type=DataType.INT64, max_capacity=MAX_TOKENS)
    new.add_field(BUCKET, DataType.INT64)
    new.add_field(EMBEDDING, DataType.FLOAT_VECTOR, dim=dim)
    return new


def described(description: Row, shown: str) -> tuple[int, Distance]:
    """The dimensions and the distance of a collection, of what Milvus says of it. Raises
    CollectionDamagedError for one that `schema` did not make."""
    try:
        facts = json.loads(description["description"])
        known, distance = facts["imagefinder"] == FORMAT, facts["distance"]
    except (ValueError, TypeError, KeyError):
        known, distance = False, ""
    fields = {field["name"]: field for field in description["fields"]}
    if EMBEDDING not in fields or not distance:
        raise CollectionDamagedError(
            f"{shown}: {description['collection_name']} holds no space; it was made by something"
            " else; choose another name or database"
        )
    if not known or distance not in METRICS:
        raise CollectionDamagedError(
            f"{shown}: compares embeddings in a way that this version does not know;"
            " update ImageFinder"
        )
    return int(fields[EMBEDDING]["params"]["dim"]), distance


def rows_of(records: list[ImageRecord], embeddings: "list[Embedding]") -> list[Row]:
    """Raises StoreError, which names the id, for a record that is too large."""
    return [_row(record, row) for record, row in zip(records, embeddings, strict=True)]


def record_of(row: Row) -> ImageRecord:
    return from_json(row[RECORD])


def _row(record: ImageRecord, embedding: "Embedding") -> Row:
    text = to_json(record)  # ASCII, so as many bytes as characters
    if len(text) > MAX_RECORD:
        raise StoreError(
            f"{record.id[:200]}: the record takes {len(text):,} bytes as JSON, the limit of Milvus"
            f" is {MAX_RECORD:,}; shorten its metadata to store the image"
        )
    return {
        KEY: key_of(record.id),
        RECORD: text,
        SHA256: record.sha256,
        TOKENS: numbers_of(record),
        BUCKET: bucket_of(record.id),
        EMBEDDING: embedding,
    }
