"""What an ImageFinder holds: its collection and its model, each opened on first use."""

from collections.abc import Callable
from threading import RLock

from imagefinder.collection import Collection
from imagefinder.errors import CollectionError, ModelError
from imagefinder.home import Place
from imagefinder.models import CATALOG, DEFAULT_MODEL, load_embedder
from imagefinder.optimizer import Optimizer
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.stores.embedded import EmbeddedStore
from imagefinder.types import ModelSpec


class Session:
    """One place, opened. `model` is a name of the catalogue, `embedder` a model of the user's."""

    def __init__(self, place: Place, model: str | None, embedder: Embedder | None) -> None:
        self.place = place
        self.optimizer = Optimizer()
        self._model = embedder.spec.name if embedder is not None else model
        self._embedder = embedder
        self._used: Embedder | None = None  # the model, as `_through` makes it
        self._collection: Collection | None = None
        self._closed = False
        self._through: Callable[[Embedder], Embedder] = lambda embedder: embedder
        self._full_paths = True
        self._lock = RLock()

    def collection(self, *, create: bool = False) -> Collection:
        """Reading never creates: without `create`, a missing one is CollectionNotFoundError."""
        with self._lock:
            if self._closed:
                raise CollectionError(f"{self.place.name}: the collection is closed; open it again")
            if self._collection is None:
                if not create:
                    self.place.require()
                self._collection = Collection(self.place.path, self.place.name, create=create)
            return self._collection

    def space(self) -> str:
        """The name of the space that searches use: the model's, else the collection's first."""
        spaces = self.collection().spaces()
        if self._model is not None or not spaces:
            return self._model or DEFAULT_MODEL
        return spaces[0]

    def spec(self) -> ModelSpec | None:
        """The facts of the space's model; None for a space whose embeddings were imported."""
        if self._embedder is not None:
            return self._embedder.spec
        return CATALOG.get(self.space())

    def store(self) -> EmbeddedStore:
        """The space's store. Raises ModelMismatchError."""
        collection, spec = self.collection(), self.spec()
        return collection.store(self.space()) if spec is None else collection.store_for(spec)

    def embedder(self) -> Embedder:
        """The space's model. Raises ModelError where it is not here."""
        with self._lock:
            if self._embedder is None:
                space = self.space()
                if space not in CATALOG:
                    raise ModelError(
                        f"{space}: these embeddings were imported, and no model of this name is"
                        " here to embed an image; search with id:ID"
                    )
                self._embedder = load_embedder(space)
            if self._used is None:
                self._used = self._through(self._embedder)
            return self._used

    def understands_text(self) -> bool:
        """Whether words can be searched with; loads the model."""
        try:
            return isinstance(self.embedder(), TextEmbedder)
        except ModelError:  # embeddings that were imported
            return False

    def serve(self, through: Callable[[Embedder], Embedder], *, full_paths: bool) -> None:
        """From now on embed by `through(model)`, also where the model has worked already, and show
        uris with or without the folders of this machine."""
        with self._lock:
            self._through, self._used, self._full_paths = through, None, full_paths

    def locate(self, uri: str) -> str:
        """Where the image of a stored uri is now, as users see it."""
        places = self.collection().places()
        return places.locate(uri) if self._full_paths else places.within(uri)

    def close(self) -> None:
        """Finish what runs in the background and let other processes in."""
        with self._lock:
            self._closed = True
            self.optimizer.close()
            if self._collection is not None:
                self._collection.close()
                self._collection = None
