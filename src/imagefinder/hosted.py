"""What a service, or learning from labels, needs of a collection of this machine beside the methods
of the library."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagefinder.collection import Collection
from imagefinder.decode import DecodeLimits
from imagefinder.protocols import Embedder
from imagefinder.search import Computing
from imagefinder.session import Session
from imagefinder.spaces import fetch_models


class Hosted:
    """The part of `LocalFinder` that speaks of a service."""

    _session: Session
    _limits: DecodeLimits
    _computing: Computing

    def serve(
        self,
        through: Callable[[str, Embedder], Embedder],
        *,
        computing: Computing,
        full_paths: bool,
    ) -> None:
        """From now on every image is embedded by `through(space, model)`; `computing` is held
        meanwhile, but for that, by whoever decodes or searches; and unless `full_paths`, uris of
        local images are the paths below their sources' folders."""
        self._computing = computing
        self._session.serve(through, full_paths=full_paths)

    def fetch_models(self) -> None:
        """Before it is served: later, no request waits for a download."""
        fetch_models(self._session)

    def announce(self, address: str) -> None:
        """Tell other processes that want the collection at which URL it can be reached."""
        self._session.collection().announce(address)

    def space(self) -> str:
        """The space that searches use."""
        return self._session.space()

    def named(self, spaces: str | None) -> list[str]:
        """The spaces that `a,b` means, None: the one that searches use. Raises UsageError."""
        return self._session.named(spaces)

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The SHA-256 of the bytes of those images that exist."""
        entries = self._session.collection().ledger.images(ids)
        return {id: entry.sha256 for id, entry in entries.items()}

    @property
    def title(self) -> str:
        """What the collection is called, without the place where it is."""
        return self._session.place.title

    @property
    def models_folder(self) -> Path:
        """Where adapted models of the collection are kept."""
        return self._session.place.models

    @property
    def limits(self) -> DecodeLimits:
        """How large an image may be."""
        return self._limits

    @property
    def collection(self) -> Collection:
        """For what looks at all of it at once; to read only."""
        return self._session.collection()

    def create(self) -> None:
        """Make the collection, empty, where there is none."""
        self._session.collection(create=True)
