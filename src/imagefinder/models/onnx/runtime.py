"""Sessions of ONNX Runtime: a graph ready to run, and the shapes of what it gives."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# before the import, which else leaves a device id in the home and reports to its maker
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

from imagefinder.errors import ModelError
from imagefinder.models.onnx.outputs import Port, Taken, choose
from imagefinder.models.onnx.providers import providers_for, runs_on
from imagefinder.models.row import Pooling

Feed: TypeAlias = Mapping[str, NDArray[np.generic]]  # a graph's inputs by name

# ONNX Runtime 1.31 takes padding with zeros before a maximum for the maximum's own, which is minus
# infinity: a BiT's embeddings came out with a cosine of 0.997.
WRONG = ["Pad_Fusion"]
POINTER = b"version https://git-lfs"  # what git leaves of a large file until it is asked for it


def open_session(
    graph: Path | bytes, name: str, *, device: str, threads: int = 1
) -> ort.InferenceSession:
    """A session; on the CPU it computes on the calling thread and `threads` - 1 others.

    Raises ModelError, UsageError."""
    providers = providers_for(device, ort.get_available_providers())
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # the others sleep between runs: spinning, they would take the cores from the rest of the work
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: a model's warnings are no business of its user
    source = graph if isinstance(graph, bytes) else os.fspath(graph)
    try:
        session = ort.InferenceSession(
            source, options, providers=providers, disabled_optimizers=WRONG
        )
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise ModelError(f"{name}: {why_not_loaded(graph, error)}") from error
    if not runs_on(device, session.get_providers()):
        raise ModelError(
            f"{name}: ONNX Runtime could not start on {device}, often for want of its libraries"
            " (CUDA, cuDNN); choose the device auto or cpu to go on without"
        )
    return session


def why_not_loaded(graph: Path | bytes, error: Exception) -> str:
    """In words, with what is to be done."""
    reason = f"ONNX Runtime cannot load the model: {error}"
    if isinstance(graph, bytes):
        return reason
    try:
        with graph.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                return f"{graph} is only a pointer of git-lfs to the model; run: git lfs pull"
    except OSError as missing:
        return f"{graph} cannot be read: {missing.strerror}"
    return reason


def inputs_of(session: ort.InferenceSession) -> list[Port]:
    """What has to be given; weights that a graph lists as inputs have not."""
    return [port_of(given) for given in session.get_inputs()]


def port_of(given: ort.NodeArg) -> Port:
    """An axis whose length is a name, or nothing, is None."""
    shape = tuple(size if isinstance(size, int) else None for size in given.shape)
    return Port(given.name, given.type, shape)


def embedding_of(
    name: str,
    session: ort.InferenceSession,
    example: Feed,
    output: str | None = None,
    pooling: Pooling | None = None,
) -> tuple[Taken, int]:
    """The output that is the embedding, and its dimension. Raises ModelError.

    `example` is one item. It goes through the graph unless the shapes tell all: a graph that takes
    any height and width by its shapes may yet take one only."""
    ports = [port_of(given) for given in session.get_outputs()]
    # a shape of nothing is of a number, or not said
    fixed = all(port.shape and None not in port.shape[1:] for port in inputs_of(session))
    if fixed and all(port.shape for port in ports):
        taken = choose(name, ports, output=output, pooling=pooling)
        check_batch_axis(name, taken.port)
        if taken.dim is not None:
            return taken, taken.dim
    taken = choose(name, tried(name, session, example, ports), output=output, pooling=pooling)
    check_batch_axis(name, taken.port)
    assert taken.dim is not None  # an array has a size
    return taken, taken.dim


def tried(
    name: str, session: ort.InferenceSession, example: Feed, ports: Sequence[Port]
) -> list[Port]:
    """The outputs with the shapes that they have."""
    try:
        arrays = session.run([port.name for port in ports], dict(example))
    except Exception as error:  # onnxruntime's own exceptions share no public base
        shapes = ", ".join(f"{key} {value.shape}" for key, value in example.items())
        raise ModelError(f"{name}: the graph does not run on {shapes}: {error}") from error
    return [
        Port(port.name, port.type, shape_of(np.asarray(array), port.shape))
        for port, array in zip(ports, arrays, strict=True)
    ]


def shape_of(
    array: NDArray[np.generic], declared: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    """The array's, but with a batch axis of any length where it may have any."""
    first, *others = array.shape or (0,)
    return (None if first == 1 and declared[:1] != (1,) else first, *others)


def check_batch_axis(name: str, port: Port) -> None:
    """Raises ModelError where what is given for one item is of several."""
    if port.shape[0] not in (1, None):
        raise ModelError(
            f"{name}: its output {port} has no batch axis: its first axis is"
            f" {port.shape[0]} long for one item; export it with a batch axis"
        )
