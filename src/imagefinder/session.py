"""What an ImageFinder holds: its collection and its spaces' models, each opened on first use."""

from collections.abc import Callable, Sequence
from threading import Lock, RLock

from imagefinder.collection import Collection, open_collection
from imagefinder.errors import (
    CollectionError,
    ImageNotFoundError,
    ModelError,
    ModelMismatchError,
    UsageError,
)
from imagefinder.home import ClusterPlace, Place
from imagefinder.models import DEFAULT_MODEL, Model, OnFetch, find_model, names_with_text, nobody
from imagefinder.optimizer import Optimizer
from imagefinder.protocols import Embedder, TextEmbedder, VectorStore
from imagefinder.stores.ledger import SpaceEntry
from imagefinder.types import Distance, space_name


class Session:
    """One place, opened. `model` is what the user calls a model, `embedder` a model of the user's;
    without either the collection says which."""

    def __init__(
        self,
        place: Place | ClusterPlace,
        model: str | None,
        embedder: Embedder | None,
        *,
        device: str = "auto",
        on_fetch: OnFetch = nobody,
    ) -> None:
        self.place = place
        self.optimizer = Optimizer()
        self._model = None if model is None else find_model(model)
        self.own = embedder
        self.device, self._on_fetch = device, on_fetch
        self._loaded: dict[str, Embedder] = {}  # by space
        self._used: dict[str, Embedder] = {}  # the same, as `_through` makes them
        self._collection: Collection | None = None
        self._closed = False
        self._may_fetch = True
        self._through: Callable[[str, Embedder], Embedder] = lambda space, embedder: embedder
        self._full_paths = True
        self._lock = RLock()
        self._loading = Lock()  # not the other one: searches go on while a model loads

    def collection(self, *, create: bool = False) -> Collection:
        """Reading never creates: without `create`, a missing one is CollectionNotFoundError."""
        with self._lock:
            if self._closed:
                raise CollectionError(f"{self.place.name}: the collection is closed; open it again")
            if self._collection is None:
                self._collection = open_collection(self.place, create=create)
            return self._collection

    # spaces

    def space(self) -> str:
        """The name of the space that searches use: the one of the model that was asked for, else
        the collection's."""
        spaces = self.collection().ledger.spaces
        if self.own is not None:
            name = reference = self.own.spec.name
        elif self._model is not None:
            name, reference = self._model.name, self._model.reference
        else:
            return spaces.in_use or DEFAULT_MODEL
        entries = spaces.entries()
        of_model = [
            entry.name
            for entry in entries.values()
            if entry.model == reference or entry.name == space_name(name, entry.distance)
        ]
        return name if name in entries or not of_model else of_model[0]

    def entry(self, space: str) -> SpaceEntry:
        """What the ledger says of a space. Raises ModelMismatchError where there is none."""
        entries = self.collection().ledger.spaces.entries()
        if space not in entries:
            raise self._no_space(space)
        return entries[space]

    def missing(self, space: str, id: str) -> ImageNotFoundError:
        """For an id that the space does not have."""
        collection = self.collection()
        if len(collection.spaces()) < 2 or not collection.ledger.images([id]):
            return ImageNotFoundError.of(id)
        return ImageNotFoundError(
            f"{id}: the space {space} does not have this image; bring it up to date:"
            f" imagefinder models add {space} -c COLLECTION"
        )

    def named(self, spaces: str | Sequence[str] | None) -> list[str]:
        """The spaces that a user means, `a,b` or a list. Raises UsageError for an unknown one."""
        if spaces is None:
            return [self.space()]
        names = spaces.split(",") if isinstance(spaces, str) else list(spaces)
        names = [name.strip() for name in names]
        for name in names:
            if name != self.space():  # which a collection that is empty has not made yet
                self.existing(name)
        return list(dict.fromkeys(names))

    def existing(self, space: str) -> str:
        """The same for one that is there. Raises UsageError."""
        known = self.collection().spaces()
        if space not in known:
            raise UsageError(
                f"{space}: there is no such space here; there is: {', '.join(known) or 'none'}"
            )
        return space

    def store(self, space: str) -> VectorStore:
        """A space's store; a collection that has none yet gets its first.

        Raises ModelMismatchError where it was made by another version."""
        collection = self.collection()
        if not collection.spaces():
            space = self.space_to_fill(None)
        entry = self.entry(space)
        self._check(entry)
        return collection.store(space)

    def space_to_fill(self, distance: Distance | None) -> str:
        """The space that indexing fills; made where the collection has none of a model yet."""
        collection, space = self.collection(create=True), self.space()
        entries = collection.ledger.spaces.entries()
        if space not in entries:
            if any(not entry.imported for entry in entries.values()):
                raise self._no_space(space)
            if self.own is not None:
                return self._made(self.own, self.own.spec.name, distance)
            return self.make_space(self._model or find_model(space), distance)
        if distance not in (None, entries[space].distance):
            raise UsageError(
                f"{space}: this space compares by {entries[space].distance}; a distance is chosen"
                f" when a space is made: imagefinder models add MODEL --distance {distance}"
            )
        return space

    def make_space(self, model: Model, distance: Distance | None) -> str:
        """The space of a model and a distance, new where there is none. Loads the model."""
        return self._made(self._load(model), model.reference, distance)

    def _made(self, loaded: Embedder, reference: str, distance: Distance | None) -> str:
        spec, distance = loaded.spec, distance or "cosine"
        name = space_name(spec.name, distance)
        collection = self.collection()
        with collection.writing:
            known = collection.ledger.spaces.entries().get(name)
            if known is None:
                entry = SpaceEntry(name, spec.fingerprint, spec.dim, reference, distance)
                collection.add_space(entry)
        self._check(self.entry(name), loaded)
        self._found_at(spec.fingerprint, reference)
        with self._loading:
            self._loaded.setdefault(name, loaded)
        return name

    # models

    def model(self, space: str) -> Model | None:
        """The model of a space, not loaded; None for one that only its user has, or nobody."""
        if self._model is not None and space == self.space():
            return self._model
        reference = self._reference(space)
        try:
            return find_model(reference) if reference else None
        except UsageError:
            return None

    def dim(self, space: str) -> int:
        """Of what a space has, or would have."""
        entries = self.collection().ledger.spaces.entries()
        if space in entries:
            return entries[space].dim
        if self.own is not None:
            return self.own.spec.dim
        model = self.model(space)
        return model.spec.dim if model is not None and model.spec is not None else 0

    def calibration(self, space: str) -> tuple[float, float] | None:
        """Of the space's scores; see ModelSpec."""
        if (loaded := self._loaded.get(space)) is not None:
            return loaded.spec.calibration
        if self.own is not None and space == self.space():
            return self.own.spec.calibration
        model = self.model(space)
        return model.calibration if model is not None else None

    def embedder(self, space: str, *, fetch: bool = True) -> Embedder:
        """The model of a space, fetched where it is not here, unless not to `fetch`.

        Raises ModelError where it cannot be had, ModelMismatchError."""
        if (used := self._used.get(space)) is not None:
            return used
        with self._loading:
            if space not in self._used:
                loaded = self._loaded.get(space) or self._had(space, fetch)
                entries = self.collection().ledger.spaces.entries()
                if space in entries:
                    self._check(entries[space], loaded)
                    if self._model is not None and space == self.space():
                        self._found_at(entries[space].fingerprint, self._model.reference)
                self._loaded[space] = loaded  # not before: another version must not stay
                self._used[space] = self._through(space, loaded)
            return self._used[space]

    def understands_text(self, space: str) -> bool:
        """Whether words can be searched with; loads no model."""
        loaded = self._loaded.get(space) or (self.own if space == self.space() else None)
        if loaded is not None:
            return isinstance(loaded, TextEmbedder)
        model = self.model(space)
        return model is not None and model.has_text

    def _had(self, space: str, fetch: bool) -> Embedder:
        """The model. Raises ModelError that names no folder to clients of a service."""
        try:
            return self._model_of(space, fetch)
        except ModelError as error:
            reference = self._reference(space)
            if self._full_paths or not reference:
                raise
            raise ModelError(str(error).replace(reference, space)) from error

    def _model_of(self, space: str, fetch: bool) -> Embedder:
        if self.own is not None and space == self.space():
            return self.own
        if self._model is not None and space == self.space():
            return self._load(self._model, fetch)
        reference = self._reference(space)
        if not reference:
            raise ModelError(
                f"{space}: these embeddings were imported, and no model of this name is"
                f" here to embed an image; search with id:ID{self._others(space)}"
            )
        try:
            model = find_model(reference)
        except UsageError as error:
            raise ModelError(
                f"{space}: the model of this space cannot be found: {error};"
                " give its folder with --model, by the same name, or put its row back"
            ) from error
        return self._load(model, fetch)

    def _reference(self, space: str) -> str:
        """What finds the model of a space; empty for one that nobody has."""
        if self._model is not None and space == self.space():
            return self._model.reference
        entries = self.collection().ledger.spaces.entries()
        return entries[space].model if space in entries else space

    def _load(self, model: Model, fetch: bool = True) -> Embedder:
        fetch = fetch and self._may_fetch
        return model.load(device=self.device, fetch=fetch, on_fetch=self._on_fetch)

    def _check(self, entry: SpaceEntry, loaded: Embedder | None = None) -> None:
        """Raises ModelMismatchError where the model, as far as it is known, is another version."""
        loaded = loaded or self._loaded.get(entry.name)
        if loaded is None and self.own is not None and self.space() == entry.name:
            loaded = self.own
        model = self.model(entry.name) if loaded is None else None
        spec = loaded.spec if loaded is not None else model.spec if model is not None else None
        if spec is not None and spec.fingerprint != entry.fingerprint:
            raise ModelMismatchError(
                f"{self.place.name}: its embeddings come from another version of {spec.name}"
                f" ({entry.fingerprint}, here is {spec.fingerprint}); use the version that made"
                " them, or drop them and embed anew: imagefinder models drop, then models add; or"
                " index the images into a new collection"
            )

    def _found_at(self, fingerprint: str, reference: str) -> None:
        """Remember where a model is now, where the user said so."""
        spaces = self.collection().ledger.spaces
        for entry in list(spaces.entries().values()):
            if entry.fingerprint == fingerprint and entry.model != reference:
                spaces.moved(entry.name, reference)

    def _no_space(self, space: str) -> ModelMismatchError:
        spaces = self.collection().spaces()
        if not spaces:
            return ModelMismatchError(
                f"{self.place.name}: no image was indexed yet;"
                f" imagefinder index FOLDER -c {self.place.name}"
            )
        return ModelMismatchError(
            f"{self.place.name}: holds embeddings of {', '.join(spaces)}, not of {space};"
            f" add them: imagefinder models add {space} -c {self.place.name}"
        )

    def _others(self, space: str) -> str:
        """The spaces that could embed an image, for a message."""
        entries = self.collection().ledger.spaces.entries().values()
        able = [entry.name for entry in entries if entry.model and entry.name != space]
        return f", or with --space {able[0]}" if able else ""

    def text_hint(self) -> str:
        """Which models could be searched with words, for a message."""
        here = [space for space in self.collection().spaces() if self.understands_text(space)]
        if here:
            spaces = ", ".join(here)
            return f"search in a space that has one ({spaces}), or with an image"
        able = names_with_text()
        return (
            f"those of {', '.join(able)} have one; they are added with:"
            f" imagefinder models add {able[0]} -c COLLECTION"
        )

    # for a service

    def serve(self, through: Callable[[str, Embedder], Embedder], *, full_paths: bool) -> None:
        """From now on embed by `through(space, model)`, also where the model has worked already,
        and show uris with or without the folders of this machine."""
        with self._loading:
            self._may_fetch = False  # a request does not wait for that
            self._through, self._full_paths = through, full_paths
            self._used.clear()

    def locate(self, uri: str) -> str:
        """Where the image of a stored uri is now, as users see it."""
        places = self.collection().places()
        return places.locate(uri) if self._full_paths else places.within(uri)

    def drop(self, space: str) -> None:
        """Forget what was loaded for a space."""
        with self._loading:
            self._loaded.pop(space, None)
            self._used.pop(space, None)

    def close(self) -> None:
        """Finish what runs in the background and let other processes in."""
        with self._lock:
            self._closed = True
            self.optimizer.close()
            if self._collection is not None:
                self._collection.close()
                self._collection = None
