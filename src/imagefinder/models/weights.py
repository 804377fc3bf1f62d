"""The bytes of a model's graph, verified."""

from hashlib import sha256
from pathlib import Path

from imagefinder.errors import ModelError
from imagefinder.types import ModelSpec

MODELS = Path(__file__).parent


def load_graph(spec: ModelSpec, folder: Path = MODELS) -> bytes:
    """The graph's bytes. Raises ModelError when they are missing or not those of the row."""
    path = folder / spec.file
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: the model {spec.name} cannot be read ({error.strerror});"
            " reinstall imagefinder"
        ) from error
    if sha256(graph).hexdigest() != spec.sha256:
        raise ModelError(
            f"{path}: the model {spec.name} is damaged (sha256 differs); reinstall imagefinder"
        )
    return graph
