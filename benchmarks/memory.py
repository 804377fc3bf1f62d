"""Peak memory of indexing: it must not grow with the number of images."""

from benchmarks.data import demo_like, fresh
from benchmarks.index_run import IndexRun, index_run
from benchmarks.results import Figure


def run(quick: bool) -> list[Figure]:
    """A new process each, mapped files counted."""
    small, large = (100, 1_000) if quick else (1_000, 10_000)
    few, many = [], []
    for _ in range(1 if quick else 3):
        few.append(index_run(demo_like(small), fresh("memory")))
        many.append(index_run(demo_like(large), fresh("memory")))
    growth = tuple(b.peak_bytes / a.peak_bytes for a, b in zip(few, many, strict=True))
    return [
        Figure(f"peak with {small:,} images", megabytes(few), "MB", at_most=1000),
        Figure(f"peak with {large:,} images", megabytes(many), "MB", at_most=1000),
        Figure("growth", growth, "x", at_most=1.15),
        Figure("small images indexed", tuple(run.images_per_second for run in many), "images/s"),
    ]


def megabytes(runs: list[IndexRun]) -> tuple[float, ...]:
    """The peak of each run."""
    return tuple(run.peak_bytes / 1e6 for run in runs)
