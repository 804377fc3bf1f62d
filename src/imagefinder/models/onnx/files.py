"""The files that a model of ONNX is made of."""

from dataclasses import dataclass
from pathlib import Path

from imagefinder.models.row import Pooling
from imagefinder.types import Preprocessing


@dataclass(frozen=True, slots=True)
class TextFiles:
    """The text side of a model; see TextRow."""

    graph: Path
    tokenizer: Path
    max_tokens: int | None = None
    lowercase: bool = False
    output: str | None = None


@dataclass(frozen=True, slots=True)
class OnnxFiles:
    """What a model is made of; see ModelRow. `sha256` is of the weights; `dim` is checked where it
    is given. A path rather than bytes finds weights in files beside the graph."""

    name: str
    graph: Path | bytes
    sha256: str
    preprocessing: Preprocessing
    dim: int | None = None
    output: str | None = None
    pooling: Pooling | None = None
    features: bool = False
    calibration: tuple[float, float] | None = None
    text: TextFiles | None = None
