"""Labelled images, read and decoded ahead of their use."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from imagefinder.adapt.examples import Examples
from imagefinder.ahead import ahead, chunks
from imagefinder.arrays import Embeddings, Tensor, Tensors
from imagefinder.decode import decode
from imagefinder.errors import ImageError, ImageNotFoundError, SourceError
from imagefinder.protocols import Embedder
from imagefinder.same import unit
from imagefinder.types import Skipped

if TYPE_CHECKING:
    from imagefinder.local import LocalFinder

AT_ONCE = 64  # pictures embedded together
WINDOW = 128  # tensors waiting: 0.6 MB each at 224 pixels, so 80 MB


@dataclass(frozen=True, slots=True)
class Pictures:
    """Those of a collection, as the model `prepare` takes them. What cannot be read, or has other
    bytes than `contents` (SHA-256) says, is left out and not tried again: it is in `skipped`."""

    finder: "LocalFinder"
    prepare: Embedder
    contents: Mapping[str, str]
    skipped: dict[str, Skipped] = field(default_factory=dict)

    def tensors(self, ids: Iterable[str]) -> Generator[tuple[str, Tensor], None, None]:
        """Each picture that can be read, with its id, in their order; an id may come again."""
        wanted = (id for id in ids if id not in self.skipped)
        workers = os.cpu_count() or 1
        with closing(ahead(self._read, wanted, workers=workers, window=WINDOW)) as outcomes:
            for id, found in outcomes:
                if isinstance(found, Skipped):
                    self.skipped[id] = found
                else:
                    yield id, found

    def embedded(self, examples: Examples, embed: Callable[[Tensors], Embeddings]) -> Examples:
        """Those that can be read, with the rows that `embed` makes of them.

        Raises SourceError where nothing can be said of the rest."""
        ids: list[str] = []
        rows: list[Embeddings] = []
        with closing(self.tensors(examples.ids)) as tensors:
            for some in chunks(tensors, AT_ONCE):
                ids += [id for id, _ in some]
                rows.append(embed(np.stack([tensor for _, tensor in some])))
        there = examples.of_ids(ids)
        if not there.judgements.queries:
            raise SourceError(
                f"{len(self.skipped)} of the labelled images cannot be read, such as"
                f" {self.why_not()}; of the others nothing can be learned"
            )
        return replace(there, rows=unit(np.concatenate(rows)))

    def why_not(self) -> str:
        """The first that cannot be read, and why."""
        return next((f"{one.id} ({one.reason})" for one in self.skipped.values()), "none")

    def _read(self, id: str) -> tuple[str, Tensor | Skipped]:
        uri = ""
        try:
            uri = self.finder.get(id).uri
            data = self.finder.read(id)
            if sha256(data).hexdigest() != self.contents.get(id):
                raise ImageError("its file has changed since it was indexed; index it again")
            size = self.prepare.spec.decode_size
            pixels = decode(data, at_least=size, limits=self.finder.limits).pixels
        except (ImageError, ImageNotFoundError) as error:
            return id, Skipped(id, uri, str(error).removeprefix(f"{uri}: "))
        return id, self.prepare.preprocess(pixels)
