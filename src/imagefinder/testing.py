"""For tests of what is built on ImageFinder: a model that is quick, small and deterministic."""

import numpy as np
from PIL import Image

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.types import ModelSpec

SIDE = 4

FAKE = ModelSpec(
    name="fake",
    dim=3 * SIDE * SIDE,
    size=SIDE,
    resize="squash",
    resample="bilinear",
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
    file="",
    sha256="fake-1",
    licence="Apache-2.0",
    input_name="",
    output_name="",
)


class FakeEmbedder:
    """An `Embedder` without a network: a picture's embedding is its thumbnail of 4 x 4 pixels, so
    pictures of like colours in like places are close. `calls` counts the images embedded."""

    spec = FAKE

    def __init__(self) -> None:
        self.calls = 0

    def preprocess(self, image: Pixels) -> Tensor:
        """(3, 4, 4)"""
        small = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, 48) unit rows"""
        self.calls += len(tensors)
        rows = tensors.reshape(len(tensors), -1) + np.float32(1e-3)  # grey has a direction too
        unit: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit.astype(np.float32)
