"""Which of a graph's outputs is the embedding, and how it becomes one row for each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imagefinder.arrays import Embeddings
from imagefinder.errors import ModelError
from imagefinder.models.row import Pooling

# By what exporters call them: first what was trained to be compared, then summaries of the whole
# picture, last what has yet to be pooled.
PREFERRED = (
    "image_embeds",
    "text_embeds",
    "sentence_embedding",
    "embedding",
    "embeddings",
    "features",
    "pooler_output",
    "last_hidden_state",
)
FLOATING = ("tensor(float)", "tensor(float16)", "tensor(double)")
WORDS = {"": "", "cls": " (class token)", "mean": " (mean)"}

How: TypeAlias = Literal["", "cls", "mean"]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or an output of a graph. None in its shape: a length that is not fixed."""

    name: str
    type: str  # in the runtime's words: tensor(float)
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = " x ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes or 'a single number'})"


@dataclass(frozen=True, slots=True)
class Taken:
    """The output that is taken. `only`: the graph has no other that it could be."""

    port: Port
    how: How
    only: bool

    @property
    def dim(self) -> int | None:
        """Of the embeddings; None where the shape does not tell."""
        return self.port.shape[1 if len(self.port.shape) == 4 else -1]

    @property
    def words(self) -> str:
        """What `ModelSpec.output` says: empty where there was nothing to choose."""
        return "" if self.only and not self.how else f"{self.port.name}{WORDS[self.how]}"

    def rows(self, given: NDArray[np.floating]) -> Embeddings:
        """(n, dim) from what the graph gave for n items."""
        rows: Embeddings = self._pooled(given).astype(np.float32, copy=False)
        return rows

    def _pooled(self, given: NDArray[np.floating]) -> NDArray[np.floating]:
        if given.ndim == 4:
            return np.asarray(given.mean(axis=(2, 3), dtype=np.float32))
        if given.ndim == 3 and self.how == "mean":
            return np.asarray(given.mean(axis=1, dtype=np.float32))
        return given[:, 0] if given.ndim == 3 else given


def choose(
    name: str, outputs: Sequence[Port], *, output: str | None = None, pooling: Pooling | None = None
) -> Taken:
    """The embedding among a graph's outputs, whose ranks are known.

    `output` and `pooling` win. Else it is an output of rank 2, (n, dim), the best known by its
    name; else one of rank 4, (n, dim, height, width), and its mean over the picture; else one of
    rank 3, (n, tokens, dim), and its first token. Raises ModelError, which names the outputs.
    """
    port = named(name, outputs, output) if output else best(name, outputs, pooling)
    rank = len(port.shape)
    if port.type not in FLOATING:
        raise ModelError(f"{name}: its output {port} is of type {port.type}, not floating point")
    if rank not in (2, 3, 4) or port.shape[0] == 0:
        raise ModelError(
            f"{name}: its output {port} has no batch axis or is none of (n, dim),"
            " (n, tokens, dim), (n, dim, height, width)"
        )
    if pooling and (rank == 2 or (rank == 4 and pooling == "cls")):
        raise ModelError(f"{name}: its output {port} has no tokens that pooling = {pooling!r} asks")
    hows: dict[int, How] = {2: "", 3: pooling or "cls", 4: "mean"}
    return Taken(port, hows[rank], only=len(outputs) == 1)


def named(name: str, outputs: Sequence[Port], output: str) -> Port:
    """The output that is asked for."""
    for port in outputs:
        if port.name == output:
            return port
    raise ModelError(f"{name}: the graph has no output {output}; it has {listed(outputs)}")


def best(name: str, outputs: Sequence[Port], pooling: Pooling | None) -> Port:
    """The output that looks most like an embedding."""
    for rank in (4, 3) if pooling else (2, 4, 3):
        found = [p for p in outputs if len(p.shape) == rank and p.type in FLOATING]
        known = [p for wanted in PREFERRED for p in found if p.name == wanted]
        if known or len(found) == 1:
            return (known or found)[0]
        if found:
            raise ModelError(
                f"{name}: any of the outputs {listed(found)} may be the embedding;"
                ' say which: "imagefinder": {"output": "NAME"} in preprocessor_config.json'
            )
    if len(outputs) == 1:
        return outputs[0]
    raise ModelError(f"{name}: none of its outputs is an embedding: {listed(outputs)}")


def listed(ports: Sequence[Port]) -> str:
    """In words."""
    return ", ".join(str(port) for port in ports)
