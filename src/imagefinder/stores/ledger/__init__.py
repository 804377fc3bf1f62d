"""What the vector store need not know: which file gave which image, and what came of it."""

from imagefinder.stores.ledger.entries import (
    IMPORTED,
    Held,
    ImageEntry,
    SkippedEntry,
    SpaceEntry,
    Unseen,
)
from imagefinder.stores.ledger.protocol import Ledger, SpaceTable

__all__ = [
    "IMPORTED",
    "Held",
    "ImageEntry",
    "Ledger",
    "SkippedEntry",
    "SpaceEntry",
    "SpaceTable",
    "Unseen",
]
