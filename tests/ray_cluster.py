"""Ray clusters of several nodes on this machine, and the death of their parts."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ray_models import at_work

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parents[1]
OBJECTS = 80 * 2**20  # bytes of shared memory a node, the least that Ray takes


@contextmanager
def ray_cluster(*cpus: int) -> "Iterator[Cluster]":
    """A cluster with a node for each number of CPUs; the first is the head."""
    from ray.cluster_utils import Cluster

    environment = pytest.MonkeyPatch()
    environment.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # workers import tests' models
    environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
    environment.setenv("RAY_AUTH_MODE", "disabled")  # `Cluster` starts machines without a token
    cluster = Cluster()
    try:
        for count in cpus:
            add_node(cluster, count)
        yield cluster
    finally:
        cluster.shutdown()
        environment.undo()


@pytest.fixture(scope="module")
def ray_nodes() -> "Iterator[Cluster]":
    """A cluster: a head that does no work, and two nodes."""
    with ray_cluster(0, 2, 2) as cluster:
        yield cluster


def add_node(cluster: "Cluster", cpus: int, gpus: int = 0) -> object:
    """One more machine; what `remove_node` takes."""
    head = {"include_dashboard": False} if cluster.head_node is None else {}
    node = cluster.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=OBJECTS, **head)
    cluster.wait_for_nodes()
    return node


def kill_node(cluster: "Cluster", node: object) -> None:
    """As when its power fails."""
    cluster.remove_node(node, allow_graceful=False)


def kill_worker(folder: Path) -> int:
    """`kill -9` one that works with the model `Watched` of this folder; its process id."""
    process = next(at_work(folder))
    os.kill(process, signal.SIGKILL)
    return process
