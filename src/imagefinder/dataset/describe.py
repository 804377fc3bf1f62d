"""What a data set is: counts, sizes, formats, copies, colours, columns, what is skipped."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imagefinder.ahead import ahead
from imagefinder.dataset.columns import Column
from imagefinder.dataset.gather import Examiner, Gatherer
from imagefinder.dataset.looks import Sample, Shade
from imagefinder.decode import DEFAULT_LIMITS, DecodeLimits
from imagefinder.labels.groups import copies
from imagefinder.projection import Method, Points, project
from imagefinder.protocols import Progress, Source
from imagefinder.types import Skipped

if TYPE_CHECKING:
    from imagefinder.protocols import Embedder

MAPPED, PICTURED = 2000, 500  # images of the sample, with a map and without


@dataclass(frozen=True, slots=True)
class Copies:
    """The ids of images that are copies of each other, and a thumbnail (JPEG) of one of them."""

    ids: Sequence[str]
    jpeg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Description:
    """The facts of a data set.

    `widths` and `heights` (pixels), `sizes` (bytes), `brightness` and `colourfulness` (0 to 1) are
    of each image in order. `classes` are counts, empty where there are no labels. `copies` have the
    same bytes, `same_looks` the same picture in other bytes, and are looked for in the sample only.
    `skipped` are the first of `skipped_count` images, `reasons` what kept all of them. `sample` is
    drawn at random; `points` (n, 2) are its map, None without one, made by `method`.
    """

    where: str
    widths: NDArray[np.int64]
    heights: NDArray[np.int64]
    sizes: NDArray[np.int64]
    brightness: NDArray[np.float64]
    colourfulness: NDArray[np.float64]
    formats: Mapping[str, int]
    classes: Mapping[str, int]
    columns: Sequence[Column]
    cameras: Mapping[str, int]
    years: Mapping[int, int]
    located: int  # images that say where they were taken
    ignored: int  # files that are no images
    skipped: Sequence[Skipped]
    skipped_count: int
    reasons: Mapping[str, int]
    palette: Sequence[Shade]
    copies: Sequence[Copies]
    surplus: int  # images that have a copy before them
    same_looks: Sequence[Sequence[int]]  # numbers of the sample
    sample: Sequence[Sample]
    points: Points | None = None
    method: Method | None = None

    @property
    def images(self) -> int:
        """How many could be read."""
        return len(self.widths)


def describe(
    source: Source,
    *,
    label: str | None = None,
    embedder: "Embedder | None" = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> Description:
    """Read every image of a source once and say what is there.

    The class of an image is in the column `label`, else in the first of label, class, category,
    target and breed that it has; without one it is the directory that it is in. With an `embedder`
    a sample of 2,000 images, drawn by `seed`, is embedded: for the map, and to find the same
    picture in other files. `on_progress` gets the images done and None, as the total is not known.

    Raises SourceError where the source, or the column, is not there, MissingExtraError.
    """
    examine = Examiner(source, embedder, limits)
    gatherer = Gatherer(label, PICTURED if embedder is None else MAPPED, seed)
    workers = os.cpu_count() or 1
    todos = gatherer.todos(source.items())
    with closing(ahead(examine, todos, workers=workers, window=4 * workers)) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            gatherer.add(outcome)
            if on_progress is not None:
                on_progress(done, None)
    return finished(source.root, gatherer.checked(source.root))


def finished(where: str, found: Gatherer) -> Description:
    """What was gathered, with what can be said only when everything is there."""
    sample = found.sample()
    rows = np.stack([one.row for one in sample if one.row is not None]) if found.embedded else None
    projection = None if rows is None else project(rows)
    return Description(
        where=where,
        widths=np.array(found.widths, dtype=np.int64),
        heights=np.array(found.heights, dtype=np.int64),
        sizes=np.array(found.sizes, dtype=np.int64),
        brightness=np.array(found.brightness),
        colourfulness=np.array(found.colourfulness),
        formats=ordered(found.formats),
        classes=ordered(found.classes),
        columns=found.columns.all(),
        cameras=ordered(found.cameras),
        years=dict(sorted(found.years.items())),
        located=found.located,
        ignored=found.ignored,
        skipped=found.skipped,
        skipped_count=found.reasons.total(),
        reasons=ordered(found.reasons),
        palette=found.palette.shades(),
        copies=[Copies(ids, found.pictures.get(key, b"")) for key, ids in found.copies().items()],
        surplus=sum(len(ids) - 1 for ids in found.copies().values()),
        same_looks=[] if rows is None else same_looks(sample, rows),
        sample=sample,
        points=None if projection is None else projection.points,
        method=None if projection is None else projection.method,
    )


def same_looks(sample: Sequence[Sample], rows: NDArray[np.float32]) -> list[list[int]]:
    """The numbers of those that look the same without all being the same bytes."""
    groups: dict[int, list[int]] = {}
    ids = [one.id for one in sample]
    for number, group in enumerate(copies(ids, {}, rows)):
        groups.setdefault(group, []).append(number)
    return [
        numbers
        for numbers in groups.values()
        if len({sample[number].sha256 for number in numbers}) > 1
    ]


def ordered(counts: "Counter[str]") -> dict[str, int]:
    """The most common one first, equals by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
