"""The text side of a model on ONNX Runtime: words -> tokens -> embeddings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from imagefinder.arrays import Embeddings
from imagefinder.errors import ModelError, UsageError
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.onnx.files import OnnxFiles, TextFiles
from imagefinder.models.onnx.outputs import Port
from imagefinder.models.onnx.runtime import embedding_of, inputs_of, open_session
from imagefinder.types import is_text

Tokens: TypeAlias = Mapping[str, NDArray[np.generic]]  # (1, tokens) by the input's name

INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
KNOWN = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


class OnnxTextEmbedder(OnnxEmbedder):
    """A `TextEmbedder`: an OnnxEmbedder with a second graph, for words."""

    def __init__(
        self, files: OnnxFiles, text: TextFiles, *, device: str = "auto", threads: int = 1
    ) -> None:
        super().__init__(files, device=device, threads=threads)
        name = f"{files.name}, text side"
        self._lowercase = text.lowercase
        self._text = open_session(text.graph, name, device=device, threads=threads)
        self._text_inputs = text_inputs(name, inputs_of(self._text))
        self._tokenizer = tokenizer_for(name, text, self._text_inputs)
        self._text_output, dim = embedding_of(name, self._text, self.tokens("a"), text.output)
        if dim != self.spec.dim:
            raise ModelError(
                f"{name}: texts have {dim} dimensions and images {self.spec.dim}, which cannot be"
                " compared; the two graphs are not of one model, or another output is meant"
            )

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(n, dim) among those of the images, row i for text i, as long as the model makes them.

        Long texts are cut as the model was trained. They go through the graph one by one, and so
        no text's embedding depends on how long the others are."""
        rows = np.empty((len(texts), self.spec.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            (output,) = self._text.run([self._text_output.port.name], dict(self.tokens(text)))
            row[:] = self._text_output.rows(output)[0]
        return rows

    def tokens(self, text: str) -> Tokens:
        """What the graph takes for a text. Raises UsageError, ModelError."""
        if not is_text(text):
            raise UsageError(f"{text!a}: half a letter is no text; search with whole words")
        encoding = self._tokenizer.encode(text.lower() if self._lowercase else text)
        if not encoding.ids:
            raise ModelError(
                f"{self.spec.name}: the text {text!r} has no tokens; search with other words"
            )
        return {
            port.name: np.array([column(port.name, encoding)], dtype=INTEGERS[port.type])
            for port in self._text_inputs
        }


def text_inputs(name: str, inputs: Sequence[Port]) -> Sequence[Port]:
    """The inputs, which a tokenizer can fill. Raises ModelError."""
    for port in inputs:
        if port.name not in KNOWN:
            raise ModelError(
                f"{name}: the graph needs {port.name}, which no tokenizer gives;"
                f" give its text part alone, with inputs among {', '.join(KNOWN)}"
            )
        if port.type not in INTEGERS:
            raise ModelError(f"{name}: its input {port} takes {port.type}, not int64 or int32")
        if port.shape and (len(port.shape) != 2 or port.shape[0] not in (1, None)):
            raise ModelError(f"{name}: its input {port} does not take (1, tokens)")
    if "input_ids" not in (port.name for port in inputs):
        raise ModelError(f"{name}: the graph has no input input_ids; it is not one for texts")
    return inputs


def tokenizer_for(name: str, text: TextFiles, inputs: Sequence[Port]) -> Tokenizer:
    """As its file says, so padded and cut as the model was trained.

    A file that does not say how long a text may be has it from `max_tokens`; one that does not pad
    needs none for a text that is alone, unless the graph takes one length only."""
    tokenizer = read_tokenizer(name, text.tokenizer)
    length = next((port.shape[1] for port in inputs if port.shape), None)
    cut = dict(tokenizer.truncation or {})
    limits = [most for most in (cut.pop("max_length", None), text.max_tokens, length) if most]
    if limits:  # the tokens that mark begin and end are counted, and stay
        tokenizer.enable_truncation(min(limits), **cut)
    if length is not None:
        tokenizer.enable_padding(length=length, **padding_of(tokenizer))
    return tokenizer


def read_tokenizer(name: str, path: Path) -> Tokenizer:
    """Raises ModelError."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(
            f"{name}: {path} is not a tokenizer.json that can be read: {error}"
        ) from error


def padding_of(tokenizer: Tokenizer) -> dict[str, object]:
    """What the file says of padding, apart from how long."""
    if tokenizer.padding is None:
        return {}
    return {
        key: value
        for key, value in tokenizer.padding.items()
        if not key.startswith(("length", "pad_to"))
    }


def column(name: str, encoding: Encoding) -> Sequence[int]:
    """The values of an input of KNOWN."""
    if name == "position_ids":
        return range(len(encoding.ids))
    columns: dict[str, Sequence[int]] = {
        "input_ids": encoding.ids,
        "attention_mask": encoding.attention_mask,
        "token_type_ids": encoding.type_ids,
    }
    return columns[name]
