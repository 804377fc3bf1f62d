"""What was fetched first, remembered: a later fetch gets the same, whatever a branch points to."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs
from filelock import FileLock

from imagefinder.errors import ModelError
from imagefinder.models.row import HubFile

LOCK_SECONDS = 10  # another process holds the lock for milliseconds


@dataclass(frozen=True, slots=True)
class Pin:
    """A file as it was fetched first.

    `size` and `mtime_ns` are of the copy that was verified last: as long as it has them, it is not
    read through again.
    """

    commit: str
    sha256: str
    size: int
    mtime_ns: int

    def is_of(self, status: os.stat_result) -> bool:
        """Whether this is the copy that was verified."""
        return (self.size, self.mtime_ns) == (status.st_size, status.st_mtime_ns)


def find(file: HubFile) -> Pin | None:
    """Raises ModelError where the pins cannot be read."""
    return load().get(file)


def commit_of(file: HubFile) -> str | None:
    """The commit that another file of the same repository and revision was fetched at."""
    for other, pin in load().items():
        if (other.repository, other.revision) == (file.repository, file.revision):
            return pin.commit
    return None


def record(file: HubFile, pin: Pin) -> None:
    """Remember a verified file. The first commit and hash stay for good. Raises OSError."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS):
        pins = load()
        first = pins.get(file, pin)
        pins[file] = replace(pin, commit=first.commit, sha256=first.sha256)
        store(path, pins)


def place() -> Path:
    """The file of the pins."""
    return Path(platformdirs.user_data_path("imagefinder", appauthor=False)) / "models.json"


def load() -> dict[HubFile, Pin]:
    """All of them. Raises ModelError."""
    path = place()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {file_of(row): pin_of(row) for row in rows}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror or error}); check the permissions"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: damaged; remove it, and models are fetched as they are now"
        ) from error


def store(path: Path, pins: Mapping[HubFile, Pin]) -> None:
    """All or nothing: a reader finds the old file or the new one."""
    rows = [asdict(file) | asdict(pin) for file, pin in pins.items()]
    with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as part:
        try:
            json.dump({"files": rows}, part, indent=1)
            part.flush()
            os.fsync(part.fileno())
            part.close()  # Windows replaces no open file
            os.replace(part.name, path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def file_of(row: Mapping[str, object]) -> HubFile:
    return HubFile(text(row, "repository"), text(row, "path"), text(row, "revision"))


def pin_of(row: Mapping[str, object]) -> Pin:
    return Pin(
        text(row, "commit"), text(row, "sha256"), number(row, "size"), number(row, "mtime_ns")
    )


def text(row: Mapping[str, object], key: str) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def number(row: Mapping[str, object], key: str) -> int:
    value = row[key]
    if not isinstance(value, int):
        raise TypeError(key)
    return value
