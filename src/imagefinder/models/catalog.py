"""The models by name: the rows that come with the package, and those of the user's own file.

Both are TOML in one form, read by `rows.py`.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import platformdirs

from imagefinder.errors import ModelError, UsageError
from imagefinder.models.row import ModelRow
from imagefinder.models.rows import read_rows

DEFAULT_MODEL = "efficientnet-lite0"
OURS = Path(__file__).with_name("catalog.toml")


def catalog() -> Mapping[str, ModelRow]:
    """Every row, by name. Raises ModelError for a file of the user's that cannot be read."""
    ours = package_rows()
    if not (theirs := user_file()).is_file():
        return ours
    rows = read_rows(theirs)
    if taken := sorted(set(rows) & set(ours)):
        raise ModelError(
            f"{theirs}: {', '.join(taken)} is a model of the catalogue already; take another name"
        )
    return {**ours, **rows}


@cache
def package_rows() -> Mapping[str, ModelRow]:
    """The rows that come with the package."""
    return read_rows(OURS)


def user_file() -> Path:
    """Where users write rows of their own; it may not be there."""
    return platformdirs.user_config_path("imagefinder", appauthor=False) / "models.toml"


def model_row(name: str) -> ModelRow:
    """The row of `name`. Raises UsageError that lists the names there are."""
    rows = catalog()
    if name not in rows:
        raise no_such_model(name)
    return rows[name]


def no_such_model(name: str) -> UsageError:
    """In the words that are used everywhere."""
    return UsageError(
        f"{name}: no such model; there are: {', '.join(sorted(catalog()))};"
        " a model of your own is given by its folder: ./NAME"
    )


def names_with_text() -> list[str]:
    """The models that words can be searched with."""
    return [name for name, row in catalog().items() if row.text is not None]
