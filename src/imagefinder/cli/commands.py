"""Every command registers itself by being imported."""

from imagefinder.cli import downloading, indexing, searching, serving, showing, transfer, upkeep

__all__ = ["downloading", "indexing", "searching", "serving", "showing", "transfer", "upkeep"]
