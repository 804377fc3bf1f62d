"""Models of transformers, on PyTorch: where the way into the extra `torch` begins."""

from importlib.util import find_spec

from imagefinder.errors import MissingExtraError
from imagefinder.models.torch.files import OnProgress, find_files, has_text, is_here, nobody
from imagefinder.protocols import Embedder

__all__ = ["has_text", "is_here", "load_torch", "require_torch", "require_training"]


def load_torch(
    reference: str,
    *,
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    fetch: bool = True,
    on_progress: OnProgress = nobody,
) -> Embedder:
    """The vision model of a folder or of a hub id; a TextEmbedder where it has a text side.

    `device` is auto, cpu, cuda (cuda:1, ...) or mps; `dtype` is auto (bfloat16 on CUDA), float32,
    bfloat16 or float16. Without `fetch`, what is not here is not fetched. Raises ModelError,
    UsageError, and MissingExtraError where PyTorch or transformers is not installed.
    """
    require_torch()
    from imagefinder.models.torch.embedder import embedder_of

    files = find_files(reference, fetch=fetch, on_progress=on_progress)
    return embedder_of(files, name=name, device=device, dtype=dtype)


def require_torch() -> None:
    """Raises MissingExtraError."""
    if not all(find_spec(module) for module in ("torch", "transformers")):
        raise MissingExtraError("a model of transformers", "torch")


def require_training() -> None:
    """Raises MissingExtraError."""
    if not all(
        find_spec(module) for module in ("torch", "transformers", "pytorch_metric_learning")
    ):
        raise MissingExtraError("fine-tuning", "torch")
