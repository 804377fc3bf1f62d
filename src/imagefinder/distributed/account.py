"""A wave until every image of it is accounted for, whatever dies meanwhile.

Ray gives the block of a worker that died to another one. A block that took several with it comes
back, because one of its images may be what kills them: it goes around again in smaller blocks, in
the end each image by itself. What kills its workers even then is skipped, and nothing else is.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Protocol

from imagefinder.distributed.recipe import Answer, unpacked
from imagefinder.errors import ImageFinderError
from imagefinder.ingest.triage import Failed

SMALLER = 8  # times, from one round to the next
IN_A_ROW = 8  # blocks that come back and none done between: it is not the images; and 2 a worker
DIED = (
    "its worker died each time; a decoder crashed, or memory ran out"
    " (give Ray fewer CPUs on a machine: ray start --num-cpus)"
)


class Round(Protocol):
    """One way through the cluster."""

    def __call__(self, parcels: Mapping[int, bytes], size: int) -> Generator[Answer, None, None]:
        """In blocks of `size`. Of a worker in trouble no more comes than what was begun."""


def accounted(
    go_round: Round,
    wave: Sequence[bytes],
    *,
    size: int,
    workers: int,
    stopped: Callable[[], bool],
) -> Generator[Answer, None, None]:
    """Answers for every parcel, unless the run is to stop; the first round is in blocks of `size`.

    Raises what a worker could not go on for, after the others have finished what they were at, and
    ImageFinderError where workers die whatever they are given."""
    left = dict(enumerate(wave))
    while left and not stopped():
        before, back, in_a_row, trouble = len(left), set[int](), 0, None
        for answer in go_round(left, size):
            trouble = trouble or answer.trouble
            back.update(answer.back)
            in_a_row = in_a_row + 1 if answer.back else 0
            if in_a_row > IN_A_ROW + 2 * workers:
                raise ImageFinderError(
                    "the workers die whatever they are given: memory runs out (give Ray fewer CPUs"
                    " on a machine: ray start --num-cpus), or the model or a decoder crashes there"
                )
            if all(place in left for place in answer.done):  # else it was answered twice
                for place in answer.done:
                    del left[place]
                yield answer
        if trouble is not None:
            raise trouble.error()
        if size == 1:
            yield from (killing(left.pop(place), place) for place in sorted(back & left.keys()))
        elif back:
            size = max(1, size // SMALLER)
            continue
        if len(left) == before and not stopped():
            raise ImageFinderError("the cluster loses what its workers answer; index again")


def killing(parcel: bytes, place: int) -> Answer:
    """An image that takes its worker with it."""
    failed = Failed(unpacked(parcel).ref, DIED, final=False)
    return Answer(place, done=(place,), outcomes=(failed,))
