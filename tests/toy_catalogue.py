"""A catalogue of the user's own: toy models on the hub's stand-in, and collections of them.

toy-a and toy-b are on this machine, toy-c is not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from tests.hub_server import HubServer, hub
from tests.pictures import write_pictures
from tests.toy_models import SIDE, write_model

NAMES = [f"{number}.png" for number in range(6)]
DIMS = {"toy-a": 24, "toy-b": 4, "toy-c": 6}
FILES = ("model.onnx", "preprocessor_config.json")


@contextmanager
def toy_hub(patch: pytest.MonkeyPatch, home: Path) -> Iterator[HubServer]:
    """Their hub, for this process and its children; what is asked of it counts from now."""
    patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    write_rows(home / "config" / "imagefinder" / "models.toml")
    repositories = {}
    for seed, (name, dim) in enumerate(DIMS.items(), start=1):
        made = write_model(home / "models" / name, dim=dim, seed=seed)
        repositories[f"toys/{name}"] = {file: (made / file).read_bytes() for file in FILES}
    with hub(repositories, patch, home) as server:
        pull("toy-a", "toy-b")
        server.requests.clear()
        yield server


def write_rows(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(
        "\n".join(
            f'[{name}]\nrepository = "toys/{name}"\nfile = "{FILES[0]}"\n'
            f'processor = "{FILES[1]}"\ndim = {dim}\nsize = {SIDE}\n'
            for name, dim in DIMS.items()
        )
    )


def toy_collection(home: Path, *others: str) -> Path:
    """Photos in the spaces of toy-a, which is in use, and of these others."""
    write_pictures(home / "photos", NAMES)
    with ImageFinder.open(home / "c", model="toy-a") as finder:
        finder.index(home / "photos")
        for model in others:
            finder.add_space(model)
    return home


def pull(*names: str) -> None:
    from imagefinder.models import find_model

    for name in names:
        find_model(name).pull()  # type: ignore[attr-defined]


def forget(server: HubServer, name: str) -> None:
    """What is asked of the hub counts from now."""
    assert run(["models", "remove", name]) == 0
    server.requests.clear()
