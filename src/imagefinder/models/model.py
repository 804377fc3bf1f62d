"""From what a user calls a model to the model: a name, a folder, or an id on the hub."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from imagefinder.errors import ModelError, UsageError
from imagefinder.models.adapted import AdaptedModel
from imagefinder.models.catalog import catalog, no_such_model, package_rows
from imagefinder.models.description import is_adapted
from imagefinder.models.folder import GRAPHS
from imagefinder.models.named import Model, OnFetch, nobody
from imagefinder.models.row import HubFile, ModelRow
from imagefinder.protocols import Embedder
from imagefinder.types import ModelSpec

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def find_model(reference: str) -> Model:
    """The model of a catalogue's name (with `:VARIANT`), of a folder's path, or of ORG/NAME on the
    hub. Raises UsageError."""
    name, _, variant = reference.partition(":")
    if name in package_rows():  # whatever is wrong with the user's own rows
        return RowModel(package_rows()[name], variant)
    rows = catalog()
    if name in rows:
        return RowModel(rows[name], variant)
    folder = Path(reference).expanduser()
    if folder.is_dir():
        return in_folder(folder)
    if HUB_ID.fullmatch(reference):
        return NetworkModel(reference, reference)
    if os.sep in reference or "/" in reference:
        raise UsageError(f"{reference}: there is no such folder; a model's folder has model.onnx")
    raise no_such_model(reference)


def in_folder(folder: Path) -> Model:
    """The model in a folder, whose name is the folder's."""
    folder = folder.resolve()
    name = re.sub(r"[^\w.-]+", "-", folder.name).strip("-._")
    if not name or name in catalog():
        raise UsageError(
            f"{folder}: its space would be called {name!r}, which cannot be;"
            " give the folder another name"
        )
    if is_adapted(folder):
        return AdaptedModel(folder, name, find_model)
    if any((folder / file).is_file() for file in GRAPHS):
        return FolderModel(folder, name)
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder}: there is neither model.onnx nor config.json in it; a model's folder has one"
        )
    return NetworkModel(str(folder), name)


