"""FAISS index files, through faiss-cpu (an extra), with a JSON file of the records beside them.

Ours is an `IndexFlatIP` (inner product, which is the cosine of unit vectors), the record of vector
number i at place i of `<name>.ids.json`. FAISS reads and writes an index in one piece, in memory.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagefinder.errors import MissingExtraError, TransferError
from imagefinder.exchange.contents import Columns, Contents, RawRow
from imagefinder.exchange.idfiles import IdTable, read_any_ids
from imagefinder.exchange.records import to_json
from imagefinder.types import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagefinder.arrays import Embedding

_EXACT = {
    "IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexIVFFlat", "IndexHNSWFlat", "IndexNSGFlat",
    "IndexRefineFlat",
}  # fmt: skip


def write(path: Path, rows: "Iterator[tuple[ImageRecord, Embedding]]", model: str, dim: int) -> int:
    faiss = _faiss()
    index = faiss.IndexFlatIP(dim)
    with _side_file(path).open("w", encoding="utf-8") as side:
        side.write(f'{{"model": {json.dumps(model)}, "dim": {dim}, "records": [')
        for record, embedding in rows:
            side.write(",\n" if index.ntotal else "\n")
            side.write(to_json(record))
            index.add(embedding[None])
        side.write("\n]}\n")
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        why = re.search(r"\(([^()]*)\)$", str(error).strip())  # FAISS puts the system's last
        raise OSError(why[1] if why else _reason(error)) from error
    return int(index.ntotal)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("FAISS files", "faiss") from error
    return faiss


def _side_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.ids.json")


def read(path: Path, ids: Path | None) -> Contents:
    faiss = _faiss()
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        raise TransferError(f"is no FAISS index that can be read: {_reason(error)}") from error
    if ids is None:
        beside = (_side_file(path), path.with_name(f"{path.stem}.ids.json"))
        ids = next((side for side in beside if side.is_file()), None)
    table = read_any_ids(ids) if ids else None
    inner, keys, numbers = _unwrapped(faiss, index)
    notes = []
    if type(inner).__name__ not in _EXACT:
        notes.append(
            f"a FAISS {type(inner).__name__} can keep approximations of the embeddings, and then "
            "scores differ a little from those of the original embeddings"
        )
    if table is None:
        notes.append("the ids are the numbers of the FAISS index; a file of ids gives others")
        columns: Iterator[Columns] = ({"id": number} for number in numbers.tolist())
    else:
        columns = _in_order(table, numbers, in_order=keys is not numbers)
    return Contents(
        names=table.names if table else ["id"],
        rows=map(RawRow, columns, _vectors(inner, keys, index)),
        model=table.model if table else None,
        total=len(keys),
        notes=notes,
    )


def _reason(error: Exception) -> str:
    """What FAISS has to say, without the place in its source that comes before."""
    return re.sub(r"^.* at \S+:\d+: (Error: )?", "", str(error).strip().splitlines()[0])


def _unwrapped(faiss: Any, index: Any) -> "tuple[Any, NDArray[np.int64], NDArray[np.int64]]":
    """The index that holds the vectors, the keys to ask it for them, and the number that each
    vector has for who searches the whole index."""
    import numpy as np

    names = None
    while isinstance(index, faiss.IndexIDMap | faiss.IndexIDMap2):
        names = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    ivf = None if isinstance(index, faiss.IndexRefine) else faiss.try_extract_index_ivf(index)
    if ivf is None:
        keys = np.arange(index.ntotal)
    else:
        ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
        lists, sizes = ivf.invlists, map(ivf.invlists.list_size, range(ivf.invlists.nlist))
        filled = [(number, size) for number, size in enumerate(sizes) if size]
        parts = [faiss.rev_swig_ptr(lists.get_ids(number), size).copy() for number, size in filled]
        keys = np.sort(np.concatenate(parts)) if parts else np.arange(0)
    return index, keys, keys if names is None else names[keys]


def _vectors(index: Any, keys: "NDArray[np.int64]", _owner: Any) -> "Iterator[NDArray[np.float32]]":
    """One by one: the calls for several end the process where an index cannot do it. The memory is
    that of the index around this one, `_owner`, which lives as long as this generator."""
    try:
        for key in keys.tolist():
            yield index.reconstruct(key)
    except RuntimeError as error:
        raise TransferError(
            f"the vectors of a FAISS {type(index).__name__} cannot be had back; export them from "
            f"where they were made, as .npz ({_reason(error)})"
        ) from error


def _in_order(table: IdTable, numbers: "NDArray[np.int64]", in_order: bool) -> Iterator[Columns]:
    """The row of the file of ids for each vector: by number where numbers are given or are places
    in the file, else in the order in which the vectors were added."""
    if table.numbers is not None:
        rows: Mapping[int, Columns] = dict(zip(table.numbers, table.rows, strict=True))
    elif len(table.rows) != len(numbers):
        raise TransferError(
            f"the file of ids has {len(table.rows):,} for {len(numbers):,} embeddings"
        )
    elif numbers.min(initial=0) >= 0 and numbers.max(initial=-1) < len(table.rows):
        rows = dict(enumerate(table.rows))
    elif in_order:
        yield from table.rows
        return
    else:
        raise TransferError(
            "the numbers of the index are no places in the file of ids; give a JSON object from "
            'numbers to ids, such as {"17": "a.jpg"}'
        )
    for number in numbers.tolist():
        if number not in rows:
            raise TransferError(f"the file of ids has none for number {number} of the index")
        yield rows[number]
