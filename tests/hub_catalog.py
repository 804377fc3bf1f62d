"""The hub's stand-in with every repository of the catalogue, at the commits of its rows."""

from tests.hub_server import HubServer
from tests.small_graphs import repositories


def catalogue_hub() -> HubServer:
    """Use it as a context manager, or `at_the_rows_commits` on one that is made otherwise."""
    server = HubServer(repositories())
    at_the_rows_commits(server)
    return server


def at_the_rows_commits(server: HubServer) -> None:
    from imagefinder.models import RowModel, catalog

    for row in catalog().values():
        for file in RowModel(row).files:
            if file.revision not in {"main", server.commit(file.repository)}:
                server.at(file.repository, file.revision)
