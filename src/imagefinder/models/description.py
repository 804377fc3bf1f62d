"""How an adapted model came about, as its folder says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imagefinder.errors import ModelError

DESCRIPTION, PROJECTION = "adapted.json", "projection.npz"
FINE_TUNED = "fine_tuned.json"  # a `Description`, too, beside a whole model of transformers


@dataclass(frozen=True, slots=True)
class Description:
    """How an adapted model came about. `base` finds the model it was made of, whose `fingerprint`
    says which version that was; `threshold` is the score from which two images are taken for the
    same thing; `facts` are for people."""

    base: str
    fingerprint: str
    method: str
    threshold: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def is_adapted(folder: Path) -> bool:
    """Whether the folder is an adapted model's."""
    return (folder / DESCRIPTION).is_file()


def has_learned(folder: Path) -> bool:
    """Whether the folder is of a model that has learned from a user's labels."""
    return is_adapted(folder) or (folder / FINE_TUNED).is_file()


def read_description(folder: Path) -> Description:
    """Raises ModelError."""
    path = folder / DESCRIPTION
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        threshold = read["threshold"]
        return Description(
            base=str(read["base"]),
            fingerprint=str(read["fingerprint"]),
            method=str(read["method"]),
            threshold=None if threshold is None else float(threshold),
            facts=dict(read["facts"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error


def damaged(path: Path, reason: str) -> ModelError:
    """For a file that cannot be used."""
    return ModelError(
        f"{path}: this adapted model cannot be read ({reason}); copy it anew, or adapt again:"
        " imagefinder adapt"
    )
