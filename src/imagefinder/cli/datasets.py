"""How what the data set tools found is shown."""

from typing import TYPE_CHECKING

from imagefinder.cli.output import counted, human_bytes, note, plain, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imagefinder.dataset import CleanReport, Description
    from imagefinder.dataset.rows import Dropped
    from imagefinder.types import Skipped

SHOWN = 5  # rows or images in a summary
WORDS = {
    "malformed": "malformed",
    "missing": "without a file",
    "dead": "with nothing to be read there",
    "same location": "that name an image again",
    "same id": "with an id again",
    "same content": "with the bytes of an earlier one",
}


def summarise(found: "Description") -> None:
    """The counts of a data set, and the first of what was skipped."""
    rows = [("images", f"{found.images:,}"), ("on disk", human_bytes(int(found.sizes.sum())))]
    formats = ", ".join(f"{count:,} {name}" for name, count in found.formats.items())
    rows.append(("formats", formats or "none"))
    if found.classes:
        rows.append(("classes", f"{len(found.classes):,}"))
    rows.append(("surplus copies", f"{found.surplus:,}"))
    if found.ignored:
        rows.append(("other files", f"{found.ignored:,}"))
    rows.append(("skipped", f"{found.skipped_count:,}"))
    show_rows(("", ""), rows)
    tell_skipped(found.skipped, found.skipped_count)


def as_json(found: "Description") -> dict[str, object]:
    """The same for programs."""
    return {
        "source": found.where,
        "images": found.images,
        "bytes": int(found.sizes.sum()),
        "formats": found.formats,
        "classes": found.classes,
        "copies": [list(one.ids) for one in found.copies],
        "same_looks": [
            [found.sample[number].id for number in numbers] for numbers in found.same_looks
        ],
        "columns": {column.name: column.filled for column in found.columns},
        "ignored": found.ignored,
        "skipped": found.skipped_count,
        "reasons": found.reasons,
    }


def tell_cleaned(cleaned: "CleanReport") -> None:
    """What stays, and what does not."""
    print(f"{counted(cleaned.kept, 'row')} of {cleaned.rows:,} in {plain(cleaned.output)}")
    for kind, count in cleaned.counts.items():
        note(f"  {count:,} {WORDS[kind]}")
    if cleaned.dropped:
        note(f"  each with its reason: {plain(cleaned.listed)}")


def tell_dropped(dropped: "Sequence[Dropped]") -> None:
    """The first rows that are in no part."""
    for one in dropped[:SHOWN]:
        note(f"  left out row {one.row}: {plain(one.reason)}")
    if len(dropped) > SHOWN:
        note(f"  and {len(dropped) - SHOWN:,} more")


def tell_skipped(skipped: "Sequence[Skipped]", count: int) -> None:
    """The first images that could not be read."""
    for problem in skipped[:SHOWN]:
        note(f"  skipped {plain(problem.uri)}: {plain(problem.reason)}")
    if count > SHOWN:
        note(f"  and {count - SHOWN:,} more")
