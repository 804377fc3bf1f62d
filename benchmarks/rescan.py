"""A second run over a folder in which nothing changed."""

from benchmarks.data import fresh, tiny
from benchmarks.index_run import index_run
from benchmarks.results import Figure


def run(quick: bool) -> list[Figure]:
    """Files of a few hundred bytes and a fake model: a second run reads and embeds none of them."""
    count, times = (2_000, 2) if quick else (50_000, 5)
    folder, collection = tiny(count), fresh("rescan")
    first = index_run(folder, collection, fake=True)
    assert first.counts["added"] == count, first.counts
    again = [index_run(folder, collection, fake=True) for _ in range(times)]
    assert all(run.counts["unchanged"] == count for run in again), again
    return [
        Figure("first run, with a fake model", (count / first.seconds,), "files/s"),
        Figure(
            "second run", tuple(count / run.seconds for run in again), "files/s", at_least=30_000
        ),
        Figure(
            "second run, start of the process included",
            tuple(count / run.process_seconds for run in again),
            "files/s",
        ),
    ]
