"""Indexing on the machines of a Ray cluster (the extra `ray`).

The driver, the process that was asked to index, lists the source, decides from the ledger what
needs work, and hands it out in waves; workers read, decode, embed and, where the collection can be
written from anywhere, write. No type of Ray's appears outside this package.

recipe    what a worker is told, and what it answers
bench     what a worker builds for itself: reader, model, collection
worker    the class that Ray Data runs
dataset   a wave through Ray Data, once
account   a wave until every image of it is accounted for, whatever dies
foreman   whom workers ask before they begin
crew      how many workers, on what
cluster   connecting, starting, and letting go; Ray's words in ours
run       the driver's side of indexing a source
elsewhere this machine's threads, or a cluster's
"""

from imagefinder.distributed.cluster import Cluster, connected
from imagefinder.distributed.run import distributed

__all__ = ["Cluster", "connected", "distributed"]
