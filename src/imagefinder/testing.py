"""For tests of what is built on ImageFinder: models that are quick, small and deterministic."""

import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from PIL import Image, ImageColor

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.types import ModelSpec, Preprocessing

SIDE = 4

FAKE = ModelSpec(
    name="fake",
    dim=3 * SIDE * SIDE,
    preprocessing=Preprocessing(
        height=SIDE,
        width=SIDE,
        resize="squash",
        resample="bilinear",
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    ),
    sha256="fake-1",
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
        return unit_rows(tensors)


class FakeTextEmbedder(FakeEmbedder):
    """The same with a text side, a `TextEmbedder`: words embed as a picture of the colours that
    they name (those of CSS), side by side; words that name none, as one of some other colour."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(n, 48) unit rows"""
        return unit_rows(np.stack([self.preprocess(stripes(text)) for text in texts]))


def unit_rows(tensors: Tensors) -> Embeddings:
    """(n, 48)"""
    rows = tensors.reshape(len(tensors), -1) + np.float32(1e-3)  # grey has a direction too
    unit: Embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


def stripes(text: str) -> Pixels:
    """A picture that is 4 pixels high, and 4 wide for each colour."""
    names = [name for name in re.findall(r"[a-z]+", text.lower()) if name in ImageColor.colormap]
    named = [list(ImageColor.getrgb(name)[:3]) for name in names]
    colours = np.array(named or [list(sha256(text.encode()).digest()[:3])], dtype=np.uint8)
    row = np.repeat(colours, SIDE, axis=0)
    return np.broadcast_to(row, (SIDE, *row.shape)).copy()
