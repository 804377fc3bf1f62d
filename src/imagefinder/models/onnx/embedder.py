"""Models that ONNX Runtime runs."""

from copy import copy
from pathlib import Path
from typing import Self

import numpy as np

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import ModelError
from imagefinder.models.onnx.files import OnnxFiles
from imagefinder.models.onnx.inputs import PIXELS, image_input
from imagefinder.models.onnx.runtime import embedding_of, inputs_of, open_session
from imagefinder.models.preprocess import preprocess
from imagefinder.types import ModelSpec

# On a graphics card images go through the graph together, as many as hold so many pixels: 32 of
# 224 x 224. Fewer leave the card idle between the kernels, more take memory: a layer of VGG16, the
# widest, holds 13 MB an image. Half as many where the weights alone take much of it.
BATCH_PIXELS = 32 * 224 * 224
LARGE = 1_000_000_000  # bytes of weights


class OnnxEmbedder:
    """An `Embedder` on ONNX Runtime.

    On the CPU one session serves every thread, each run on the thread that calls it: while
    indexing, as many threads as there are cores each decode and embed, which keeps all busy without
    a hand-over. With more `threads`, a run spreads over so many cores, which is quicker for an
    image that is alone. The embeddings are the same to the last bit.
    """

    def __init__(self, files: OnnxFiles, *, device: str = "auto", threads: int = 1) -> None:
        name, how = files.name, files.preprocessing
        self._files = files
        self._session = open_session(graph_of(files), name, device=device, threads=threads)
        self._input = image_input(name, inputs_of(self._session), how)
        blank = np.zeros((1, 3, how.height, how.width), PIXELS[self._input.type])
        self._output, dim = embedding_of(
            name, self._session, {self._input.name: blank}, files.output, files.pooling
        )
        if files.dim not in (None, dim):
            raise ModelError(
                f"{name}: its graph gives {dim} dimensions, not the {files.dim} of its row;"
                " it is another model, or another output is meant"
            )
        single = 1 in (*self._input.shape[:1], self._output.port.shape[0])
        self.batch = 1 if self.on_cpu or single else batch_of(files)
        """How many images go through the graph together."""
        self.spec = ModelSpec(
            name=name,
            dim=dim,
            preprocessing=how,
            sha256=files.sha256,
            output="features" if files.features else self._output.words,
            calibration=files.calibration,
        )

    @property
    def on_cpu(self) -> bool:
        """Whether the processor computes, and not a graphics card or the like."""
        return bool(self._session.get_providers()[0] == "CPUExecutionProvider")

    def with_threads(self, threads: int) -> Self:
        """The same model, another session; itself where it is not the processor that computes."""
        if not self.on_cpu:
            return self
        other, graph = copy(self), graph_of(self._files)
        other._session = open_session(graph, self.spec.name, device="cpu", threads=threads)
        return other

    def preprocess(self, image: Pixels) -> Tensor:
        """(3, height, width) for an upright RGB image of any size."""
        return preprocess(image, self.spec.preprocessing)

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, dim) for n preprocessed images, row i for image i, as long as the model makes them.

        On the CPU images go through the graph one by one: there a batch is no faster, and so an
        embedding does not depend on its neighbours, not even in the last bit.
        """
        rows = np.empty((len(tensors), self.spec.dim), dtype=np.float32)
        for start in range(0, len(tensors), self.batch):
            part = slice(start, start + self.batch)
            given = tensors[part].astype(PIXELS[self._input.type], copy=False)
            (output,) = self._session.run([self._output.port.name], {self._input.name: given})
            rows[part] = self._output.rows(output)
        return rows


def graph_of(files: OnnxFiles) -> Path | bytes:
    """What the session is made of: a classifier is cut at its features."""
    if not files.features:
        return files.graph
    from imagefinder.models.onnx.graph import feature_graph  # protobuf takes 20 ms

    try:
        whole = files.graph if isinstance(files.graph, bytes) else files.graph.read_bytes()
        return feature_graph(whole)
    except OSError as error:
        raise ModelError(
            f"{files.name}: {files.graph!s} cannot be read: {error.strerror}"
        ) from error
    except ModelError as error:
        raise ModelError(f"{files.name}: {error}") from error


def batch_of(files: OnnxFiles) -> int:
    """How many images fit into a batch."""
    how, graph = files.preprocessing, files.graph
    weights = len(graph) if isinstance(graph, bytes) else graph.stat().st_size
    pixels = BATCH_PIXELS // 2 if weights > LARGE else BATCH_PIXELS
    return max(1, pixels // (how.height * how.width))
