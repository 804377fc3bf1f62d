"""A model with a learned projection after it: a folder that `imagefinder adapt` makes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagefinder.errors import ModelError, UsageError
from imagefinder.models.description import PROJECTION, Description, damaged, read_description
from imagefinder.models.named import Model, OnFetch, nobody
from imagefinder.protocols import Embedder
from imagefinder.types import ModelSpec

if TYPE_CHECKING:
    from imagefinder.models.projected import Projection


@dataclass(frozen=True, slots=True)
class AdaptedModel:
    """A folder with the projection; `find` finds the base model, wherever it is."""

    folder: Path
    name: str
    find: Callable[[str], Model] = field(repr=False, compare=False)
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
        self, *, device: str = "auto", fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Embedder:
        from imagefinder.models.projected import AdaptedEmbedder

        base = self._base().load(device=device, fetch=fetch, on_fetch=on_fetch)
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

    def _base(self) -> Model:
        try:
            return self.find(self.description.base)
        except UsageError as error:
            raise ModelError(
                f"{self.folder}: the model that it was made of cannot be found: {error}"
            ) from error
