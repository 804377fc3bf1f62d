"""One collection carried into another, and looked at afterwards."""

from collections.abc import Callable
from contextlib import ExitStack, closing

from imagefinder.collection import open_collection
from imagefinder.errors import UsageError
from imagefinder.home import ClusterPlace, Place, find_place
from imagefinder.ingest import no_one
from imagefinder.migrate.carry import Carrier
from imagefinder.migrate.check import Check
from imagefinder.sources import Fetcher
from imagefinder.types import MigrateReport


def migrate(
    source: str,
    target: str,
    *,
    token: str | None = None,
    on_progress: Callable[[int, int | None], None] = no_one,
) -> MigrateReport:
    """Carry everything of a collection into another one: a name, a directory, or a cluster, which
    lets in who has the `token`. The target may be there already; images that it has of the same ids
    and sources stay. Cut off, the same call goes on. `on_progress` gets what is done of its total:
    every image is carried, and then compared.

    Raises CollectionNotFoundError, TransferError where the two cannot go together, or differ
    afterwards.
    """
    there, here = opened(source, token), opened(target, token)
    if identity(there) == identity(here):
        raise UsageError(f"{source}: source and target are one; name two collections")
    with ExitStack() as held:
        from_ = held.enter_context(closing(open_collection(there)))
        to = held.enter_context(closing(open_collection(here, create=True)))
        fetcher = held.enter_context(closing(Fetcher()))
        report = MigrateReport(spaces=from_.spaces())
        carrier = Carrier(from_, to, fetcher.read, on_progress, report)
        carrier.carry()
        for space in report.spaces:
            to.store(space).optimize()
        Check(carrier, on_progress).run()
    return report


def identity(at: Place | ClusterPlace) -> object:
    """The same for one collection, however it is called."""
    if isinstance(at, Place):
        return at.path.resolve()
    return at.address.server, at.address.database or "default", at.address.name


def opened(where: str, token: str | None) -> Place | ClusterPlace:
    """Raises UsageError for a service."""
    from imagefinder.home import is_cluster

    return find_place(where, token if is_cluster(where) else None)
