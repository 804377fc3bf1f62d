"""What a worker is told, and what it answers: plain values that travel between machines."""

import pickle
from dataclasses import dataclass, field, replace

from imagefinder import errors
from imagefinder._version import __version__
from imagefinder.decode import DecodeLimits
from imagefinder.errors import FilterError, ImageFinderError, MissingExtraError, UsageError
from imagefinder.home import ClusterPlace
from imagefinder.ingest.examine import Examined
from imagefinder.ingest.triage import Todo
from imagefinder.protocols import Embedder
from imagefinder.types import IndexReport, Skipped


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a worker needs to build its own objects. `model` is what finds the model, unless it
    is the user's `own`; `place` is of a collection that workers write, None where the driver does.
    """

    space: str
    model: str
    fingerprint: str  # of the model that the space is made by
    limits: DecodeLimits
    driver: str  # its node of the cluster
    place: ClusterPlace | None = field(default=None, repr=False)
    own: Embedder | None = field(default=None, repr=False)
    source: int = 0  # in the ledger
    device: str = "cpu"
    threads: int = 1  # that decode at a time
    offline: bool = False
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Trouble:
    """What kept a worker from working on anything: `kind` is the exception's name."""

    kind: str
    message: str
    trace: str = ""  # of what is a mistake of ours

    def error(self) -> Exception:
        """To raise on the driver."""
        if self.trace:
            error = RuntimeError(f"{self.kind}: {self.message}")
            error.__cause__ = RuntimeError(self.trace)
            return error
        kind = getattr(errors, self.kind)
        if issubclass(kind, FilterError | MissingExtraError):  # made of more than a message
            kind = ImageFinderError
        told: Exception = kind(self.message)
        return told


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a block, which is known by its first place. `done` are the places in the wave
    of the images that are dealt with; `outcomes` is what the driver is to write, `written` counts
    what the worker wrote itself."""

    block: int
    done: tuple[int, ...] = ()
    outcomes: tuple[Examined, ...] = ()
    written: IndexReport = field(default_factory=IndexReport)
    skipped: tuple[Skipped, ...] = ()  # written, too
    trouble: Trouble | None = None
    back: tuple[int, ...] = ()  # not dealt with: workers died on it
    stopped: bool = False  # the run ends: nothing was begun


def check_travels(recipe: Recipe) -> None:
    """Raises UsageError for a model that only this process can have."""
    try:
        pickle.dumps(recipe)
    except Exception as error:
        raise UsageError(
            f"{recipe.space}: this embedder cannot be sent to workers ({error}); define its class"
            " in a module that is installed on every machine, or name a model"
        ) from error


def packed(todo: Todo) -> bytes:
    """A parcel of about 300 bytes. Pickled, so that a ref with a secret address keeps it."""
    ref = replace(todo.ref, metadata=dict(todo.ref.metadata))  # a read-only view cannot be pickled
    return pickle.dumps(Todo(ref, todo.entry), protocol=5)


def unpacked(parcel: bytes) -> Todo:
    """Only for what comes from the cluster itself."""
    todo: Todo = pickle.loads(parcel)
    return todo
