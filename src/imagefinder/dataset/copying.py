"""Tables written again: some of their rows, each as it stands there.

Text is copied line by line, so that delimiters, quotes and columns stay as they are. Only where the
copy is in another folder, paths that are relative to the table's are changed: they lead from the
new folder to the same files.
"""

import csv
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import StringIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeAlias, TypeVar

from imagefinder.errors import MissingExtraError, TransferError, UsageError
from imagefinder.sources.address import local_path, scheme
from imagefinder.sources.delimited import DELIMITERS
from imagefinder.sources.names import extension
from imagefinder.sources.row import Row
from imagefinder.sources.rows import AT_ONCE, LISTS, read_rows
from imagefinder.sources.text import open_text

Item = TypeVar("Item")
Parts: TypeAlias = Mapping[Path, Collection[int]]  # file -> the numbers of its rows
ALIKE = ({".jsonl", ".ndjson"}, {".csv"}, {".tsv"}, {".json"}, {".txt"}, {".parquet"})


def copy_rows(table: Path, parts: Parts, *, column: str) -> None:
    """Write the rows of these numbers (from 1) into these files, whole or not at all.

    `column` holds the paths and URLs. Raises UsageError for a file of another format than the
    table's, or the table itself; TransferError where one cannot be written.
    """
    check_outputs(table, parts)
    copiers = {".parquet": copy_parquet, ".json": copy_json}
    copier = copiers.get(extension(table.name), copy_lines)
    with writing(table), ExitStack() as stack:
        partial = {path: stack.enter_context(made_whole(path)) for path in parts}
        copier(table, {partial[path]: (path, set(parts[path])) for path in parts}, column)


