"""Embedders that PyTorch runs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock

import numpy as np
import torch

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import UsageError
from imagefinder.models.preprocess import preprocess
from imagefinder.models.processor import read_processor
from imagefinder.models.torch.files import NetworkFiles
from imagefinder.models.torch.network import Network, in_our_words, load_network
from imagefinder.models.torch.texts import Texts, read_texts
from imagefinder.types import ModelSpec, is_text

BATCH = 64  # images in a run; more do not make a card quicker, and take memory
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def embedder_of(files: NetworkFiles, *, name: str, device: str, dtype: str) -> "TorchEmbedder":
    """The embedder that the files make. Raises ModelError, UsageError."""
    device_for(device)  # a misspelt one is told before anything is loaded
    network = load_network(files, read_processor(files.processor))
    return embedder_with(network, files, name=name, device=device, dtype=dtype)


def embedder_with(
    network: Network, files: NetworkFiles, *, name: str, device: str, dtype: str
) -> "TorchEmbedder":
    """The embedder of a loaded network, which moves to the device. Raises as `embedder_of`."""
    place = device_for(device)
    precision = dtype_for(dtype, place)
    spec = ModelSpec(
        name=name,
        dim=network.dim,
        preprocessing=read_processor(files.processor),
        sha256=files.sha256,
        output=network.output,
    )
    if network.words is None:
        return TorchEmbedder(spec, network, place, precision)
    return TorchTextEmbedder(spec, network, place, precision, read_texts(files))


class TorchEmbedder:
    """An `Embedder` on PyTorch.

    Threads take turns: PyTorch spreads a run over all cores by itself, and two batches at once
    would need the memory of both.
    """

    def __init__(
        self, spec: ModelSpec, network: Network, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.spec, self.device, self.dtype = spec, device, dtype
        self._turn = Lock()
        with self._translated():
            self._pictures = network.pictures.to(device, dtype)

    def preprocess(self, image: Pixels) -> Tensor:
        """(3, height, width) for an upright RGB image of any size."""
        return preprocess(image, self.spec.preprocessing)

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, dim) for n preprocessed images, row i for image i, as long as the model makes them.

        In a batch PyTorch may round otherwise than for an image that is alone."""
        return self._run(len(tensors), lambda part: self._rows_of(tensors[part]))

    def _rows_of(self, tensors: Tensors) -> torch.Tensor:
        given = np.require(tensors, np.float32, ("C", "W"))  # PyTorch warns of what is read-only
        # moved as it is and rounded there, where that costs nothing
        pixels = torch.from_numpy(given).to(self.device)
        return self._pictures(pixels.to(self.dtype))

    def _run(self, count: int, rows_of: Callable[[slice], torch.Tensor]) -> Embeddings:
        """Rows for `count` items, some at a time."""
        rows = np.empty((count, self.spec.dim), dtype=np.float32)
        with self._turn, self._translated(), torch.inference_mode():
            for start in range(0, count, BATCH):
                part = slice(start, start + BATCH)
                rows[part] = rows_of(part).float().cpu().numpy()
        return rows

    def _translated(self) -> AbstractContextManager[None]:
        when_full = "; free some, or compute on the processor: --device cpu"
        return in_our_words(f"{self.spec.name}: ", self.device, when_full=when_full)


class TorchTextEmbedder(TorchEmbedder):
    """A `TextEmbedder`: a TorchEmbedder of a network with a text side."""

    def __init__(
        self,
        spec: ModelSpec,
        network: Network,
        device: torch.device,
        dtype: torch.dtype,
        texts: Texts,
    ) -> None:
        super().__init__(spec, network, device, dtype)
        assert network.words is not None  # else it is a TorchEmbedder
        self._words, self._texts = network.words.to(device, dtype), texts

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(n, dim) among those of the images, row i for text i, as long as the model makes them.

        Long texts are cut as the model was trained. Raises UsageError for what is no text."""
        for text in texts:
            if not is_text(text):
                raise UsageError(f"{text!a}: half a letter is no text; search with whole words")
        return self._run(len(texts), lambda part: self._words_of(texts[part]))

    def _words_of(self, texts: Sequence[str]) -> torch.Tensor:
        encodings = self._texts.tokenizer.encode_batch(list(texts))
        longest = max(len(encoding.ids) for encoding in encodings) or 1
        shape = (len(encodings), longest)
        ids, mask = np.full(shape, self._texts.pad, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        return self._words(
            torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)
        )


def device_for(name: str) -> torch.device:
    """The device of a name. Raises UsageError."""
    here = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    here += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        return torch.device(next((best for best in ("cuda", "mps") if best in here), "cpu"))
    kind, _, number = name.partition(":")
    if kind not in here or (number and not number.isdecimal()):
        raise UsageError(
            f"{name}: PyTorch has no such device here; there are auto, {', '.join(here)}"
        )
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f"{name}: there are {torch.cuda.device_count()} cards, counted from 0")
    return torch.device(name)


def dtype_for(name: str, device: torch.device) -> torch.dtype:
    """The numbers that a device computes with. Raises UsageError."""
    if name == "auto":  # older cards compute bfloat16 very slowly
        whole = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if whole else torch.float32
    if name not in DTYPES:
        raise UsageError(f"{name}: there is no such type; there are auto, {', '.join(DTYPES)}")
    return DTYPES[name]
