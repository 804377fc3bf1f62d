"""A catalogue of the user's own: rows for toy models on the hub's stand-in."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.toy_models import SIDE, write_model

FILES = ("model.onnx", "preprocessor_config.json")


def toy_repositories(folder: Path, dims: Mapping[str, int]) -> dict[str, dict[str, bytes]]:
    """For each name a repository of it, of a model with so many dimensions, made in the folder."""
    made = {
        name: write_model(folder / name, dim=dim, seed=seed)
        for seed, (name, dim) in enumerate(dims.items(), start=1)
    }
    return {
        f"toys/{name}": {file: (where / file).read_bytes() for file in FILES}
        for name, where in made.items()
    }


def write_rows(patch: pytest.MonkeyPatch, config: Path, dims: Mapping[str, int]) -> None:
    """The rows of these models, for this process and its children."""
    patch.setenv("XDG_CONFIG_HOME", str(config))
    file = config / "imagefinder" / "models.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "\n".join(
            f'[{name}]\nrepository = "toys/{name}"\nfile = "{FILES[0]}"\n'
            f'processor = "{FILES[1]}"\ndim = {dim}\nsize = {SIDE}\n'
            for name, dim in dims.items()
        )
    )


def pull(*names: str) -> None:
    from imagefinder.models import find_model

    for name in names:
        find_model(name).pull()  # type: ignore[attr-defined]


def forget(server: HubServer, name: str) -> None:
    """As `imagefinder models remove`; what is asked of the hub counts from now."""
    from imagefinder.models.hub import files as hub
    from imagefinder.models.model import RowModel, find_model

    model = find_model(name)
    assert isinstance(model, RowModel)
    hub.forget(model.files)
    server.requests.clear()
