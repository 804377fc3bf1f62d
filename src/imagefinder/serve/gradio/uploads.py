"""The folder of the images that people gave: private, bounded, gone at the end."""

import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

KEPT = 3600  # seconds, for another search with the same image
MOST_BYTES = 1_000_000_000  # of all that is kept


class Uploads:
    """A folder for this user alone. `remove` it at the end."""

    def __init__(self) -> None:
        self._made = TemporaryDirectory(prefix="imagefinder-gradio-", ignore_cleanup_errors=True)
        self.folder = Path(self._made.name)

    def make_room(self, most_bytes: int = MOST_BYTES, kept: float = KEPT) -> None:
        """Remove what is old, and the oldest of what is too much."""
        left = most_bytes
        newest_first = sorted(self._files(), reverse=True)
        for time_written, size, path in newest_first:
            left -= size
            if left < 0 or time_written < time.time() - kept:
                with suppress(OSError):  # whoever removes it first
                    path.unlink()

    def remove(self) -> None:
        """With all that is in it."""
        self._made.cleanup()

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self.folder.rglob("*"):
            with suppress(OSError):
                status = path.stat()
                if path.is_file():
                    found.append((status.st_mtime, status.st_size, path))
        return found
