"""Files that run code when they are loaded, and are therefore never loaded."""

from pathlib import Path

from imagefinder.errors import TransferError

_ENDINGS = {".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth"}
_PACKED = {".gz", ".bz2", ".xz", ".lz4", ".zst", ".z"}


def refuse_pickles(path: Path) -> None:
    """Raises TransferError for a pickle, by its name or its content, and for a file that cannot be
    opened."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise TransferError(f"{path}: cannot be read: {error.strerror or error}") from error
    unpacked = path.with_suffix("") if path.suffix.lower() in _PACKED else path
    if unpacked.suffix.lower() in _ENDINGS or _is_pickle(start):
        raise TransferError(f"{path}: {PICKLE}")


def _is_pickle(start: bytes) -> bool:
    """Pickles since protocol 2 begin so, and so does what joblib and old versions of numpy.save
    make of objects."""
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


PICKLE = (
    "is a pickle, which is not loaded because loading one runs code from the file. In the program "
    "that made it, run: numpy.savez('embeddings.npz', ids=ids, embeddings=vectors)"
)