@contextmanager
def writing(what: Path) -> Iterator[None]:
    """What the system says becomes a TransferError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TransferError(f"{error.filename or what}: cannot be written: {reason}") from error


def check_outputs(table: Path, outputs: Collection[Path]) -> None:
    """Raises UsageError where a file cannot be meant as a copy of rows of the table."""
    for path in outputs:
        own = next((each for each in ALIKE if extension(table.name) in each), set())
        if extension(path.name) not in own:
            raise UsageError(
                f"{path}: rows are copied in the table's own format; call it *{table.suffix}"
            )
        if path.exists() and path.samefile(table):
            raise UsageError(f"{path}: that is the table itself; name another file")


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """A file to write, which takes its place when the block has ended well."""
    with TemporaryDirectory(dir=path.parent, prefix=".imagefinder-") as folder:
        partial = Path(folder, path.name)
        yield partial
        partial.replace(path)


Wanted: TypeAlias = Mapping[Path, tuple[Path, set[int]]]  # partial file -> its place, its rows


def copy_lines(table: Path, wanted: Wanted, column: str) -> None:
    """CSV, TSV, JSON lines and lists: the lines from where a row begins to where the next does."""
    with ExitStack() as stack:
        files = {path: stack.enter_context(open_text_for(path)) for path in wanted}
        lines = stack.enter_context(open_text(table))
        head: list[str] = []
        for row, end in with_next(read_rows(table)):
            if not head and row.number == 1:
                head = list(islice(lines, (row.line or 1) - 1))
                for file in files.values():
                    file.writelines(head)
            own = list(islice(lines, None if end is None else (end.line or 0) - (row.line or 0)))
            for path, (place, numbers) in wanted.items():
                if row.number in numbers and isinstance(row, Row):
                    files[path].writelines(moved_lines(table, place, head, own, row, column))


def with_next(rows: Iterator[Item]) -> Iterator[tuple[Item, Item | None]]:
    """Each with the one after it, the last with None."""
    before = next(rows, None)
    while before is not None:
        after = next(rows, None)
        yield before, after
        before = after


def open_text_for(path: Path) -> IO[str]:
    """To write text with the line ends that it has."""
    return path.open("w", encoding="utf-8", newline="")


def moved_lines(
    table: Path, place: Path, head: list[str], own: list[str], row: Row, column: str
) -> list[str]:
    """The lines of a row, its path changed where it has to be."""
    before = row.cells[column]
    after = mover(table, place)(before)
    if after == before:
        return own
    if extension(table.name) == ".txt":
        return [f"{after}\n"]
    if extension(table.name) in (".jsonl", ".ndjson"):
        return [json.dumps(with_value(json.loads(own[0]), column, after), ensure_ascii=False), "\n"]
    delimiter = delimiter_of(head[0] if head else own[0])
    fields = next(csv.reader(own, delimiter=delimiter, skipinitialspace=True))
    fields[list(row.cells).index(column)] = str(after)
    text = StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(fields)
    return [text.getvalue()]


def delimiter_of(line: str) -> str:
    """The commonest of the first line, or what `sep=` says."""
    if line.lower().startswith("sep=") and len(line.rstrip("\r\n")) == len("sep=") + 1:
        return line[len("sep=")]
    outside = "".join(part for number, part in enumerate(line.split('"')) if number % 2 == 0)
    return max(DELIMITERS, key=outside.count)


def copy_json(table: Path, wanted: Wanted, column: str) -> None:
    """One JSON document, a list or an object around one."""
    with open_text(table) as file:
        content = json.load(file)
    key = next((key for key in LISTS if key in content), "") if isinstance(content, dict) else ""
    values = content[key] if key else content
    for path, (place, numbers) in wanted.items():
        move = mover(table, place)
        kept = [
            moved_value(value, column, move)
            for number, value in enumerate(values, start=1)
            if number in numbers
        ]
        whole = {**content, key: kept} if key else kept
        path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def moved_value(value: Any, column: str, move: Callable[[object], object]) -> Any:
    """A row of JSON, which may be the location alone."""
    if isinstance(value, str):
        return move(value)
    return with_value(value, column, move) if isinstance(value, dict) else value


def with_value(value: Any, column: str, after: object) -> Any:
    """An object with another value at `outer.inner`, or one that is made of the value there."""
    if isinstance(value, str):
        return after
    if column in value:
        return {**value, column: after(value[column]) if callable(after) else after}
    outer, _, inner = column.partition(".")
    return {**value, outer: with_value(value[outer], inner, after)}


def copy_parquet(table: Path, wanted: Wanted, column: str) -> None:
    """Batch by batch, with the types that the columns have."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("Parquet tables", "parquet") from error
    with ExitStack() as stack:
        file = stack.enter_context(parquet.ParquetFile(os.fspath(table)))
        writers = {
            path: stack.enter_context(parquet.ParquetWriter(os.fspath(path), file.schema_arrow))
            for path in wanted
        }
        number = 0
        for batch in file.iter_batches(batch_size=AT_ONCE):
            for path, (place, numbers) in wanted.items():
                own = [at for at in range(len(batch)) if number + at + 1 in numbers]
                kept = batch.take(pyarrow.array(own, pyarrow.int64()))
                writers[path].write_batch(moved_batch(kept, column, mover(table, place)))
            number += len(batch)


def moved_batch(batch: Any, column: str, move: Callable[[object], object]) -> Any:
    """The rows with their paths changed; of a column inside another they stay."""
    import pyarrow

    if column not in batch.schema.names:
        return batch
    at = batch.schema.get_field_index(column)
    values = [move(value) for value in batch.column(at).to_pylist()]
    return batch.set_column(
        at, batch.schema.field(at), pyarrow.array(values, batch.column(at).type)
    )


def mover(table: Path, place: Path) -> Callable[[object], object]:
    """What makes of a location in the table the one that `place` needs."""
    folder, target = os.path.realpath(table.parent), os.path.realpath(place.parent)

    def move(location: object) -> object:
        if folder == target or not isinstance(location, str) or not location.strip():
            return location
        text = location.strip()
        if scheme(text) is not None or os.path.isabs(os.path.expanduser(text)):
            return location
        whole = os.path.join(folder, local_path(text))
        if "\\" in text and not os.path.exists(whole):
            whole = os.path.join(folder, text.replace("\\", "/"))  # a table made on Windows
        return os.path.relpath(whole, target).replace(os.sep, "/")

    return move
