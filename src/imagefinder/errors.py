"""The exception tree. A message names the thing, the limit and the remedy, in one or two lines."""

__all__ = [
    "CollectionDamagedError",
    "CollectionError",
    "CollectionFormatError",
    "CollectionInUseError",
    "CollectionNotFoundError",
    "FetchError",
    "FilterError",
    "ImageError",
    "ImageFinderError",
    "ImageNotFoundError",
    "MissingExtraError",
    "ModelError",
    "ModelMismatchError",
    "PruneRefusedError",
    "SourceError",
    "StoreError",
    "TransferError",
    "UsageError",
]


class ImageFinderError(Exception):
    """The root: everything that ImageFinder raises on purpose."""


class UsageError(ImageFinderError):
    """The call itself is wrong: a bad option, an unknown query form."""


class FilterError(UsageError):
    """A filter expression cannot be read; `column` (from 1) is where.

    The message holds the expression and a caret below the column.
    """

    def __init__(self, problem: str, expression: str, column: int) -> None:
        self.problem, self.expression, self.column = problem, expression, column
        super().__init__(
            f"filter, column {column}: {problem}\n  {expression}\n  {' ' * (column - 1)}^"
        )


class MissingExtraError(ImageFinderError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs: pip install 'imagefinder[{extra}]'")


class SourceError(ImageFinderError):
    """A source as a whole cannot be read: missing, empty, not a table."""


class PruneRefusedError(SourceError):
    """Pruning would remove too much to be meant."""


class TransferError(ImageFinderError):
    """An export, import, backup or restore cannot be done."""


class ImageError(ImageFinderError):
    """One image cannot be used. While indexing it becomes a `Skipped`."""


class FetchError(ImageError):
    """The bytes of one image cannot be had."""


class ImageNotFoundError(ImageFinderError):
    """No image of the collection has this id."""

    @classmethod
    def of(cls, id: str) -> "ImageNotFoundError":
        """In the words that are used everywhere."""
        return cls(f"{id}: no image of the collection has this id")


class ModelError(ImageFinderError):
    """A model cannot be loaded or run."""


class CollectionError(ImageFinderError):
    """A collection cannot be used."""


class CollectionNotFoundError(CollectionError):
    """There is no collection of this name."""


class CollectionInUseError(CollectionError):
    """Another process has the collection open."""


class CollectionDamagedError(CollectionError):
    """Files of the collection are missing or unreadable."""


class CollectionFormatError(CollectionError):
    """The collection was written by a newer version."""


class ModelMismatchError(CollectionError):
    """The collection's embeddings come from another model or preprocessing."""


class StoreError(CollectionError):
    """The vector store failed, for example on a full or unwritable disk."""
