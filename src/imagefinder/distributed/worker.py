"""The class that Ray Data runs on the machines of a cluster."""

import os
import pickle
import socket
import traceback
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

from imagefinder._version import __version__
from imagefinder.distributed.bench import Bench, open_bench
from imagefinder.distributed.foreman import Foreman
from imagefinder.distributed.recipe import Answer, Recipe, Trouble, unpacked
from imagefinder.errors import ImageFinderError, StoreError

if TYPE_CHECKING:
    import pyarrow

Result = TypeVar("Result")

PATIENCE = 120.0  # seconds that a store may be away, as while its server starts again


class Worker:
    """Called with blocks of parcels; answers each with a row. Nothing is raised: Ray would tell it
    in words of its own. Called by several threads, it examines one block at a time, and writes
    others meanwhile, which is mostly waiting."""

    def __init__(self, recipe: Recipe, foreman: Foreman, round: str) -> None:
        self._recipe, self._foreman, self._round = recipe, foreman, round
        self._bench: Bench | None = None
        self._examining = Lock()

    def __call__(self, block: "pyarrow.Table") -> "pyarrow.Table":
        import pyarrow

        answer = self.answer(block["place"].to_pylist(), block["parcel"].to_pylist())
        return pyarrow.table({"answer": [pickle.dumps(answer, protocol=5)]})

    def answer(self, places: Sequence[int], parcels: Sequence[bytes]) -> Answer:
        """`places` are those in the wave."""
        block, (worker, node) = places[0], whoami()
        try:
            with self._examining:
                match self._foreman.begin(self._round, block):
                    case "stop":
                        return Answer(block, stopped=True)
                    case "hand back":
                        return Answer(block, back=tuple(places))
                check_version(self._recipe)
                bench = self._opened(node)
                todos = [unpacked(parcel) for parcel in parcels]
                done, outcomes = self._patiently(lambda: bench.examined(todos, self._foreman.stops))
            made, written, skipped = self._patiently(lambda: bench.write(outcomes))
        except ImageFinderError as error:
            return Answer(block, trouble=Trouble(type(error).__name__, f"{worker}: {error}"))
        except Exception as error:  # noqa: BLE001 - a mistake of ours, told on the driver
            kind, trace = type(error).__name__, traceback.format_exc()
            return Answer(block, trouble=Trouble(kind, f"{worker}: {error}", trace))
        dealt, stopped = tuple(places[:done]), done < len(places)
        return Answer(block, dealt, tuple(made), written, tuple(skipped), stopped=stopped)

    def _opened(self, node: str) -> Bench:
        if self._bench is None:
            self._bench = self._patiently(lambda: open_bench(self._recipe, node))
        return self._bench

    def _patiently(self, work: Callable[[], Result]) -> Result:
        """Once more, from the start, where the store fails: what was written is written again."""
        start, pause = monotonic(), 1.0
        while True:
            try:
                return work()
            except StoreError:
                if monotonic() - start > PATIENCE or self._foreman.stops():
                    raise
                sleep(pause)
                pause = min(2 * pause, 15.0)


def check_version(recipe: Recipe) -> None:
    """Raises ImageFinderError."""
    if recipe.version != __version__:
        raise ImageFinderError(
            f"it has imagefinder {__version__}, and the driver {recipe.version}; install the same"
            " version on every machine of the cluster"
        )


def whoami() -> tuple[str, str]:
    """How a message calls this worker, and the id of its node."""
    import ray

    node: str = ray.get_runtime_context().get_node_id()
    return f"worker {os.getpid()} on {socket.gethostname()}", node
