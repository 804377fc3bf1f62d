"""Progress of long work, on stderr and only for people."""

import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

from imagefinder.cli.output import console, human_bytes, is_person, note
from imagefinder.types import IndexReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, ProgressColumn, TaskID


class Drawn:
    """Something that is drawn while the `with` block runs, and gone afterwards."""

    shown: "ClassVar[Progress | None]" = None  # there can be only one at a time

    def __init__(self, name: str, columns: "Callable[[], Sequence[ProgressColumn]]") -> None:
        self._name, self._columns = name, columns
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._start = monotonic()

    def __enter__(self) -> Self:
        if is_person(sys.stderr):
            from rich.progress import Progress

            self._progress = Progress(
                *self._columns(), console=console(stderr=True), transient=True
            )
            self._task = self._progress.add_task(self._name, total=None, rate="", counts=self._name)
            self._progress.start()
            Drawn.shown = self._progress
        return self

    def rate(self, done: int) -> str:
        """How many a second so far, in words."""
        return f"{done / max(monotonic() - self._start, 0.001):,.0f}/s"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            Drawn.shown = None


class IndexProgress(Drawn):
    """Counts and rate while indexing. Sources are streamed, so the total is not known ahead.

    The line is its own text, made anew at each refresh: the counts move too while a long run over
    unchanged files has nothing to tell."""

    def __init__(self) -> None:
        super().__init__("looking for images", counting)
        self._report = IndexReport()

    def update(self, report: IndexReport) -> None:
        """Show the counts of this report from now on."""
        if self._report is not report and self._progress is not None and self._task is not None:
            self._report = report
            self._progress.update(self._task, counts=self)

    def __str__(self) -> str:
        counts = self._report.counts()
        words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return f"{words}  {self.rate(sum(counts.values()))}" if words else self._name


class BarProgress(Drawn):
    """A bar with rate and remaining time; called with what is done and the total, if known."""

    def __init__(self, name: str) -> None:
        super().__init__(name, bar)

    def __call__(self, done: int, total: int | None) -> None:
        """Show how far it is."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, rate=self.rate(done))


class FetchProgress:
    """Told about downloads of a model: a bar for people, in what is drawn already or by itself;
    else a line a file."""

    def __init__(self) -> None:
        self._file = ""
        self._own: Progress | None = None
        self._drawn: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, file: str, done: int, total: int | None) -> None:
        """So many bytes of the file are here."""
        if file != self._file:
            self._begin(file, total)
        if self._drawn is not None and self._task is not None:
            far = human_bytes(done) + (f" of {human_bytes(total)}" if total else "")
            text = f"fetching {file.rpartition('/')[2]}, {far}"
            self._drawn.update(self._task, completed=done, total=total, rate=far, counts=text)
        if total is not None and done >= total:
            self._end()

    def _begin(self, file: str, total: int | None) -> None:
        self._end()
        self._file = file
        name = f"fetching {file.rpartition('/')[2]}"
        if not is_person(sys.stderr):
            note(f"{name}, {human_bytes(total)}" if total else name)
            return
        self._drawn = Drawn.shown
        if self._drawn is None:
            from rich.progress import Progress

            self._drawn = self._own = Progress(
                *downloading(), console=console(stderr=True), transient=True
            )
            self._own.start()
        self._task = self._drawn.add_task(name, total=total, rate="", counts=name)

    def _end(self) -> None:
        if self._drawn is not None and self._task is not None:
            self._drawn.remove_task(self._task)
        if self._own is not None:
            self._own.stop()
        self._file, self._own, self._drawn, self._task = "", None, None, None


def downloading() -> "Sequence[ProgressColumn]":
    """A line for bytes that come in."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )


def counting() -> "Sequence[ProgressColumn]":
    """A line for work whose end is not known."""
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    return (SpinnerColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn())


def bar() -> "Sequence[ProgressColumn]":
    """A line for work whose end is known, sooner or later."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
