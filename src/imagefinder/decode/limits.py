"""How large an image may be."""

import math
from dataclasses import dataclass

from imagefinder.errors import ImageError


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is decoded at most. A decoded megapixel takes 7 MB for a moment, so 100 take 0.7 GB.

    Frames need no limit: of an animation or a file of many pages only the first is looked at, and
    the others are not even counted.
    """

    max_bytes: int = 200_000_000
    max_megapixels: float = 100.0
    max_side: int | None = None  # pixels

    def check_bytes(self, size: int) -> None:
        """Raises ImageError."""
        if size > self.max_bytes:
            raise ImageError(
                f"{_rounded_up(size / 1e6)} MB, the limit is {_rounded_up(self.max_bytes / 1e6)}"
            )

    def check_pixels(self, width: int, height: int) -> None:
        """Raises ImageError."""
        if self.max_side is not None and max(width, height) > self.max_side:
            raise ImageError(f"{width} x {height} pixels, the limit of a side is {self.max_side}")
        megapixels = width * height / 1e6
        if megapixels > self.max_megapixels:
            raise ImageError(
                f"{_rounded_up(megapixels)} megapixels, the limit is "
                f"{_rounded_up(self.max_megapixels)}; raise --max-megapixels to use it"
            )


DEFAULT_LIMITS = DecodeLimits()


def _rounded_up(number: float) -> str:
    """Up, so that what is refused never shows the same figure as the limit."""
    return f"{math.ceil(number * 10) / 10:.1f}".removesuffix(".0")
