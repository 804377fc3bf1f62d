"""A data set as folders that Hugging Face `datasets` reads: `load_dataset("imagefolder", ...)`.

out/train/cat/1.jpg
out/train/metadata.jsonl    {"file_name": "cat/1.jpg", "id": "1", "label": "cat", ...}
"""

import os
from collections import Counter, defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from imagefinder.ahead import ahead
from imagefinder.dataset.copying import writing
from imagefinder.dataset.gather import directory_of
from imagefinder.dataset.metadata_tables import MetadataTables
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits, decode
from imagefinder.download.file_names import FileNames, marked, with_extension
from imagefinder.errors import ImageError, SourceError, TransferError
from imagefinder.labels.columns import as_text, first_of, label_column
from imagefinder.protocols import Progress, Source
from imagefinder.signatures import sniff
from imagefinder.sources.names import HEAD
from imagefinder.types import ImageRef, Metadata, MetadataValue, Skipped

OWN = {"file_name", "image", "id"}  # columns of the layout
FILES = ("file_name", "file_names")  # how columns end that are taken for further images
SPLITS = {  # what `datasets` takes for a part, and the usual name of it
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
FEW = 64  # pixels, at which an image is tried


@dataclass(slots=True)
class ExportReport:
    """What was written: images of each part and class, and what was left out, with the reasons."""

    directory: Path
    splits: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def images(self) -> int:
        """How many there are."""
        return self.splits.total()


@dataclass(frozen=True, slots=True)
class Taken:
    """An image that can be read."""

    ref: ImageRef
    data: bytes = field(repr=False)
    format: str


def export_imagefolder(
    source: Source,
    directory: Path,
    *,
    label: str | None = None,
    split: str | None = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
    on_progress: Progress | None = None,
) -> ExportReport:
    """Copy the images of a source into `directory`, which has to be new or empty.

    The class of an image is in the column `label`, else in the first of label, class, category,
    target and breed that it has, else it is the directory that it is in; images without one stand
    in no folder of their own. `split` is the column that says in which part an image is: train,
    validation or test. Without it all are in train. Files stay as they are; what cannot be read is
    left out.

    Raises SourceError where there is no image or no such column, TransferError.
    """
    with writing(directory):
        if directory.is_dir() and any(directory.iterdir()):
            raise TransferError(f"{directory}: is not empty; name a new folder")
        directory.mkdir(parents=True, exist_ok=True)

    def take(item: ImageRef | Skipped) -> Taken | Skipped:
        if isinstance(item, Skipped):
            return item
        try:
            data = source.read(item)
            decode(data, at_least=FEW, limits=limits)
        except ImageError as error:
            return Skipped(item.id, item.uri, str(error))
        return Taken(item, data, sniff(data[:HEAD]) or "jpeg")

    items = (item for item in source.items() if item is not None)
    workers = os.cpu_count() or 1
    with writing(directory), ExitStack() as stack:
        taken = stack.enter_context(
            closing(ahead(take, items, workers=workers, window=3 * workers))
        )
        export = Export(directory, label, split)
        stack.callback(export.close)
        for done, outcome in enumerate(taken, start=1):
            export.add(outcome)
            if on_progress is not None:
                on_progress(done, None)
        return export.finish(source.root)


class Export:
    """An export in the making."""

    def __init__(self, directory: Path, label: str | None, split: str | None) -> None:
        self._label, self._split = label, split
        self._names: defaultdict[str, FileNames] = defaultdict(FileNames)
        self._tables = MetadataTables(directory)
        self._seen: set[str] = set()
        self.report = ExportReport(directory)

    def add(self, outcome: Taken | Skipped) -> None:
        """Write an image and note its row."""
        if isinstance(outcome, Skipped):
            self.report.skipped.append(outcome)
            return
        ref = outcome.ref
        self._seen.update(ref.metadata)
        part = self._part_of(ref.metadata)
        if part is None:
            reason = f"the column {self._split} says neither train nor validation nor test"
            self.report.skipped.append(Skipped(ref.id, ref.uri, reason))
            return
        column = label_column(tuple(ref.metadata), self._label)
        named = self._label is None and column is None
        label = directory_of(ref) if named else as_text(ref.metadata.get(column or ""))
        name = self._write(outcome, part, label)
        row: dict[str, MetadataValue] = {"file_name": name, "id": ref.id}
        row.update((free(name), value) for name, value in ref.metadata.items())
        if named and label is not None:
            row["label"] = label
        self._tables.add(part, row)
        self.report.splits[part] += 1
        if label is not None:
            self.report.classes[label] += 1

    def _part_of(self, metadata: Metadata) -> str | None:
        if self._split is None:
            return "train"
        column = first_of(tuple(metadata), [self._split])
        value = None if column is None else as_text(metadata[column])
        return None if value is None else SPLITS.get(value.lower())

    def _write(self, taken: Taken, part: str, label: str | None) -> str:
        """The file's path below its part."""
        base = taken.ref.id.rstrip("/").rpartition("/")[2] or taken.ref.id
        id = base if label is None else f"{label.replace('/', '_')}/{base}"
        names = self._names[part]
        name = with_extension(names.stem(id), id, taken.format)
        path = self.report.directory / part / name
        if path.exists():  # another image of this name, from another directory
            name = with_extension(marked(names.stem(id), taken.ref.id), id, taken.format)
            path = self.report.directory / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(taken.data)
        return name

    def close(self) -> None:
        """Whatever happened."""
        self._tables.close()

    def finish(self, where: str) -> ExportReport:
        """Write the tables. Raises SourceError."""
        for wanted, option in ((self._label, "--label"), (self._split, "--split")):
            if wanted and self._seen and first_of(tuple(self._seen), [wanted]) is None:
                there = ", ".join(sorted(self._seen))
                raise SourceError(f"{where}: no column {wanted} ({option}); there is: {there}")
        if not self.report.images:
            raise SourceError(f"{where}: no image of it could be exported")
        self._tables.finish()
        return self.report


def free(name: str) -> str:
    """A column's name, another one where the layout uses it: a column `file_name` names the file,
    and one that ends so a further image."""
    return f"{name}_" if name in OWN or name.endswith(FILES) else name
