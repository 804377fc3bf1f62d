"""source -> store: bounded, incremental, resumable.

triage    what the ledger knows already costs no read
examine   on every core: read, hash, decode, preprocess, embed
commit    store first, then ledger, in one order that makes a crash harmless
run       the three together over one source
prune     what the source no longer holds
overlap   folders within folders
uploads   the same for images that are handed over as bytes
twins     embeddings lent, in the other spaces, to images of the same bytes
fill      a space brought up to date with what it lacks
derive    the same for an adapted model's, of its base model's embeddings
"""

from imagefinder.ingest.derive import Deriver
from imagefinder.ingest.fill import Filler
from imagefinder.ingest.overlap import as_parts
from imagefinder.ingest.prune import check_whole
from imagefinder.ingest.run import Examining, IndexOptions, index_source, no_one
from imagefinder.ingest.uploads import Adder

__all__ = [
    "Adder",
    "Deriver",
    "Examining",
    "Filler",
    "IndexOptions",
    "as_parts",
    "check_whole",
    "index_source",
    "no_one",
]
