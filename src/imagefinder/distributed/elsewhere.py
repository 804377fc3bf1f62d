"""Where the images of a session are examined: on this machine, or on a cluster's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from imagefinder.decode import DecodeLimits
from imagefinder.distributed.cluster import connected
from imagefinder.distributed.run import distributed
from imagefinder.errors import UsageError
from imagefinder.ingest import Examining
from imagefinder.session import Session
from imagefinder.sources.address import redact

Workers: TypeAlias = Callable[[str, int | None], Examining | None]  # space, how many of them


@contextmanager
def elsewhere(
    session: Session, limits: DecodeLimits, ray: str | None, sources: Sequence[str] = ()
) -> Iterator[Workers]:
    """What examines images for a space, with so many workers: None stands for this machine's
    threads. The cluster at `ray` is connected meanwhile. `sources` are as the user named them.

    Raises as `connected`, and UsageError for a source that workers could not open."""
    if ray is None:
        yield lambda space, workers: None
        return
    for source in sources:
        if redact(source) != source:
            raise UsageError(
                f"{redact(source)}: workers take credentials from the environment of their"
                " machines, not from an address; leave them out of it"
            )
    with connected(ray) as cluster:
        yield lambda space, workers: distributed(
            cluster,
            session.entry(space),
            place=session.place,
            own=session.own,
            device=session.device,
            limits=limits,
            workers=workers,
        )
