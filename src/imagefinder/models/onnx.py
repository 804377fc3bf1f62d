"""Models that ONNX Runtime runs."""

import os

import numpy as np

# before the import, which else leaves a device id in the home and reports to its maker
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import ModelError
from imagefinder.models.preprocess import preprocess
from imagefinder.models.weights import load_graph
from imagefinder.types import ModelSpec


class OnnxEmbedder:
    """An `Embedder` on ONNX Runtime.

    One session serves every thread, each run on the thread that calls it: while indexing, as many
    threads as there are cores each decode and embed, which keeps all busy without a hand-over. With
    more `threads`, a run spreads over so many cores, which is quicker for an image that is alone.
    The embeddings are the same to the last bit.
    """

    def __init__(self, spec: ModelSpec, *, threads: int = 1) -> None:
        self.spec = spec
        self._session = open_session(load_graph(spec), spec.name, threads)

    def with_threads(self, threads: int) -> "OnnxEmbedder":
        """The same model, another session."""
        return OnnxEmbedder(self.spec, threads=threads)

    def preprocess(self, image: Pixels) -> Tensor:
        """(3, size, size) for an upright RGB image of any size."""
        return preprocess(image, self.spec)

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, dim) unit rows for n preprocessed images, row i for image i.

        Images go through the graph one by one: on a CPU a batch is no faster, and so an embedding
        does not depend on its neighbours, not even in the last bit.
        """
        rows = np.empty((len(tensors), self.spec.dim), dtype=np.float32)
        for row, tensor in zip(rows, tensors, strict=True):
            inputs = {self.spec.input_name: tensor[None]}
            (output,) = self._session.run([self.spec.output_name], inputs)
            row[:] = output[0]
        return rows


def open_session(graph: bytes, name: str, threads: int) -> ort.InferenceSession:
    """A session that computes on the calling thread and `threads` - 1 others. Raises ModelError."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # the others sleep between runs: spinning, they would take the cores from the rest of the work
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: a model's warnings are no business of its user
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise ModelError(f"{name}: ONNX Runtime cannot load the model: {error}") from error
