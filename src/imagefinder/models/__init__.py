"""Vision models: the catalogue, and the way from a name to an embedder."""

from imagefinder.models.catalog import CATALOG, DEFAULT_MODEL, model_spec
from imagefinder.protocols import Embedder

__all__ = ["CATALOG", "DEFAULT_MODEL", "load_embedder", "model_spec"]


def load_embedder(name: str = DEFAULT_MODEL) -> Embedder:
    """The embedder of a catalogue row. Raises UsageError, ModelError."""
    spec = model_spec(name)
    from imagefinder.models.onnx import OnnxEmbedder

    return OnnxEmbedder(spec)
