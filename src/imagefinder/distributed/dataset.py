"""A wave through Ray Data, once."""

import pickle
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any
from uuid import uuid4

from imagefinder.ahead import chunks
from imagefinder.distributed.cluster import Cluster
from imagefinder.distributed.crew import Crew
from imagefinder.distributed.recipe import Answer, Recipe
from imagefinder.distributed.worker import Worker
from imagefinder.errors import ImageFinderError

AHEAD = 2  # times what a worker has in hand, so that it need not wait for the next
# Blocks that a worker of a cluster's collection has in hand: one is examined, the others are
# written, at half a second each whatever their size.
WRITING = 4


@dataclass(frozen=True, slots=True)
class Dataset:
    """Hands blocks to the workers of a cluster."""

    cluster: Cluster
    crew: Crew
    recipe: Recipe

    def __call__(self, parcels: Mapping[int, bytes], size: int) -> Generator[Answer, None, None]:
        """The answers as they come. Where a worker is in trouble, or the run is to stop, workers
        finish what they are at, and the rest is left.

        Raises ImageFinderError."""
        round, answered = uuid4().hex, set[int]()
        with closing(self._rows(dict(parcels), size, round)) as rows:
            for row in rows:
                answer: Answer = pickle.loads(row)
                if answer.trouble is not None:
                    self.cluster.foreman.stop()
                answered.add(answer.block)
                yield answer
                if answer.stopped and self.cluster.foreman.begun(round) <= answered:
                    return

    def _rows(
        self, parcels: Mapping[int, bytes], size: int, round: str
    ) -> Generator[bytes, None, None]:
        import ray
        import ray.data

        blocks = ceil(len(parcels) / size)
        with settings():
            data = ray.data.from_blocks(list(tables(parcels, size))).map_batches(
                Worker,
                fn_constructor_args=(self.recipe, self.cluster.foreman, round),
                batch_size=size,
                batch_format="pyarrow",
                compute=self._pool(blocks, alone=size == 1),
                num_cpus=self.crew.cpus,
                num_gpus=self.crew.gpus or None,
            )
        try:
            # not `iter_batches`, which leaves a thread behind each time
            for bundle in data.iter_internal_ref_bundles():
                for block in ray.get(bundle.block_refs):
                    yield from block["answer"].to_pylist()
        except ray.exceptions.ObjectLostError:
            return  # an answer went with a machine: what is missing goes around again
        except ray.exceptions.RayError as error:
            raise told(error) from error

    def _pool(self, blocks: int, *, alone: bool) -> Any:
        """`alone`: whatever is in hand when a worker dies is all that may have killed it."""
        from ray.data import ActorPoolStrategy

        at_once = 1 if alone or self.recipe.place is None else WRITING
        strategy = partial(
            ActorPoolStrategy,
            max_tasks_in_flight_per_actor=AHEAD * at_once,
            max_concurrent_calls_per_actor=at_once,
            enable_true_multi_threading=at_once > 1,
        )
        workers = min(self.crew.workers, blocks)
        if self.crew.fixed:
            return strategy(size=workers)
        return strategy(min_size=1, max_size=blocks, initial_size=workers)  # machines may join


def tables(parcels: Mapping[int, bytes], size: int) -> "Iterator[Any]":
    """Blocks of so many parcels, as Arrow tables."""
    import pyarrow

    schema = pyarrow.schema([("place", pyarrow.int64()), ("parcel", pyarrow.binary())])
    for some in chunks(parcels.items(), size):
        places, contents = zip(*some, strict=True)
        yield pyarrow.table({"place": list(places), "parcel": list(contents)}, schema=schema)


def told(error: Exception) -> ImageFinderError:
    """What an exception of Ray's means."""
    text = " ".join(str(error).split())
    if "ModuleNotFoundError" in text or "No module named" in text:
        return ImageFinderError(
            "a machine of the cluster cannot import imagefinder;"
            " install the same version on every machine, for the Python that runs Ray there"
        )
    return ImageFinderError(f"the cluster cannot go on: {text[-300:]}")


@contextmanager
def settings() -> Iterator[None]:
    """Ray Data's settings for what is made within, not those of the whole program."""
    from ray.data import DataContext

    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_auto_log_stats = False
    context.max_consecutive_actor_init_deaths = 3  # a machine may go away just then
    with DataContext.current(context):
        yield
