"""How results look: a table for people, plain text when piped, JSON when asked."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from imagefinder.types import is_text

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = False) -> "Console":
    """A console that honours NO_COLOR and knows whether a person reads it."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def is_person(stream: object = None) -> bool:
    """Whether the output goes to a terminal."""
    return bool(getattr(stream or sys.stdout, "isatty", bool)())


def show_json(value: object) -> None:
    """One JSON document on stdout."""
    text = json.dumps(value, ensure_ascii=False, default=iso)
    if not is_text(text, sys.stdout.encoding):  # as in a pipe on Windows
        text = json.dumps(value, default=iso)
    print(text)


def iso(value: object) -> str:
    """A date, the only value of ours that JSON has no form for."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def show_rows(titles: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = "") -> None:
    """A table for people; tab-separated values without titles when piped.

    `right` names the columns to align right, separated by spaces.
    """
    if not is_person():
        for row in rows:
            print(*(plain(cell) for cell in row), sep="\t")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(titles))
    for title in titles:
        to_right = title in right.split()
        table.add_column(title, justify="right" if to_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(printable(cell) for cell in row))
    console().print(table)


def note(text: str) -> None:
    """A sentence beside the results, on stderr."""
    print(text, file=sys.stderr)


def plain(cell: object) -> str:
    """One field of a line: control characters would break the line or the terminal."""
    if isinstance(cell, (list, tuple)):
        return ", ".join(plain(item) for item in cell)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(cell))


def printable(cell: object) -> str:
    """The same for a table, where square brackets mean markup."""
    from rich.markup import escape

    return escape(plain(cell))


def counted(count: int, thing: str, plural: str = "s") -> str:
    """`1 image`, `2 images`."""
    return f"{count:,} {thing}{'' if count == 1 else plural}"


def human_bytes(count: float) -> str:
    """1536 -> 1.5 kB, in powers of 1000 as disks are sold."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
