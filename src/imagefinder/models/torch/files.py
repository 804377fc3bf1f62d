"""The files of a model of transformers: those of a folder, or fetched from the hub."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Protocol, TypeAlias

from imagefinder.errors import ModelError
from imagefinder.models.processor import read_config
from imagefinder.models.row import HubFile

# told about a download: the file, bytes done, their total
OnProgress: TypeAlias = Callable[[str, int, int | None], None]

CONFIG = "config.json"
# Of each the first that there is, as transformers takes them.
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
BOTH_SIDES = {"text_config", "vision_config"}  # of a config: words and pictures in one space


@dataclass(frozen=True, slots=True)
class Found:
    """A file on this machine."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """What a model is made of. `tokenizer` is None where words cannot be searched with."""

    reference: str  # what the user calls it
    config: Path
    processor: Path
    weights: tuple[Path, ...]
    sha256: str  # of the weights
    tokenizer: Path | None = None
    tokenizer_config: Path | None = None


def nobody(file: str, done: int, total: int | None) -> None:
    """Nobody watches."""


class Place(Protocol):
    """Where a model's files are."""

    def find(self, name: str) -> Found | None:
        """A file; None where there is none of this name. Raises ModelError."""

    def lacks(self, names: Sequence[str]) -> ModelError:
        """For a model without any of these files."""


def find_files(
    reference: str, *, fetch: bool = True, on_progress: OnProgress = nobody
) -> NetworkFiles:
    """The files of a folder or of a hub id; without `fetch`, those that are here. Raises
    ModelError for what is missing."""
    place = place_of(reference, fetch, on_progress)
    config = required(place, CONFIG)
    processor = required(place, *PROCESSORS)
    weights = list(whole(place, required(place, *WEIGHTS)))
    tokenizer = place.find(TOKENIZER) if takes_words(config.path) else None
    settings = place.find(TOKENIZER_CONFIG) if tokenizer else None
    return NetworkFiles(
        reference=reference,
        config=config.path,
        processor=processor.path,
        weights=tuple(each.path for each in weights),
        sha256=hash_of(each.sha256 for each in weights),
        tokenizer=tokenizer.path if tokenizer else None,
        tokenizer_config=settings.path if settings else None,
    )


def has_text(reference: str) -> bool:
    """Whether words can be searched with; False, too, for what is not here yet. No network."""
    place = place_of(reference, False, nobody)
    config = place.find(CONFIG)
    return config is not None and takes_words(config.path) and place.find(TOKENIZER) is not None


def is_here(reference: str) -> bool:
    """Whether it can be loaded without a network."""
    if Path(reference).expanduser().is_dir():
        return True
    try:
        find_files(reference, fetch=False)
    except ModelError:
        return False
    return True


def takes_words(config: Path) -> bool:
    """Whether it is of a network with a text side."""
    return set(read_config(config)) >= BOTH_SIDES


def place_of(reference: str, fetch: bool, on_progress: OnProgress) -> Place:
    """The folder, if there is one of this name, else the hub."""
    folder = Path(reference).expanduser()
    return Folder(folder) if folder.is_dir() else Hub(reference, fetch, on_progress)


def required(place: Place, *names: str) -> Found:
    """The first of the files that there is."""
    for name in names:
        if found := place.find(name):
            return found
    raise place.lacks(names)


def whole(place: Place, first: Found) -> Iterator[Found]:
    """The weights: one file, or those that an index names."""
    if not first.path.name.endswith(".index.json"):
        yield first
        return
    places = read_config(first.path).get("weight_map")
    names = set(places.values()) if isinstance(places, Mapping) else set()
    if not names or not all(isinstance(name, str) and name == Path(name).name for name in names):
        raise ModelError(f"{first.path}: it names no files with weights; copy the model again")
    for name in sorted(names):
        yield required(place, name)


def hash_of(digests: Iterable[str]) -> str:
    """The SHA-256 of one file, or one of those of several."""
    first, *others = digests
    return sha256("".join([first, *others]).encode()).hexdigest() if others else first


@dataclass(frozen=True, slots=True)
class Folder:
    """A `Place` on this machine."""

    folder: Path

    def find(self, name: str) -> Found | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file:  # read in small pieces
                return Found(path, file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise ModelError(f"{path}: the file cannot be read ({error.strerror})") from error

    def lacks(self, names: Sequence[str]) -> ModelError:
        return ModelError(
            f"{self.folder}: it has no {' or '.join(names)}; a model of transformers has"
            " config.json, preprocessor_config.json and model.safetensors"
        )


@dataclass(frozen=True, slots=True)
class Hub:
    """A `Place` on the model hub, or in its cache."""

    repository: str
    fetch: bool
    on_progress: OnProgress

    def find(self, name: str) -> Found | None:
        from huggingface_hub.errors import RemoteEntryNotFoundError

        from imagefinder.models.hub import files as hub

        file = HubFile(self.repository, name)
        try:
            here = hub.cached(file)
            if here is None and self.asks:
                here = hub.fetch(file, on_progress=self.on_progress)
        except ModelError as error:
            if isinstance(error.__cause__, RemoteEntryNotFoundError):
                return None
            raise
        return Found(here.path, here.sha256) if here else None

    def lacks(self, names: Sequence[str]) -> ModelError:
        wanted = " or ".join(names)
        if self.asks:
            return ModelError(
                f"{self.repository}: the repository has no {wanted}, which a model of"
                " transformers has; use another"
            )
        return ModelError(
            f"{self.repository}: {wanted} of it is not on this machine; fetch it where there is"
            f" a network: imagefinder models pull {self.repository}"
        )

    @property
    def asks(self) -> bool:
        """Whether the network is used."""
        from imagefinder.models.hub import files as hub

        return self.fetch and not hub.is_offline()
