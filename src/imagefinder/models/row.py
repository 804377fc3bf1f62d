"""A row of the catalogue: the facts of a model, and where its files are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from imagefinder.types import Preprocessing

Pooling: TypeAlias = Literal["cls", "mean"]


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on the model hub. `revision` is a branch, a tag or a commit."""

    repository: str
    path: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class TextRow:
    """The text side of a model: a graph of its own, and the tokenizer.

    `max_tokens` is what the model was trained with; longer texts are cut."""

    graph: HubFile
    tokenizer: HubFile
    max_tokens: int
    lowercase: bool = False
    output: str | None = None  # None: picked by its name and shape


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model. `graph` is a file of the hub, or of this package (the built-in one).

    `features`: the graph is a classifier, and the input of its last matrix product is taken.
    `output` and `pooling` say which output is the embedding where it is not clear from the graph;
    `preprocessing` is given where the repository has no file of it (`processor`).
    """

    name: str
    dim: int
    size: int  # pixels a side of the graph's input
    licence: str
    graph: HubFile | None = None  # None: `package_file`
    package_file: str = ""  # below the folder of the models, for what comes with the package
    bytes: int = 0  # to fetch, about
    processor: HubFile | None = None
    preprocessing: Preprocessing | None = None
    features: bool = False
    output: str | None = None
    pooling: Pooling | None = None
    text: TextRow | None = None
    variants: Mapping[str, str] = field(default_factory=dict)  # fp16 -> the path of its graph
    calibration: tuple[float, float] | None = None
    sha256: str = ""  # of the package's file
    tried: bool = False  # against the real files, not only stand-ins
