"""As `search`, with 1,000,000 embeddings: minutes, and gigabytes; by hand only."""

from benchmarks.results import Figure
from benchmarks.search import measured


def run(quick: bool) -> list[Figure]:
    return measured(10_000 if quick else 1_000_000, targets=False)
