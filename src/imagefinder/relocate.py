"""When images have moved as a whole: their collection follows."""

import os
from dataclasses import replace

from imagefinder.collection import Collection
from imagefinder.errors import SourceError, UsageError
from imagefinder.places import below

PAGE = 500  # records rewritten at once


def relocate(collection: Collection, old: str, new: str) -> int:
    """Point what was at or below `old` to `new`; returns how many sources and single images moved.

    Raises SourceError when `new` does not exist, UsageError when nothing is at or below `old`.
    """
    old, new = absolute(old), real(new)
    if "://" not in new and not os.path.exists(new):
        raise SourceError(f"{new}: no such file or folder; name the place where the images are now")
    moved = 0
    with collection.writing:
        # a table may name its images through a link; the roots of sources have none in them
        for place in {old, real(old)} - {new}:
            moved += move_sources(collection, place, new) + move_images(collection, place, new)
    if not moved:
        roots = ", ".join(root for root, _ in collection.ledger.sources().values()) or "none"
        raise UsageError(
            f"{old}: no images of {collection.name} come from a source at or below it;"
            f" its sources: {roots}"
        )
    return moved


def move_sources(collection: Collection, old: str, new: str) -> int:
    """Sources whose root or base is at or below `old`: their images follow by themselves."""
    moved = 0
    for number, (root, base) in collection.ledger.sources().items():
        target = moved_path(root, old, new), moved_path(base, old, new)
        if target == (root, base):
            continue
        if any(target[0] == other for other, _ in collection.ledger.sources().values()):
            raise UsageError(
                f"{target[0]}: is a source of {collection.name} already; two cannot be one"
            )
        collection.ledger.move_source(number, *target)
        moved += 1
    return moved


def move_images(collection: Collection, old: str, new: str) -> int:
    """Images that a table names by absolute path are stored so, and are rewritten one by one."""
    moved = 0
    for space in collection.spaces():
        store, after = collection.store(space), ""
        while ids := collection.ledger.ids(after=after, limit=PAGE):
            with collection.holding(ids):
                changed = [
                    replace(record, uri=moved_path(record.uri, old, new))
                    for record in store.get(ids).values()
                    if moved_path(record.uri, old, new) != record.uri
                ]
                store.update(changed)
            moved += len(changed)
            after = ids[-1]
    return moved


def moved_path(path: str, old: str, new: str) -> str:
    """`path` with `new` in the place of `old`, when it is at or below `old`."""
    if path == old:
        return new
    rest = below(old, path)
    return path if rest is None else f"{new.rstrip('/')}/{rest}"


def absolute(place: str) -> str:
    """An absolute path, or a URL as it is."""
    if "://" in place:
        return place
    return os.path.abspath(os.path.expanduser(place))


def real(place: str) -> str:
    """The same without symbolic links, as far as it exists."""
    return place if "://" in place else os.path.realpath(absolute(place))
