"""An open collection: images in a ledger, a vector store for each space, and uploads' bytes.

collection   what every one is
directory    of this machine: SQLite and zvec, one process at a time
cluster      in Milvus, any number of processes
opening      from a place to the one that is there
"""

from imagefinder.collection.collection import Collection
from imagefinder.collection.opening import open_collection

__all__ = ["Collection", "open_collection"]
