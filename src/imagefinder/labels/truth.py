"""A ground truth: a table of queries and their right answers."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.errors import SourceError
from imagefinder.labels.columns import QUERY, RELEVANCE, RELEVANT, Cell, as_text, first_of
from imagefinder.labels.judgements import Judgements
from imagefinder.labels.places import by_name, meant
from imagefinder.sources.row import BadRow, Row

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder


def read_truth(finder: "ImageFinder", table: Path, rows: Iterable[Row | BadRow]) -> Judgements:
    """The columns are `query`, `relevant` (an id, or several: separated by spaces or semicolons, or
    a JSON list) and, if graded, `relevance`: a whole number, 0 for a wrong answer. The ids may be
    paths or URLs of the collection's images, too.

    Raises SourceError for a grade that is none, or where no query is an image of the collection.
    """
    contents: dict[str, str] = {}
    uris: dict[str, str] = {}
    for record in finder.images():
        contents[record.id], uris[record.id] = record.sha256, record.uri
    ids = by_name(uris)
    answers: dict[str, dict[str, int]] = {}
    unknown = 0
    for row in rows:
        cells = row.cells if isinstance(row, Row) else {}
        query = meant(as_text(cell_of(cells, QUERY)), table, ids)
        if query is None:
            unknown += 1
            continue
        grade = grade_of(cell_of(cells, RELEVANCE), f"{table}: {row}")
        right = answers.setdefault(query, {})
        for text in several(cell_of(cells, RELEVANT), ids):
            id = meant(text, table, ids)
            if id is None:
                unknown += 1
            elif grade > 0:
                right[id] = max(grade, right.get(id, 0))
    if not answers:
        raise SourceError(f"{table}: no query is an image of the collection, by id or by path")
    return Judgements.of_answers(answers, contents, unknown=unknown)


def cell_of(cells: Mapping[str, Cell], name: str) -> Cell:
    """What a row has in the column of this name, if any."""
    column = first_of(tuple(cells), [name])
    return None if column is None else cells[column]


def several(cell: Cell, known: Mapping[str, str]) -> Sequence[str]:
    """The ids of a cell: one, even with spaces in it, where it is known as it stands."""
    if isinstance(cell, (list, tuple)):
        return [str(item) for item in cell]
    text = as_text(cell)
    if text is None:
        return []
    if text in known:
        return [text]
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None
        if isinstance(listed, list):
            return [str(item) for item in listed]
    parts = text.split(";") if ";" in text else re.split(r"\s+", text)
    return [part.strip() for part in parts if part.strip()]


def grade_of(cell: Cell, row: str) -> int:
    """Raises SourceError with the row where it is no whole number."""
    text = as_text(cell)
    if text is None:
        return 1
    try:
        grade = float(text)
    except ValueError:
        grade = math.nan
    if not grade.is_integer():
        raise SourceError(f"{row}: the relevance is {text}; it must be a whole number, 0 or more")
    return int(grade)
