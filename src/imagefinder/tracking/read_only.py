"""Finders of what does not change."""

from collections.abc import Callable
from typing import NoReturn

from imagefinder.client.remote import RemoteFinder
from imagefinder.errors import UsageError
from imagefinder.local import LocalFinder


class ReadOnly:
    """The methods that would change something. Raises UsageError in each."""

    def index(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def add(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def remove(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def update_metadata(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def relocate(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def import_embeddings(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def add_space(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def use_space(self, *_: object, **__: object) -> NoReturn:
        refuse()

    def drop_space(self, *_: object, **__: object) -> NoReturn:
        refuse()


def refuse() -> NoReturn:
    """Raises UsageError."""
    raise UsageError(
        "a registered collection does not change; register a new version:"
        " imagefinder track register NAME -c COLLECTION"
    )


class RegisteredFinder(ReadOnly, LocalFinder):
    """A registered collection: a copy of this opening's own, or one on a cluster. `at_close` takes
    away what was made for it."""

    at_close: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        if self.at_close is not None:
            self.at_close()


class RegisteredService(ReadOnly, RemoteFinder):
    """A registered collection that a service holds."""
