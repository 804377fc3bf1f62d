"""A model with a learned projection after it: a folder that `imagefinder adapt` makes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.errors import ModelError, UsageError
from imagefinder.protocols import Embedder
from imagefinder.types import ModelSpec

if TYPE_CHECKING:
    from imagefinder.models.model import Model, OnFetch
    from imagefinder.models.projected import Projection

DESCRIPTION, PROJECTION = "adapted.json", "projection.npz"


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


@dataclass(frozen=True, slots=True)
class AdaptedModel:
    """A folder with the projection; the base model is wherever it is."""

    folder: Path
    name: str
    calibration: tuple[float, float] | None = None
    spec: ModelSpec | None = None
    has_text: bool = False  # what was learned of pictures need not hold for words

    @property
    def reference(self) -> str:
        return str(self.folder)

    @property
    def description(self) -> Description:
        """Raises ModelError."""
        return read_description(self.folder)

    @property
    def projection(self) -> "Projection":
        """Raises ModelError."""
        from imagefinder.models.projected import read_projection

        return read_projection(self.folder)

    @property
    def present(self) -> bool:
        return self._base().present

    def load(
        self, *, device: str = "auto", fetch: bool = True, on_fetch: "OnFetch | None" = None
    ) -> Embedder:
        from imagefinder.models.model import nobody
        from imagefinder.models.projected import AdaptedEmbedder

        base = self._base().load(device=device, fetch=fetch, on_fetch=on_fetch or nobody)
        description, projection = self.description, self.projection
        if base.spec.fingerprint != description.fingerprint:
            raise ModelError(
                f"{self.folder}: it was made of another version of {base.spec.name}"
                f" ({description.fingerprint}, here is {base.spec.fingerprint}); adapt this one"
                " anew: imagefinder adapt"
            )
        if len(projection.mean) != base.spec.dim:
            raise damaged(self.folder / PROJECTION, f"it takes {len(projection.mean)} numbers")
        return AdaptedEmbedder(base, projection, self.name)

    def _base(self) -> "Model":
        from imagefinder.models.model import find_model

        try:
            return find_model(self.description.base)
        except UsageError as error:
            raise ModelError(
                f"{self.folder}: the model that it was made of cannot be found: {error}"
            ) from error


def is_adapted(folder: Path) -> bool:
    """Whether the folder is an adapted model's."""
    return (folder / DESCRIPTION).is_file()


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
