"""A table in two parts, to learn from and to be measured by, without copies across them."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.ahead import ahead
from imagefinder.arrays import Embedding
from imagefinder.dataset.copying import copy_rows, writing
from imagefinder.dataset.rows import Candidate, Dropped, TableRows
from imagefinder.decode import decode
from imagefinder.errors import ImageError, SourceError, UsageError
from imagefinder.labels.columns import as_text, label_column
from imagefinder.labels.groups import copies
from imagefinder.labels.split import split, split_by
from imagefinder.protocols import Progress
from imagefinder.sources import Fetcher, TableColumns

if TYPE_CHECKING:
    from imagefinder.protocols import Embedder


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """How to split. Each class gives the share `test` of its images to the second part, drawn by
    `seed`; with `by` the second part is instead what has one of `values` in that column.

    The class is in the column `label`, else in the first of label, class, category, target and
    breed; without one the images are drawn as if they were of one. Raises UsageError."""

    test: float = 0.2
    seed: int = 0
    by: str | None = None
    values: Sequence[str] = ("test",)
    label: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.test < 1:
            raise UsageError(f"the test part is {self.test}; it is a share between 0 and 1")


USUAL = SplitPlan()


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The two files with how many rows they have, and the rows that are in neither. `groups` is how
    many groups of copies were kept together, `straddling` how many copies a column would have torn
    apart: they are in neither part."""

    train: Path
    test: Path
    trained: int
    tested: int
    groups: int
    straddling: int
    dropped: Sequence[Dropped]


@dataclass(frozen=True, slots=True)
class Read:
    """A row whose image could be read. `row` is its embedding where it has one."""

    candidate: Candidate
    sha256: str
    row: Embedding | None


def split_table(
    table: Path,
    directory: Path,
    *,
    plan: SplitPlan = USUAL,
    columns: TableColumns | None = None,
    embedder: "Embedder | None" = None,
    fetcher: Fetcher | None = None,
    on_progress: Progress | None = None,
) -> SplitReport:
    """Write the rows of a table into `train` and `test` in a directory, in the table's own format.

    Copies stay together: what has the same bytes, and with an
    `embedder` what looks the same to it. Rows whose image cannot be read are in neither part.

    Raises SourceError, UsageError, TransferError, MissingExtraError.
    """
    rows = TableRows(table, fetcher or Fetcher(), columns)
    column = rows.location_column()
    read, dropped = read_all(rows, embedder, on_progress)
    if not read:
        raise SourceError(f"{table}: none of its images could be read")
    ids = [str(one.candidate.row.number) for one in read]
    contents = {id: one.sha256 for id, one in zip(ids, read, strict=True)}
    embeddings = [one.row for one in read if one.row is not None]
    groups = copies(ids, contents, np.stack(embeddings) if embeddings else None)
    straddling: list[str] = []
    if plan.by is None:
        classes = column_of(table, read, plan.label)
        first, second = split(ids, classes, groups, test=plan.test, seed=plan.seed)
    else:
        values = column_of(table, read, plan.by)
        first, second, straddling = split_by(ids, values, groups, test=plan.values)
    if not first or not second:
        raise UsageError(f"{table}: {len(ids)} images are too few for two parts")
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    ends = [directory / f"{name}{table.suffix}" for name in ("train", "test")]
    parts = dict(zip(ends, [{int(id) for id in part} for part in (first, second)], strict=True))
    copy_rows(table, parts, column=column)
    together = sum(count > 1 for count in np.bincount(groups).tolist())
    return SplitReport(
        train=ends[0],
        test=ends[1],
        trained=len(first),
        tested=len(second),
        groups=together,
        straddling=len(straddling),
        dropped=dropped,
    )


def read_all(
    rows: TableRows, embedder: "Embedder | None", on_progress: Progress | None
) -> tuple[list[Read], list[Dropped]]:
    """What the rows name, read and as far as needed embedded."""

    def examine(outcome: Candidate | Dropped) -> Read | Dropped:
        if isinstance(outcome, Dropped):
            return outcome
        try:
            data = rows.read(outcome.ref)
            row = None
            if embedder is not None:
                image = decode(data, at_least=embedder.spec.decode_size)
                row = embedder.embed(embedder.preprocess(image.pixels)[None])[0]
        except ImageError as error:
            return Dropped.of(outcome.row, "dead", str(error))
        return Read(outcome, sha256(data).hexdigest(), row)

    read: list[Read] = []
    dropped: list[Dropped] = []
    workers = os.cpu_count() or 1
    with closing(ahead(examine, rows.outcomes(), workers=workers, window=4 * workers)) as found:
        for done, outcome in enumerate(found, start=1):
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
            else:
                read.append(outcome)
            if on_progress is not None:
                on_progress(done, None)
    return read, dropped


def column_of(table: Path, read: Sequence[Read], wanted: str | None) -> dict[str, str]:
    """Number of the row, as text -> what is in the column. Raises SourceError where it is missing,
    unless none was named."""
    found: dict[str, str] = {}
    known = False
    for one in read:
        cells = one.candidate.row.cells
        column = label_column(tuple(cells), wanted)
        if column is None:
            continue
        known = True
        value = as_text(cells[column])
        if value is not None:
            found[str(one.candidate.row.number)] = value
    if wanted is not None and not known:
        there = ", ".join(read[0].candidate.row.cells)
        raise SourceError(f"{table}: no column {wanted}; there is: {there}")
    return found
