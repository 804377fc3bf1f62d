"""What a model is before it is loaded."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from imagefinder.protocols import Embedder
from imagefinder.types import ModelSpec

# told about a download: the file, bytes done, their total
OnFetch: TypeAlias = Callable[[str, int, int | None], None]


def nobody(file: str, done: int, total: int | None) -> None:
    """Nobody watches."""


class Model(Protocol):
    """A model that is named, and not loaded yet."""

    @property
    def name(self) -> str:
        """Of the space that it fills."""

    @property
    def reference(self) -> str:
        """What finds it again, wherever the user stands."""

    @property
    def has_text(self) -> bool:
        """Whether words can be searched with."""

    @property
    def calibration(self) -> tuple[float, float] | None:
        """Of its scores; see ModelSpec."""

    @property
    def spec(self) -> ModelSpec | None:
        """Where it is known without the files."""

    @property
    def present(self) -> bool:
        """Whether it can be loaded without a network."""

    def load(
        self, *, device: str = "auto", fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Embedder:
        """Ready to embed. Without `fetch`, what is not here is not fetched. Raises ModelError."""
