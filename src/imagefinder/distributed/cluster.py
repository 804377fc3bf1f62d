"""A Ray cluster: found or started, asked what it has, and let go."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from tempfile import gettempdir
from typing import Any

from imagefinder.distributed.bench import on_gpu
from imagefinder.distributed.foreman import Foreman, employed
from imagefinder.distributed.quiet import quiet_core, quiet_data, quiet_import
from imagefinder.distributed.recipe import Recipe
from imagefinder.errors import ImageFinderError, MissingExtraError, UsageError

CONNECTING = 5.0  # seconds for a machine to answer at all
TRYING = 120.0  # seconds for a model to load where a graphics card is
LONGEST_FOLDER = 40  # letters; Ray adds 60
OBJECTS = 256 * 2**20  # bytes of shared memory of a cluster of our own; a wave takes a quarter


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is a driver of. `node` is the driver's own."""

    node: str
    foreman: Foreman

    def nodes(self) -> list[Mapping[str, float]]:
        """What each machine has, by Ray's names."""
        import ray

        nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
        return [node["Resources"] for node in nodes() if node["Alive"]]

    def has_gpu_for(self, recipe: Recipe) -> bool:
        """Whether the model, on a machine with a graphics card, computes on it. False, too, where
        none of them is free."""
        import ray

        task: Any = ray.remote(num_cpus=1, num_gpus=1, max_retries=0)(on_gpu)
        asked = task.remote(replace(recipe, device="auto"))
        try:
            return bool(ray.get(asked, timeout=TRYING))
        except ray.exceptions.RayError:
            ray.cancel(asked, force=True)
            return False


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster at an address, `host:port`; for `auto` the one that RAY_ADDRESS or a head on this
    machine names, else one that is started here and ends with the block. A program that is
    connected already stays so.

    Raises MissingExtraError, UsageError, ImageFinderError."""
    where = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    check_address(where)
    try:
        with quiet_import():
            import ray
            import ray.data
    except ImportError as error:
        raise MissingExtraError("distributed indexing", "ray") from error
    ours = not ray.is_initialized()
    with quiet_data():
        try:
            if ours:
                connect(where)
            yield Cluster(ray.get_runtime_context().get_node_id(), employed())
        finally:
            if ours:
                ray.shutdown()


def connect(where: str) -> None:
    """To the cluster at an address; without one to that of this machine, else to a new one. Raises
    ImageFinderError."""
    import ray

    with quiet_core(), own_signals():
        start = partial(ray.init, log_to_driver=False, logging_level=logging.CRITICAL)
        try:
            if where and where != "local":
                start(where)
                return
            if not where:
                try:
                    start("auto")
                    return
                except ConnectionError as error:
                    if "Could not find any" not in str(error):  # but several
                        raise
            start(
                "local",
                include_dashboard=False,
                object_store_memory=OBJECTS,
                _temp_dir=short_folder(),
            )
        except Exception as error:  # Ray raises RuntimeError, ValueError, its own
            raise ImageFinderError(why_not(where or "this machine", error)) from error


def short_folder() -> str | None:
    """Where a cluster of our own puts its sockets, whose names may have 107 letters; None for
    Ray's own choice, the folder for temporary files."""
    too_long = len(gettempdir()) > LONGEST_FOLDER and os.name == "posix"
    return os.path.join(os.sep, "tmp", "ray") if too_long else None


def check_address(address: str) -> None:
    """Raises UsageError for what is none, ImageFinderError where nobody listens: Ray itself would
    take a minute to say so."""
    if address in ("", "auto", "local"):
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not host or not port.isdecimal():
        raise UsageError(
            f"--ray {address}: a cluster's address is host:port of its head, as in 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise ImageFinderError(
            f"{address}: no Ray cluster answers there ({reason}); start one: ray start --head"
        ) from error


def why_not(where: str, error: Exception) -> str:
    """In words, with what is to be done."""
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return (
            f"{where}: the cluster has another version of Ray or Python ({text[:300]});"
            " have the same on every machine"
        )
    if "This node has an IP address" in text or "node_ip_address" in text:
        return (
            f"{where}: this machine is no part of the cluster; make it one:"
            f" ray start --address={where} --num-cpus=0"
        )
    if "Failed to connect" in text:
        return (
            f"{where}: the Ray cluster does not let us in; if it wants a token, put it into"
            " ~/.ray/auth_token and set RAY_AUTH_MODE=token"
        )
    return f"{where}: cannot use this Ray cluster: {text[:300]}"


@contextmanager
def own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
