"""Embeddings with their ids and metadata, to files that other programs read, and from theirs."""

from imagefinder.exchange.files import Imported, read, write

__all__ = ["Imported", "read", "write"]
