"""A description of a data set as a report."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imagefinder.dataset.columns import Column
from imagefinder.dataset.describe import Description
from imagefinder.decode.reasons import LABELS
from imagefinder.report import (
    Page,
    Picture,
    beside,
    facts,
    paragraph,
    picture_map,
    plot,
    plots,
    strip,
    swatches,
    table,
)

EXAMPLES, OF_CLASSES, OF_EACH = 24, 12, 6  # pictures without classes; classes, pictures of each
GROUPS, ROWS, VALUES = 12, 30, 3  # groups of copies, rows of a table, values of a column


def page_of(found: Description) -> Page:
    """The report: what `describe` found, in plots, tables and pictures."""
    page = Page(found.where.rstrip("/").rpartition("/")[2] or found.where, intro(found))
    page.section("At a glance", facts(main_facts(found)), *pictures(found))
    if found.images:
        page.section("Labels", *labels(found))
        page.section("Map", *maps(found))
        page.section("Files", *files(found))
        page.section("Light and colour", *light(found))
        page.section("Cameras and dates", *taken(found))
    page.section("Columns", columns(found.columns, found.images))
    page.section("Copies", *copies(found))
    page.section("Skipped", *skipped(found))
    return page


def intro(found: Description) -> str:
    """What was looked at, in a sentence."""
    ignored = f" Other files there: {found.ignored:,}." if found.ignored else ""
    return f"{counted(found.images, 'image')} of {found.where}.{ignored}"


def main_facts(found: Description) -> Iterator[tuple[str, object]]:
    """The numbers that matter most."""
    yield "images", found.images
    if found.classes:
        yield "classes", len(found.classes)
    if found.images:
        yield "on disk", human_bytes(int(found.sizes.sum()))
        pixels = f"{np.median(found.widths):.0f} x {np.median(found.heights):.0f}"
        yield "median size in pixels", pixels
        yield "formats", len(found.formats)
    yield "surplus copies", found.surplus
    yield "skipped", found.skipped_count


def pictures(found: Description) -> Iterator[str]:
    """Some of the sample, where there are no classes to show them by."""
    if not found.classes:
        some = found.sample[:EXAMPLES]
        yield strip((Picture(one.jpeg, one.id) for one in some), title="Some of the images")


def labels(found: Description) -> Iterator[str]:
    """How many images each class has, and pictures of the most common ones."""
    if not found.classes:
        return
    counts = list(found.classes.values())
    more = f" The {plots.SHOWN} largest are drawn." if len(counts) > plots.SHOWN else ""
    without = found.images - sum(counts)
    lacking = f" {counted(without, 'image')} without a label." if without else ""
    yield plot(
        "Images of each class",
        plots.bars(found.classes, label="images", whole=True),
        note=f"{counted(len(counts), 'class', 'es')} of {min(counts):,} to {max(counts):,} images."
        + more
        + lacking,
    )
    strips = []
    for name in list(found.classes)[:OF_CLASSES]:
        own = [one for one in found.sample if one.label == name][:OF_EACH]
        strips.append(strip((Picture(one.jpeg, one.id) for one in own), title=name))
    yield beside(*strips)


def maps(found: Description) -> Iterator[str]:
    """What looks alike lies together."""
    if found.points is None:
        return
    how = (
        "Images that look alike to the built-in model lie together (t-SNE)."
        if found.method == "t-SNE"
        else "The two directions in which the images differ most (PCA)."
    )
    if len(found.sample) < found.images:
        how += f" {len(found.sample):,} of them, drawn at random."
    yield picture_map(
        found.points,
        [one.jpeg for one in found.sample],
        [one.id for one in found.sample],
        title="The images by their looks",
        note=how + " Where several would lie, one is shown.",
    )
    if found.classes:
        names = [one.label or "no label" for one in found.sample]
        yield plot("The same, by class", plots.scatter(found.points, names))


def files(found: Description) -> Iterator[str]:
    """Formats, pixels and bytes."""
    formats = {LABELS.get(name, name): count for name, count in found.formats.items()}
    yield beside(
        plot("Formats", plots.bars(formats, label="images", whole=True)),
        plot("Shape", plots.bars(shapes(found), label="images", whole=True)),
    )
    yield beside(
        plot(
            "Size of the pictures",
            plots.histogram(
                found.widths * found.heights / 1e6, label="megapixels, logarithmic", log=True
            ),
            note=spread(found.widths * found.heights / 1e6, "megapixels"),
        ),
        plot(
            "Size of the files",
            plots.histogram(found.sizes / 1e3, label="kB, logarithmic", log=True),
            note=spread(found.sizes / 1e3, "kB"),
        ),
    )


def shapes(found: Description) -> dict[str, int]:
    """How many are upright, lie, are square or far from it."""
    ratio = found.widths / found.heights
    counts = {
        "square": (ratio > 0.95) & (ratio < 1.05),
        "landscape": (ratio >= 1.05) & (ratio <= 2),
        "portrait": (ratio <= 0.95) & (ratio >= 0.5),
        "wider than 2 : 1": ratio > 2,
        "higher than 1 : 2": ratio < 0.5,
    }
    return {name: int(each.sum()) for name, each in counts.items() if each.any()}


def light(found: Description) -> Iterator[str]:
    """Colours, and how bright and colourful the pictures are."""
    yield swatches(
        ((shade.colour, shade.share) for shade in found.palette), title="The most common colours"
    )
    yield beside(
        plot("Brightness", plots.histogram(found.brightness, label="0 black, 1 white")),
        plot("Colourfulness", plots.histogram(found.colourfulness, label="0 grey, 1 pure colours")),
    )


def taken(found: Description) -> Iterator[str]:
    """What the cameras wrote into the files."""
    years = {str(year): count for year, count in found.years.items()}
    drawn = []
    if found.cameras:
        drawn.append(plot("Cameras", plots.bars(found.cameras, label="images", whole=True)))
    if years:
        drawn.append(plot("Years", plots.bars(years, label="images", whole=True)))
    yield beside(*drawn)
    if found.located:
        yield paragraph(
            f"{counted(found.located, 'image')} say where they were taken: mind that before you"
            " publish the files."
        )


def columns(found: Sequence[Column], images: int) -> str:
    """What the metadata hold."""
    return table(
        ["column", "filled", "different values", "what it holds"],
        [
            (
                column.name,
                f"{column.filled / images:.0%}" if images else "-",
                f"{len(column.values):,}{' or more' if column.more else ''}",
                held(column),
            )
            for column in found
        ],
    )


def held(column: Column) -> str:
    """A column in a few words."""
    if column.numeric:
        return f"{column.low:g} to {column.high:g}"
    common = column.values.most_common(VALUES)
    shown = ", ".join(f"{value[:60]} ({count:,})" for value, count in common)
    return f"{shown}, ..." if len(column.values) > VALUES else shown


def copies(found: Description) -> Iterator[str]:
    """The same bytes under several names, and the same picture in several files."""
    largest = sorted(found.copies, key=lambda one: -len(one.ids))[:GROUPS]
    yield strip(
        (Picture(one.jpeg or None, " = ".join(one.ids)) for one in largest),
        title="The same bytes",
        note=first_of(len(found.copies), GROUPS),
    )
    groups = found.same_looks[:GROUPS]
    yield strip(
        (
            Picture(found.sample[number].jpeg, f"{place}: {found.sample[number].id}")
            for place, numbers in enumerate(groups, start=1)
            for number in numbers[:OF_EACH]
        ),
        title="The same picture in other bytes",
        note="Equal numbers look the same to the model. " + first_of(len(found.same_looks), GROUPS),
    )
    if found.images and not found.copies and not found.same_looks:
        yield paragraph("No image is there twice.")


def first_of(count: int, shown: int) -> str:
    """How many are shown, where it is not all of them."""
    return f"The first {shown} of {count:,}." if count > shown else ""


def skipped(found: Description) -> Iterator[str]:
    """What could not be read, and why."""
    if not found.skipped_count:
        yield paragraph("None: every image could be read.")
        return
    yield beside(
        table(["reason", "images"], list(found.reasons.items())[:ROWS], title="Why"),
        table(
            ["image", "reason"],
            [(one.id, one.reason) for one in found.skipped[:ROWS]],
            title="Which",
            note=first_of(found.skipped_count, ROWS),
        ),
    )


def spread(values: NDArray[np.float64], unit: str) -> str:
    """`From 0.1 to 12 megapixels, half of them below 2.`"""
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"From {low:.3g} to {high:,.4g} {unit}, half of them below {middle:,.3g}."


def human_bytes(count: float) -> str:
    """1536 -> 1.5 kB, in powers of 1000 as disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(count: int, thing: str, plural: str = "s") -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {thing}{'' if count == 1 else plural}"
