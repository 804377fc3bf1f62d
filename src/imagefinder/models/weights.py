"""The bytes of a graph that comes with the package, verified."""

from hashlib import sha256
from pathlib import Path

from imagefinder.errors import ModelError
from imagefinder.models.row import ModelRow

MODELS = Path(__file__).parent


def load_packaged(row: ModelRow, folder: Path = MODELS) -> bytes:
    """The graph's bytes. Raises ModelError when they are missing or not those of the row."""
    path = folder / row.package_file
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: the model {row.name} cannot be read ({error.strerror}); reinstall imagefinder"
        ) from error
    if sha256(graph).hexdigest() != row.sha256:
        raise ModelError(
            f"{path}: the model {row.name} is damaged (sha256 differs); reinstall imagefinder"
        )
    return graph
