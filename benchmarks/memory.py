"""Peak memory of indexing: it must not grow with the number of images."""

from benchmarks.data import demo_like, fresh
from benchmarks.index_run import index_run
from benchmarks.results import Figure


def run(quick: bool) -> list[Figure]:
    """A new process each, mapped files counted."""
    small, large = (100, 1_000) if quick else (1_000, 10_000)
    few, many = (index_run(demo_like(count), fresh("memory")) for count in (small, large))
    return [
        Figure(f"peak with {small:,} images", (few.peak_bytes / 1e6,), "MB", at_most=1000),
        Figure(f"peak with {large:,} images", (many.peak_bytes / 1e6,), "MB", at_most=1000),
        Figure("growth", (many.peak_bytes / few.peak_bytes,), "x", at_most=1.15),
        Figure("small images indexed", (many.counts["added"] / many.seconds,), "images/s"),
    ]
