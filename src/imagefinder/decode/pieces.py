"""Bytes for a decoder whose parsing runs in Python, where a file of tiny pieces takes seconds."""

from io import BytesIO

from imagefinder.errors import ImageError

MOST_PIECES = 200_000  # parsed in a tenth of a second; a large photograph has some hundred


class Pieces(BytesIO):
    """A file in memory that may be read so many times. Raises ImageError after that."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MOST_PIECES

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise too_many()
        return super().read(size)


def too_many() -> ImageError:
    return ImageError(f"damaged: it comes in more than {MOST_PIECES:,} pieces")
