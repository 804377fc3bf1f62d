"""Vision models: the catalogue, and the way from a name to an embedder."""

from imagefinder.models.adapted import AdaptedModel
from imagefinder.models.catalog import DEFAULT_MODEL, catalog, model_row, names_with_text
from imagefinder.models.model import NetworkModel, RowModel, find_model
from imagefinder.models.named import Model, OnFetch, nobody
from imagefinder.protocols import Embedder

__all__ = [
    "DEFAULT_MODEL",
    "AdaptedModel",
    "Model",
    "NetworkModel",
    "OnFetch",
    "RowModel",
    "catalog",
    "find_model",
    "load_embedder",
    "model_row",
    "names_with_text",
    "nobody",
]


def load_embedder(reference: str = DEFAULT_MODEL, *, device: str = "auto") -> Embedder:
    """The embedder of a name, a folder or a hub id; fetched where it is not here.

    Raises UsageError, ModelError."""
    return find_model(reference).load(device=device)
