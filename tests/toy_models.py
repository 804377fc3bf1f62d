"""Models for tests that need real ones of some kind: folders with small graphs."""

import json
from pathlib import Path

import numpy as np

from tests.small_graphs import FLOAT as NUMBERS
from tests.small_graphs import VIT, Builder, matrix, repositories

SIDE = 32
THUMBNAIL = 48  # numbers of the picture that a toy looks at


def write_model(folder: Path, *, dim: int = 24, seed: int = 0, scale: float = 1.0) -> Path:
    """A model folder: the embedding is a random projection of a small thumbnail, which differs with
    the seed; `scale` makes embeddings longer."""
    b = Builder()
    weights = (matrix(THUMBNAIL, dim, seed) * np.float32(scale)).astype(np.float32)
    b.node("MatMul", b.thumbnail("pixel_values", SIDE), b.weight(weights), out="embedding")
    graph = b.model(
        {"pixel_values": (NUMBERS, ("batch", 3, SIDE, SIDE))},
        {"embedding": (NUMBERS, ("batch", dim))},
    )
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph)
    config = {**json.loads(VIT), "size": {"height": SIDE, "width": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder


def write_clip(folder: Path) -> Path:
    """A model folder with a text side: words find pictures of the colours that they name."""
    folder.mkdir(parents=True)
    files = repositories()
    for name, data in files["Qdrant/clip-ViT-B-32-vision"].items():
        (folder / name).write_bytes(data)
    words = files["Qdrant/clip-ViT-B-32-text"]
    (folder / "text_model.onnx").write_bytes(words["model.onnx"])
    (folder / "tokenizer.json").write_bytes(words["tokenizer.json"])
    return folder
