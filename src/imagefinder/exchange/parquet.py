"""Parquet, through pyarrow (an extra): a list of float32 a row, and the metadata as JSON.

The metadata has no columns of its own, because a column has one type and metadata may have several.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagefinder.errors import MissingExtraError, TransferError
from imagefinder.exchange import vectors
from imagefinder.exchange.columns import EMBEDDING_NAMES, find_dimensions, first_of, listed
from imagefinder.exchange.contents import CHUNK, Contents, RawRow
from imagefinder.exchange.records import OWN_COLUMNS, facts_of, metadata_of
from imagefinder.types import ImageRecord

if TYPE_CHECKING:
    from imagefinder.arrays import Embedding
    from imagefinder.exchange.contents import Vector

ROW_GROUP = 16 * CHUNK  # 84 MB at 1280 dimensions, held while it is written
_UNREADABLE = "is no Parquet file that can be read"
_OURS = b"imagefinder"  # the file's own metadata: {"model": ..., "dim": ...}


def write(path: Path, rows: "Iterator[tuple[ImageRecord, Embedding]]", model: str, dim: int) -> int:
    pyarrow = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    count = 0
    schema = _schema(pyarrow, model, dim)
    with (
        _translated(pyarrow, "cannot be written"),
        ParquetWriter(path, schema, compression="zstd") as writer,
    ):
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_batch(_batch(pyarrow, schema, group, dim))
            count += len(group)
    return count


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError("Parquet files", "parquet") from error
    return pyarrow


@contextmanager
def _translated(pyarrow: Any, problem: str) -> Iterator[None]:
    try:
        yield
    except pyarrow.ArrowException as error:
        raise TransferError(f"{problem}: {error}") from error


def _schema(pyarrow: Any, model: str, dim: int) -> Any:
    text, whole, number = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    types = {"width": whole, "height": whole, "size": whole, "mtime": number, "latitude": number,
             "longitude": number, "date": pyarrow.timestamp("us")}  # fmt: skip
    fields = [(name, types.get(name, text)) for name in OWN_COLUMNS]
    fields += [("metadata", text), ("embedding", pyarrow.list_(pyarrow.float32()))]
    ours = json.dumps({"model": model, "dim": dim}).encode()
    return pyarrow.schema(fields, metadata={_OURS: ours})


def _batch(
    pyarrow: Any, schema: Any, group: "list[tuple[ImageRecord, Embedding]]", dim: int
) -> Any:
    import numpy as np

    facts = [facts_of(record) for record, _ in group]
    columns = [
        pyarrow.array([row[name] for row in facts], type=schema.field(name).type)
        for name in OWN_COLUMNS
    ]
    metadata = (json.dumps(metadata_of(record), ensure_ascii=False) for record, _ in group)
    columns.append(pyarrow.array(metadata, type=pyarrow.string()))
    numbers = np.concatenate([embedding for _, embedding in group], dtype=np.float32)
    offsets = np.arange(len(group) + 1, dtype=np.int32) * dim
    columns.append(pyarrow.ListArray.from_arrays(offsets, numbers))
    return pyarrow.record_batch(columns, schema=schema)


def read(path: Path, ids: Path | None) -> Contents:
    if ids is not None:
        raise TransferError("holds its ids itself; leave the file of ids out")
    pyarrow = _pyarrow()
    from pyarrow.parquet import ParquetFile

    with _translated(pyarrow, _UNREADABLE), ParquetFile(path) as file:
        schema, total = file.schema_arrow, file.metadata.num_rows
    column = _find_embedding(pyarrow, schema)
    dimensions = [] if column else find_dimensions(schema.names)
    if column is None and not dimensions:
        raise TransferError(
            f"no column of embeddings among {listed(schema.names)}; call a column of lists of "
            "floats embedding"
        )
    ours = json.loads((schema.metadata or {}).get(_OURS, b"{}"))
    return Contents(
        names=[name for name in schema.names if name != column and name not in dimensions],
        rows=_rows(path, column, dimensions),
        model=ours.get("model"),
        total=total,
    )


def _find_embedding(pyarrow: Any, schema: Any) -> str | None:
    types = pyarrow.types
    lists = [
        field.name for field in schema
        if (types.is_list(field.type) or types.is_large_list(field.type)
            or types.is_fixed_size_list(field.type)) and types.is_floating(field.type.value_type)
    ]  # fmt: skip
    texts = [field.name for field in schema if types.is_string(field.type)]
    named = first_of(EMBEDDING_NAMES, lists) or first_of(EMBEDDING_NAMES, texts)
    if named is None and len(lists) > 1:
        raise TransferError(
            f"several columns could be the embeddings: {listed(lists)}; call one of them embedding"
        )
    return named or (lists[0] if lists else None)


def _rows(path: Path, column: str | None, dimensions: list[str]) -> Iterator[RawRow]:
    import numpy as np

    pyarrow = _pyarrow()
    from pyarrow.parquet import ParquetFile

    with _translated(pyarrow, _UNREADABLE), ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            if column is not None:
                embeddings = _vectors(batch.column(column), pyarrow)
                rest = batch.drop_columns([column])
            else:
                numbers = [batch.column(n).to_numpy(zero_copy_only=False) for n in dimensions]
                embeddings = iter(np.stack(numbers, axis=1).astype(np.float64))
                rest = batch.drop_columns(dimensions)
            for columns, vector in zip(rest.to_pylist(), embeddings, strict=True):
                yield RawRow(columns, vector)


def _vectors(column: Any, pyarrow: Any) -> "Iterator[Vector]":
    if pyarrow.types.is_string(column.type):
        for text in column.to_pylist():
            yield vectors.from_text(text or "")
        return
    import numpy as np
    from pyarrow import compute

    lengths = compute.list_value_length(column).fill_null(0).to_numpy()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    yield from np.split(flat, np.cumsum(lengths)[:-1])
