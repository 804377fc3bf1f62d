"""Keeps the libraries that decode from warning about files that nobody here wrote."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import cast

_thread = local()


class _WhileDecoding:
    """Stands where a warning filter has its module pattern, and matches in a thread that decodes.

    `warnings.catch_warnings` is not safe with threads: two that overlap can leave the filters of
    the whole process changed. This one is put in once, and elsewhere it never matches.
    """

    pattern = "(?!)"  # matches nothing; for who copies the filters to threads, as scikit-learn does

    def match(self, module: str) -> bool:
        return getattr(_thread, "decodes", False) and module.startswith(("PIL.", "pi_heif."))


_FILTER = ("ignore", None, Warning, _WhileDecoding(), 0)


@contextmanager
def silence() -> Iterator[None]:
    """No warning of Pillow or pi-heif in this thread; other threads and modules keep theirs."""
    filters = cast("list[object]", warnings.filters)
    if _FILTER not in filters[:1]:  # pytest, and others, exchange the list
        filters.insert(0, _FILTER)
    before = getattr(_thread, "decodes", False)
    _thread.decodes = True
    try:
        yield
    finally:
        _thread.decodes = before
