"""A model that is a folder: its graph, how pictures are prepared, and perhaps a text side."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from mmap import ACCESS_READ, mmap
from pathlib import Path

from imagefinder.errors import ModelError
from imagefinder.models.onnx.files import OnnxFiles, TextFiles
from imagefinder.models.processor import preprocessing_of, read_config
from imagefinder.models.row import Pooling

# The first that is there. Where an exporter wrote both, model.onnx takes pictures and words.
GRAPHS = ("vision_model.onnx", "model.onnx", "onnx/vision_model.onnx", "onnx/model.onnx")
TEXT_GRAPHS = ("text_model.onnx", "onnx/text_model.onnx")
PROCESSOR = "preprocessor_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

POOLINGS: Mapping[object, Pooling | None] = {None: None, "cls": "cls", "mean": "mean"}
MAX_TOKENS = 100_000  # a file that knows of no limit says 1e30

# How a graph names a file with weights beside it: a key and a value, as protobuf writes them.
LOCATION = b"\x0a\x08location\x12"


def files_in(folder: Path, *, name: str | None = None) -> OnnxFiles:
    """The model's files, read as far as it takes to know them. It is called as the folder is,
    unless it has a `name`.

    An object `imagefinder` in preprocessor_config.json may say which `output` is the embedding and
    how it is pooled (`pooling`, cls or mean), that the graph is a classifier to be cut at its
    features (`features`), and the `text_output`. Raises ModelError for what is missing or wrong.
    """
    graph = first_of(folder, GRAPHS) or no_graph(folder)
    path = folder / PROCESSOR
    if not path.is_file():
        raise ModelError(
            f"{folder}: it has no {PROCESSOR}, which says how pictures are prepared for the model;"
            f" there are {seen(folder)}"
        )
    config = read_config(path)
    choice = Choice(config.get("imagefinder", {}), str(path))
    return OnnxFiles(
        name=name or folder.resolve().name,
        graph=graph,
        sha256=hash_of(graph),
        preprocessing=preprocessing_of(config, str(path)),
        output=choice.output,
        pooling=choice.pooling,
        features=choice.features,
        text=text_in(folder, choice.text_output),
    )


def has_text(folder: Path) -> bool:
    """Whether there is a text side."""
    return first_of(folder, TEXT_GRAPHS) is not None


def first_of(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of the files that exists."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def no_graph(folder: Path) -> Path:
    """Raises ModelError that says what to do."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: there is no such folder; a model's folder has model.onnx")
    if (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: a model of transformers without model.onnx; convert it:"
            f" imagefinder models convert {folder} NEW (it takes the extra torch)"
        )
    raise ModelError(
        f"{folder}: it has no model.onnx, the graph of the model; there are {seen(folder)}"
    )


def seen(folder: Path) -> str:
    """The first names of what the folder holds."""
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join([*names[:8], *(["..."] if names[8:] else [])]) or "no files"


class Choice:
    """What the object `imagefinder` says. Raises ModelError for what it cannot."""

    def __init__(self, said: object, where: str) -> None:
        self.where = f"{where}: imagefinder"
        if not isinstance(said, dict):
            raise ModelError(f"{self.where} must be an object, such as {{'output': 'NAME'}}")
        if unknown := sorted(said.keys() - {"output", "pooling", "features", "text_output"}):
            raise ModelError(
                f"{self.where}: {unknown[0]} is not known;"
                " there are output, pooling, features, text_output"
            )
        self.output = self._name(said, "output")
        self.text_output = self._name(said, "text_output")
        pooling, self.features = said.get("pooling"), said.get("features", False)
        if not isinstance(pooling, str | None) or pooling not in POOLINGS:
            raise ModelError(f"{self.where}: pooling must be cls or mean")
        if not isinstance(self.features, bool):
            raise ModelError(f"{self.where}: features must be true or false")
        self.pooling = POOLINGS[pooling]

    def _name(self, said: Mapping[str, object], key: str) -> str | None:
        name = said.get(key)
        if not isinstance(name, str | None):
            raise ModelError(f"{self.where}: {key} must be the name of an output")
        return name


def text_in(folder: Path, output: str | None) -> TextFiles | None:
    """The text side, if there is one."""
    graph = first_of(folder, TEXT_GRAPHS)
    if graph is None:
        return None
    tokenizer = folder / TOKENIZER
    if not tokenizer.is_file():
        raise ModelError(
            f"{folder}: it has {graph.name}, but no {TOKENIZER}; add the model's own, or take"
            f" {graph.name} away to do without words"
        )
    path = folder / TOKENIZER_CONFIG
    config = read_config(path) if path.is_file() else {}
    longest = config.get("model_max_length")
    return TextFiles(
        graph=graph,
        tokenizer=tokenizer,
        max_tokens=longest if isinstance(longest, int) and 0 < longest < MAX_TOKENS else None,
        lowercase=config.get("do_lower_case") is True,
        output=output,
    )


def hash_of(graph: Path) -> str:
    """Of the weights: the graph's SHA-256, or one of its and of those of the files beside it that
    it names."""
    try:
        beside = [digest_of(graph.parent / name) for name in sorted(set(locations(graph)))]
        digest = digest_of(graph)
    except OSError as error:
        raise ModelError(
            f"{error.filename}: this part of the model cannot be read ({error.strerror})"
        ) from error
    return sha256("".join([digest, *beside]).encode()).hexdigest() if beside else digest


def digest_of(path: Path) -> str:
    """Read in small pieces."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def locations(graph: Path) -> Iterator[str]:
    """The files with weights that a graph names. Looked for in its bytes, since to read it as a
    graph would take as much memory as it is large."""
    if not graph.stat().st_size:
        return
    with graph.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        at = data.find(LOCATION)
        while at >= 0:
            start = at + len(LOCATION) + 1
            yield data[start : start + data[start - 1]].decode(errors="replace")
            at = data.find(LOCATION, start)
