"""Every command registers itself by being imported."""

from imagefinder.cli import downloading, indexing, searching, showing, transfer, upkeep

__all__ = ["downloading", "indexing", "searching", "showing", "transfer", "upkeep"]
