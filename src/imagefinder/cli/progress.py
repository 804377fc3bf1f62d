"""Progress of long work, on stderr and only for people."""

import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from imagefinder.cli.output import console, is_person
from imagefinder.types import IndexReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, ProgressColumn, TaskID


class Drawn:
    """Something that is drawn while the `with` block runs, and gone afterwards."""

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
