"""Labels from where a user says that they stand."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from imagefinder.errors import SourceError
from imagefinder.labels.columns import LABELS, as_text, first_of, is_liked, is_truth, label_column
from imagefinder.labels.judgements import Judgements
from imagefinder.labels.places import names_of
from imagefinder.labels.truth import read_truth
from imagefinder.sources.address import local_path
from imagefinder.sources.columns import IDS, LOCATIONS
from imagefinder.sources.names import TABLE_EXTENSIONS, extension
from imagefinder.sources.row import BadRow, Row
from imagefinder.sources.rows import read_rows

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder

Where: TypeAlias = str | os.PathLike[str]

ARCHIVES = (".tar",)  # which are folders to a search
NO_CLASSES = (
    "no image is in a directory whose name could be its class; sort them into one for each class,"
    " or give a table with labels"
)
NONE_BELOW = "no image of the collection is in a directory below it, whose name would be its class"


def read_labels(
    where: Where | None, finder: "ImageFinder", *, label: str | None = None
) -> Judgements:
    """The right answers among the images of a collection.

    `where` is a folder, of whose images the class is the name of the directory that they are in; a
    table with ids, paths or URLs and a column of labels; a ground truth, which is a table with the
    columns `query` and `relevant`; or None for the collection's own metadata. `label` names the
    column of labels, else it is the first of label, class, category, target and breed.

    Raises SourceError where there is no such file or column, or no image of it is here.
    """
    if where is None:
        return from_metadata(finder, label)
    path = place_at(where)
    if path.is_dir():
        return from_folders(finder, path)
    if extension(path.name) not in TABLE_EXTENSIONS or not path.is_file():
        raise SourceError(f"{path}: no folder and no table; labels are in one of the two")
    return from_table(finder, path, label)


def is_table(where: Where) -> bool:
    """Whether this is a table by its name, wherever it is."""
    return extension(os.fspath(where).partition("?")[0]) in TABLE_EXTENSIONS


def is_ground_truth(where: Where) -> bool:
    """Whether this is a table of queries and their right answers."""
    return is_truth(columns_of(where))


def has_pairs(where: Where | None) -> bool:
    """Whether this is a table of judged pairs."""
    return where is not None and is_liked(columns_of(where))


def place_at(where: Where) -> Path:
    """The file or folder of this machine that a user names."""
    return Path(local_path(os.fspath(where))).expanduser()


def columns_of(where: Where) -> tuple[str, ...]:
    """Those of a table of this machine, by its first row; none of anything else."""
    path = place_at(where)
    first = next(good_rows(path), None) if is_table(where) and path.is_file() else None
    return () if first is None else tuple(first.cells)


def is_flat(where: Where) -> bool:
    """Whether this is a folder of this machine with nothing in it but files, none an archive."""
    path = place_at(where)
    return path.is_dir() and not any(
        inner.is_dir() or extension(inner.name) in ARCHIVES for inner in path.iterdir()
    )


def from_folders(finder: "ImageFinder", root: Path | None = None) -> Judgements:
    """The class of an image is the name of the directory that it is in: below `root`, or without
    one by its id. Images beside the directories have none."""
    inside = "" if root is None else os.path.join(os.path.realpath(root), "")
    classes: dict[str, str] = {}
    contents: dict[str, str] = {}
    unlabelled = 0
    for record in finder.images():
        path = record.id if root is None else below(inside, record.id, record.uri)
        directory = "" if path is None else path.rpartition("/")[0].rpartition("/")[2]
        if directory:
            classes[record.id], contents[record.id] = directory, record.sha256
        else:
            unlabelled += 1
    if not classes:
        raise SourceError(NO_CLASSES if root is None else f"{root}: {NONE_BELOW}")
    return Judgements.of_classes(classes, contents, unlabelled=unlabelled)


def below(inside: str, id: str, uri: str) -> str | None:
    """The path of an image below the folder, with forward slashes; None where it is elsewhere."""
    if uri.startswith(inside):
        return uri.removeprefix(inside).replace(os.sep, "/")
    # a service tells no paths of its machine, but the ids of a folder's images are such
    return id if os.path.isfile(os.path.join(inside, id)) else None


def from_metadata(finder: "ImageFinder", label: str | None = None) -> Judgements:
    """The class of an image is a value of its metadata."""
    usual = LABELS if label is None else [label]
    found: dict[str, dict[str, str]] = {name: {} for name in usual}
    contents: dict[str, str] = {}
    names: Counter[str] = Counter()
    for record in finder.images():
        contents[record.id] = record.sha256
        names.update(record.metadata)
        for name, classes in found.items():
            column = first_of(tuple(record.metadata), [name])
            value = None if column is None else as_text(record.metadata[column])
            if value is not None:
                classes[record.id] = value
    classes = next((classes for classes in found.values() if classes), {})
    if not classes:
        raise SourceError(no_column("the collection's metadata", [*names], label))
    unlabelled = len(contents) - len(classes)
    return Judgements.of_classes(classes, contents, unlabelled=unlabelled)


def from_table(finder: "ImageFinder", table: Path, label: str | None = None) -> Judgements:
    """The class of an image, or the right answers to a query, is what a table says."""
    rows = good_rows(table)
    first = next(rows, None)
    if first is None:
        raise SourceError(f"{table}: has no rows")
    if is_truth(tuple(first.cells)):
        return read_truth(finder, table, read_rows(table))
    columns = [first_of(tuple(first.cells), usual) for usual in (IDS, LOCATIONS)]
    if not any(columns):
        listed = ", ".join(first.cells)
        raise SourceError(f"{table}: no column of ids, paths or URLs among {listed}")
    for column in columns:  # the ids may be others than the collection's
        judgements = column and by_column(finder, read_names(table, column, label))
        if judgements:
            return judgements
    raise SourceError(f"{table}: no row names an image of the collection, by id or by path")


@dataclass(frozen=True, slots=True)
class Named:
    """What a table says of images by their names: the number of the row and the label, and what is
    wrong with those that have several labels."""

    labels: dict[str, tuple[int, str]]
    problems: dict[str, str]


def by_column(finder: "ImageFinder", named: Named) -> Judgements | None:
    """None where no name is one of the collection's images. Raises SourceError."""
    classes: dict[str, str] = {}
    contents: dict[str, str] = {}
    used: set[int] = set()
    unlabelled = 0
    for record in finder.images():
        name = record.id if record.id in named.labels else record.uri
        if name in named.problems:
            raise SourceError(named.problems[name])
        if name not in named.labels:
            unlabelled += 1
            continue
        number, classes[record.id] = named.labels[name]
        contents[record.id] = record.sha256
        used.add(number)
    unknown = len({number for number, _ in named.labels.values()} - used)
    if not classes:
        return None
    return Judgements.of_classes(classes, contents, unlabelled=unlabelled, unknown=unknown)


def read_names(table: Path, place: str, label: str | None) -> Named:
    """What the table says, its column `place` being what the images are called."""
    named = Named({}, {})
    for row in good_rows(table):
        column = label_column(tuple(row.cells), label)
        if column is None:
            raise SourceError(no_column(str(table), tuple(row.cells), label))
        value, text = as_text(row.cells[column]), as_text(row.cells.get(place))
        if value is None or text is None:
            continue
        for name in names_of(text, table):
            number, before = named.labels.setdefault(name, (row.number, value))
            if before != value:
                named.problems[name] = (
                    f"{table}: {row}: {text} is {value} here and {before} in row {number};"
                    " an image has one label"
                )
    return named


def good_rows(table: Path) -> Iterator[Row]:
    """Those that can be read."""
    return (row for row in read_rows(table) if not isinstance(row, BadRow))


def no_column(where: str, names: Sequence[str], label: str | None) -> str:
    """What is missing, and what there is."""
    wanted = f"no column {label}" if label else f"no column of labels ({', '.join(LABELS)})"
    return f"{where}: {wanted}; there is: {', '.join(names[:20]) or 'none'}; say which with --label"
