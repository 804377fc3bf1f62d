"""The two ledgers on one screen: of a directory (SQLite), and of a cluster (Milvus)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from imagefinder.stores.ledger.entries import (
    Held,
    ImageEntry,
    SkippedEntry,
    SpaceEntry,
    Unseen,
)


class SpaceTable(Protocol):
    """The part that speaks of spaces.

    Every image is to be in every space whose model embeds images; what a space lacks it is behind
    with."""

    def entries(self) -> Mapping[str, SpaceEntry]:
        """By name, in the order they were added."""

    @property
    def in_use(self) -> str | None:
        """The space that searches use: the chosen one, else the first; None where there is none."""

    def add(self, entry: SpaceEntry) -> None:
        """A new, empty space; it is behind with every image that there is."""

    def moved(self, name: str, model: str) -> None:
        """The model is found under another reference now."""

    def use(self, name: str) -> None:
        """Searches use this space from now on."""

    def drop(self, name: str) -> None:
        """Forget a space."""

    def behind(
        self, space: str, *, after: str = "", limit: int = 1000, failed: bool = False
    ) -> list[str]:
        """Ids that it lacks, in order; with `failed`, those too that could not be embedded."""

    def behind_count(self, space: str, *, failed: bool = True) -> int:
        """How many images it lacks."""

    def lacking(self, space: str, ids: Sequence[str]) -> set[str]:
        """Which of these ids it lacks."""

    def caught_up(self, space: str, ids: Iterable[str], failed: Mapping[str, str]) -> None:
        """It has these images now; `failed` could not be embedded, for these reasons."""


class Ledger(Protocol):
    """Safe to call from several threads. What it has recorded survives `kill -9`."""

    @property
    def spaces(self) -> SpaceTable: ...

    # sources

    def sources(self) -> Mapping[int, tuple[str, str]]:
        """Number -> (root that identifies it, base folder or URL of its relative uris)."""

    def source(self, root: str, base: str) -> int:
        """The number of the source with this root, new when there was none."""

    def move_source(self, source: int, root: str, base: str) -> None:
        """Point a source at the place where its images are now."""

    def drop_source(self, source: int) -> None:
        """Forget a source that no image comes from any more, and what was skipped of it."""

    # what is known

    @property
    def changes(self) -> int:
        """Another one after every change, now and then also without."""

    def images(self, ids: Sequence[str]) -> dict[str, ImageEntry]:
        """The entries of those ids that are indexed."""

    def with_content(self, sha256: str) -> list[ImageEntry]:
        """Indexed images of the same bytes; a few are as good as all."""

    def has_upload(self, path: str) -> bool:
        """Whether an image is left whose bytes the collection keeps at this path."""

    def below(self, source: int, folder: str = "") -> Iterator[list[ImageEntry]]:
        """The images of a source, or of a folder of it, some at once."""

    def ids(self, *, after: str = "", limit: int = 1000) -> list[str]:
        """The indexed ids greater than `after`, in order."""

    def random_ids(self, count: int) -> list[str]:
        """So many of the ids, by lot; all where there are fewer."""

    def count(self, source: int | None = None) -> int:
        """How many images are indexed, in all or from one source."""

    def skips(self, source: int, ids: Sequence[str]) -> dict[tuple[str, str], SkippedEntry]:
        """The skipped images of a source with these ids, by (id, path)."""

    def skipped(self) -> Iterator[SkippedEntry]:
        """Every skipped image, by source and id."""

    def skipped_count(self) -> int:
        """How many images are skipped."""

    # writing

    def acknowledge(
        self,
        images: Iterable[ImageEntry],
        skipped: Iterable[SkippedEntry] = (),
        gone: Sequence[str] = (),
        held: Held | None = None,
    ) -> None:
        """Record images whose store entries are written, images that were skipped, and ids whose
        store entries are to be deleted (these are in doubt until `settled`).

        `held` says which spaces have the embeddings of new contents; None: no content is new."""

    def forget(self, ids: Sequence[str]) -> None:
        """Take indexed images out; they stay in doubt until `settled`."""

    def look_again(self, ids: Iterable[str]) -> None:
        """Distrust images whose store entries may be ahead: the next run embeds them anew."""

    def settled(self, ids: Iterable[str]) -> None:
        """The store agrees about these ids."""

    # one run over a source

    def start_run(self, source: int) -> None:
        """Forget which images of the source were seen."""

    def see(self, source: int, keys: Sequence[tuple[str, str]]) -> list[str | None]:
        """Mark (id, path) pairs as seen in this run; for each, the path that claimed the id first
        (the same path: it stands in the source twice), None when the id is new in this run."""

    def unseen(self, source: int) -> Iterator[Unseen]:
        """The indexed images of the source that this run did not meet, in the order of ids."""

    def drop_unseen_skips(self, source: int) -> None:
        """Forget skipped images that the source no longer names."""

    def close(self) -> None: ...
