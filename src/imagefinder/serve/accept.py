"""What a client would like to get: its `Accept` header."""

from collections.abc import Iterable


def most_welcome(header: str, kinds: Iterable[str]) -> str | None:
    """Of these media types the one that the header likes best, the first of equals; None when it
    names none. A wild card names nothing: programs send it without a thought."""
    likes = qualities(header)
    named = [kind for kind in kinds if likes.get(kind, 0) > 0]
    return max(named, key=lambda kind: likes[kind], default=None)


def qualities(header: str) -> dict[str, float]:
    """Media type -> how welcome it is, 0 (not at all) to 1, in the order of the header."""
    found = {}
    for part in header.split(","):
        kind, *parameters = part.split(";")
        found[kind.strip().lower()] = min(map(_quality, parameters), default=1.0)
    return found


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
