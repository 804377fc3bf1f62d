"""Ray says a lot; a run says what its user can use. Ray's log files in its session's folder have
everything."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

LEVEL = "RAY_BACKEND_LOG_LEVEL"
SKIPPED = "RAY_DEDUP_LOGS_SKIP_REGEX"


@contextmanager
def quiet_import() -> Iterator[None]:
    """Around the import. What the cluster says of workers that died would stand between the lines
    of our own output, and its maker would be told of the use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    before = os.environ.get(SKIPPED)
    os.environ.setdefault(SKIPPED, ".")
    try:
        yield
    finally:
        if before is None:
            del os.environ[SKIPPED]


@contextmanager
def quiet_data() -> Iterator[None]:
    """Ray Data's lines on the console are left out."""
    logger = logging.getLogger("ray.data")
    shown = [one for one in logger.handlers if isinstance(one, logging.StreamHandler)]
    levels = [(one, one.level) for one in shown]
    for handler in shown:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in levels:
            handler.setLevel(level)


@contextmanager
def quiet_core() -> Iterator[None]:
    """Around `ray.init`. What Ray's core, which is C++, writes to stderr from then on is left out,
    unless the user has set a level; with one, it first says that it has."""
    before = os.environ.get(LEVEL)
    if before is not None:
        yield
        return
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.environ[LEVEL] = "fatal"
    try:
        yield
    finally:
        del os.environ[LEVEL]
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
