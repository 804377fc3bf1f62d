"""From the place of a collection to the collection."""

from imagefinder.collection.collection import Collection
from imagefinder.collection.directory import DirectoryCollection
from imagefinder.home import ClusterPlace, Place


def open_collection(place: Place | ClusterPlace, *, create: bool = False) -> Collection:
    """Reading never creates: without `create`, a missing one is CollectionNotFoundError."""
    if isinstance(place, Place):
        if not create:
            place.require()
        return DirectoryCollection(place.path, place.name, create=create)
    from imagefinder.collection.cluster import ClusterCollection  # pymilvus

    return ClusterCollection(place, create=create)
