"""A collection carried into another one, of whatever kind: nothing is embedded again.

carry    sources, spaces, images with their embeddings, uploads' bytes, what was skipped
check    that the target has it all: counts, checksums, a sample of searches
run      the two together
"""

from imagefinder.migrate.run import migrate

__all__ = ["migrate"]
