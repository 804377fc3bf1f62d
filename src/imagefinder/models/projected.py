"""What an adapted model computes, and its files."""

import json
import os
import shutil
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from imagefinder.arrays import Embedding, Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import UsageError
from imagefinder.models.description import DESCRIPTION, PROJECTION, Description, damaged
from imagefinder.protocols import Embedder
from imagefinder.types import ModelSpec


@dataclass(frozen=True, slots=True)
class Projection:
    """What becomes of a base model's embeddings: (row - mean) @ matrix, of rows at unit length.
    `mean` is (dim,), `matrix` (dim, new dim)."""

    mean: Embedding
    matrix: Embeddings

    def __call__(self, rows: Embeddings) -> Embeddings:
        """(n, dim) -> (n, new dim)"""
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = rows / np.where(lengths > 0, lengths, 1)
        projected: Embeddings = ((unit - self.mean) @ self.matrix).astype(np.float32)
        return projected


class AdaptedEmbedder:
    """An `Embedder`: the base model's embeddings, projected."""

    def __init__(self, base: Embedder, projection: Projection, name: str) -> None:
        self._base, self._projection, self._name = base, projection, name

    @cached_property
    def spec(self) -> ModelSpec:
        """Another one for every base and every projection."""
        base, projection = self._base.spec, self._projection
        digest = sha256(base.fingerprint.encode())
        digest.update(projection.mean.tobytes())
        digest.update(projection.matrix.tobytes())
        return ModelSpec(
            name=self._name,
            dim=projection.matrix.shape[1],
            preprocessing=base.preprocessing,
            sha256=digest.hexdigest(),
        )

    def preprocess(self, image: Pixels) -> Tensor:
        """As the base model wants it."""
        return self._base.preprocess(image)

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, new dim)"""
        return self._projection(self._base.embed(tensors))


def save_adapted(folder: Path, description: Description, projection: Projection) -> None:
    """All of it or nothing. Raises UsageError where there is a folder already."""
    if folder.exists():
        raise UsageError(f"{folder}: there is one already; give another name, or delete it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        np.savez(temporary / PROJECTION, mean=projection.mean, matrix=projection.matrix)
        text = json.dumps(asdict(description), indent=2, ensure_ascii=False)
        (temporary / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")
        os.chmod(temporary, 0o755)  # not private, as temporary folders are
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_projection(folder: Path) -> Projection:
    """Raises ModelError."""
    path = folder / PROJECTION
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            mean, matrix = arrays["mean"], arrays["matrix"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    shapes = f"{mean.shape} and {matrix.shape}"
    if mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix) or not matrix.shape[1]:
        raise damaged(path, f"arrays of {shapes} do not fit")
    if mean.dtype != np.float32 or matrix.dtype != np.float32:
        raise damaged(path, f"arrays of {mean.dtype} and {matrix.dtype}; both must be float32")
    if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
        raise damaged(path, "it has numbers that are not finite")
    return Projection(mean, matrix)