@dataclass(frozen=True, slots=True)
class RowModel:
    """A row of the catalogue. `variant` is one of its other graphs, such as fp16."""

    row: ModelRow
    variant: str = ""

    def __post_init__(self) -> None:
        if self.variant and self.variant not in self.row.variants:
            known = ", ".join(f"{self.row.name}:{name}" for name in self.row.variants) or "none"
            raise UsageError(f"{self.name}: there is no such variant; there are: {known}")

    @property
    def name(self) -> str:
        return f"{self.row.name}:{self.variant}" if self.variant else self.row.name

    @property
    def reference(self) -> str:
        return self.name

    @property
    def has_text(self) -> bool:
        return self.row.text is not None

    @property
    def calibration(self) -> tuple[float, float] | None:
        return None if self.variant else self.row.calibration

    @property
    def graph(self) -> HubFile | None:
        """None for the graph that comes with the package."""
        if self.row.graph is None or not self.variant:
            return self.row.graph
        whole = self.row.graph
        return HubFile(whole.repository, self.row.variants[self.variant], whole.revision)

    @property
    def files(self) -> list[HubFile]:
        """What has to be fetched, the largest first."""
        text = self.row.text
        wanted = [self.graph, self.row.processor]
        wanted += [text.graph, text.tokenizer] if text else []
        return [file for file in wanted if file is not None]

    @property
    def present(self) -> bool:
        if not self.files:
            return True
        from imagefinder.models.hub.files import cached

        return all(cached(file) is not None for file in self.files)

    @property
    def spec(self) -> ModelSpec | None:
        """Where it is known without the files."""
        row = self.row
        if row.graph is not None or row.preprocessing is None:
            return None
        return ModelSpec(row.name, row.dim, row.preprocessing, row.sha256, "", row.calibration)

    def load(
        self, *, device: str = "auto", fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Embedder:
        from imagefinder.models.onnx.files import OnnxFiles, TextFiles
        from imagefinder.models.onnx.load import load_onnx
        from imagefinder.models.weights import load_packaged

        row, text = self.row, self.row.text
        fetched = dict(self.fetched(fetch=fetch, on_fetch=on_fetch))
        if self.graph is None and device == "auto":
            # decoding takes longer, and what it makes of a picture is the same on every processor
            device = "cpu"
        graph, sha256 = fetched[self.graph] if self.graph else (load_packaged(row), row.sha256)
        preprocessing = row.preprocessing
        if row.processor is not None:
            from imagefinder.models.processor import read_processor

            preprocessing = read_processor(fetched[row.processor][0])
        assert preprocessing is not None  # a row has one of the two
        files = OnnxFiles(
            name=self.name,
            graph=graph,
            sha256=sha256,
            preprocessing=preprocessing,
            dim=row.dim,
            output=row.output,
            pooling=row.pooling,
            features=row.features,
            calibration=self.calibration,
        )
        if text is not None:
            side = TextFiles(
                graph=fetched[text.graph][0],
                tokenizer=fetched[text.tokenizer][0],
                max_tokens=text.max_tokens,
                lowercase=text.lowercase,
                output=text.output,
            )
            files = replace(files, text=side)
        return load_onnx(files, device=device)

    def pull(self, on_fetch: OnFetch = nobody) -> list[Path]:
        """Fetch what is not here; where its files are. Raises ModelError."""
        return [path for _, (path, _) in self.fetched(on_fetch=on_fetch)]

    def fetched(
        self, *, fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Iterator[tuple[HubFile, tuple[Path, str]]]:
        """Each file with its path and SHA-256, fetched where it is not here. Raises ModelError."""
        for file in self.files:
            # not for the built-in one: it takes 0.1 s
            from imagefinder.models.hub import files as hub

            here = hub.cached(file)
            if here is None and not fetch:
                raise ModelError(
                    f"{self.name}: {file.path} of {file.repository} is not on this machine;"
                    f" fetch it: imagefinder models pull {self.name}"
                )
            if here is None:
                try:
                    here = hub.fetch(file, on_progress=on_fetch)
                except ModelError as error:  # which does not know what the file is for
                    told = str(error).replace("models pull NAME", f"models pull {self.name}")
                    raise ModelError(f"{self.name}: {told}") from error
            yield file, (here.path, here.sha256)


@dataclass(frozen=True, slots=True)
class FolderModel:
    """A folder with model.onnx and preprocessor_config.json."""

    folder: Path
    name: str
    calibration: tuple[float, float] | None = None
    spec: ModelSpec | None = None
    present: bool = True

    @property
    def reference(self) -> str:
        return str(self.folder)

    @property
    def has_text(self) -> bool:
        from imagefinder.models.folder import has_text

        return has_text(self.folder)

    def load(
        self, *, device: str = "auto", fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Embedder:
        from imagefinder.models.folder import files_in
        from imagefinder.models.onnx.load import load_onnx

        return load_onnx(files_in(self.folder, name=self.name), device=device)


@dataclass(frozen=True, slots=True)
class NetworkModel:
    """A folder or a hub id of transformers, for PyTorch (the extra `torch`)."""

    reference: str
    name: str
    calibration: tuple[float, float] | None = None
    spec: ModelSpec | None = None

    @property
    def has_text(self) -> bool:
        from imagefinder.models.torch.load import has_text

        return has_text(self.reference)

    @property
    def present(self) -> bool:
        from imagefinder.models.torch.load import is_here

        return is_here(self.reference)

    def pull(self, on_fetch: OnFetch = nobody) -> list[Path]:
        """Fetch what is not here; where its weights are. Raises ModelError."""
        from imagefinder.models.torch.files import find_files

        return list(find_files(self.reference, on_progress=on_fetch).weights)

    def load(
        self, *, device: str = "auto", fetch: bool = True, on_fetch: OnFetch = nobody
    ) -> Embedder:
        from imagefinder.models.torch.load import load_torch

        return load_torch(
            self.reference, name=self.name, device=device, fetch=fetch, on_progress=on_fetch
        )
