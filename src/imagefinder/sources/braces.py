"""WebDataset's notation for many shards: `shard-{0000..0099}.tar`, `{train,test}-{0..9}.tar`."""

import re

from imagefinder.errors import UsageError

MOST = 1_000_000  # names of one pattern
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)")
_GLOB = re.compile(r"[*?\[]")


def is_pattern(name: str) -> bool:
    """Whether it stands for several names."""
    return _GLOB.search(name) is not None or any(
        "," in inner or _RANGE.fullmatch(inner) for inner in _BRACES.findall(name)
    )


def is_glob(name: str) -> bool:
    return _GLOB.search(name) is not None


def expand(pattern: str) -> list[str]:
    """The names in the order of their numbers. Braces that are neither a range nor a list stay.

    Raises UsageError for more than a million."""
    names, end = [""], 0
    for found in _BRACES.finditer(pattern):
        choices = _choices(found[1])
        if choices is None:
            continue
        if len(names) * len(choices) > MOST:
            raise UsageError(f"{pattern}: stands for more than {MOST:,} names; split it")
        before, end = pattern[end : found.start()], found.end()
        names = [f"{name}{before}{choice}" for name in names for choice in choices]
    return [name + pattern[end:] for name in names]


def _choices(inner: str) -> list[str] | None:
    """What is between two braces stands for, None where it is just text. Numbers are as wide as
    they are written; there are no more of them than one too many."""
    found = _RANGE.fullmatch(inner)
    if found is None:
        return inner.split(",") if "," in inner else None
    first, last = found.groups()
    width = max(len(first), len(last)) if first.startswith("0") else 0
    numbers = range(int(first), min(int(last), int(first) + MOST) + 1)
    return [f"{number:0{width}}" for number in numbers]
