"""A table without the rows that are of no use: copies, malformed ones, dead links."""

import csv
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from imagefinder.ahead import ahead
from imagefinder.dataset.copying import check_outputs, copy_rows, made_whole, writing
from imagefinder.dataset.rows import Candidate, Dropped, TableRows
from imagefinder.errors import FetchError
from imagefinder.protocols import Progress
from imagefinder.signatures import refusal, sniff
from imagefinder.sources import Fetcher, TableColumns
from imagefinder.sources.address import scheme
from imagefinder.sources.names import HEAD

WORKERS = 16  # images read at a time


@dataclass(frozen=True, slots=True)
class CleanReport:
    """What became of a table's rows: those left out, in order, are also listed in the file
    `listed`."""

    rows: int
    kept: int
    dropped: Sequence[Dropped]
    output: Path
    listed: Path

    @property
    def counts(self) -> Mapping[str, int]:
        """How many rows were left out for what, the most common reason first."""
        return dict(Counter(one.kind for one in self.dropped).most_common())


def clean(
    table: Path,
    output: Path,
    *,
    columns: TableColumns | None = None,
    check_links: bool = False,
    by_content: bool = False,
    fetcher: Fetcher | None = None,
    on_progress: Progress | None = None,
) -> CleanReport:
    """Copy a table without malformed rows, rows whose file is missing, and rows that name an image
    that an earlier row names, or have its id.

    `check_links` fetches what is at the URLs, and leaves out what cannot be had or is no image.
    `by_content` reads all images, and leaves out those whose bytes an earlier row has. The rows
    that stay are as they were, in the table's own format. Those left out are listed beside
    `output`, in a table named `*.dropped.csv`. `on_progress` gets the rows done and None.

    Raises SourceError, UsageError, TransferError.
    """
    check_outputs(table, [output])
    rows = TableRows(table, fetcher or Fetcher(), columns)
    column = rows.location_column()
    kept: list[int] = []
    dropped: list[Dropped] = []
    sieve = Sieve()
    with closing(examined(rows, check_links, by_content)) as outcomes:
        for done, outcome in enumerate(map(sieve, outcomes), start=1):
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
            else:
                kept.append(outcome.candidate.row.number)
            if on_progress is not None:
                on_progress(done, None)
    copy_rows(table, {output: kept}, column=column)
    listed = output.with_suffix(".dropped.csv")
    write_dropped(listed, dropped)
    return CleanReport(len(kept) + len(dropped), len(kept), dropped, output, listed)


@dataclass(frozen=True, slots=True)
class Examined:
    """A row that names an image, and the SHA-256 of its bytes where they were read."""

    candidate: Candidate
    sha256: bytes | None = None


def examined(
    rows: TableRows, check_links: bool, by_content: bool
) -> Generator[Examined | Dropped, None, None]:
    """The rows in order, their images looked at as far as that was asked for."""

    def examine(outcome: Candidate | Dropped) -> Examined | Dropped:
        if isinstance(outcome, Dropped):
            return outcome
        remote = scheme(outcome.ref.uri) not in (None, "file")
        if not by_content and not (check_links and remote):
            return Examined(outcome)
        try:
            data = rows.read(outcome.ref)
        except FetchError as error:
            return Dropped.of(outcome.row, "dead" if remote else "missing", str(error))
        if sniff(data[:HEAD]) is None:
            return Dropped.of(outcome.row, "dead", refusal(data[:HEAD]))
        return Examined(outcome, sha256(data).digest() if by_content else None)

    return ahead(examine, rows.outcomes(), workers=WORKERS, window=4 * WORKERS)


class Sieve:
    """Finds what an earlier row has; it remembers what is in the rows that stay."""

    def __init__(self) -> None:
        self._locations: dict[int, int] = {}  # hash -> number of the row
        self._ids: dict[int, int] = {}
        self._contents: dict[bytes, int] = {}

    def __call__(self, found: Examined | Dropped) -> Examined | Dropped:
        """The row itself, or why it is left out."""
        if isinstance(found, Dropped):
            return found
        row, ref = found.candidate.row, found.candidate.ref
        location, id = hash(ref.path), hash(ref.id)
        if (earlier := self._locations.get(location)) is not None:
            return Dropped.of(row, "same location", f"the same location as in row {earlier}")
        if (earlier := self._ids.get(id)) is not None:
            return Dropped.of(row, "same id", f"the same id as in row {earlier}")
        if found.sha256 is not None:
            if (earlier := self._contents.get(found.sha256)) is not None:
                return Dropped.of(row, "same content", f"the same bytes as in row {earlier}")
            self._contents[found.sha256] = row.number
        self._locations[location] = self._ids[id] = row.number
        return found


def write_dropped(path: Path, dropped: Sequence[Dropped]) -> None:
    """The rows that were left out, as a table. Raises TransferError."""
    with (
        writing(path),
        made_whole(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "line", "kind", "reason"])
        for one in dropped:
            writer.writerow([one.row, one.line or "", one.kind, one.reason])
