"""What `mlflow models serve` serves: the most similar images of a registered collection."""

import base64
import binascii
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from imagefinder.errors import ImageFinderError, UsageError
from imagefinder.query import IdPart, ImagePart, Query
from imagefinder.sources.address import is_http
from imagefinder.sources.guard import GuardedFetcher
from imagefinder.tracking.contents import FOLDER
from imagefinder.tracking.opening import open_folder
from imagefinder.tracking.read_only import RegisteredFinder
from imagefinder.types import Hit

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of MLflow, about its own types
    from mlflow.pyfunc import PythonModel  # only where MLflow is, and nobody else imports this

if TYPE_CHECKING:
    from imagefinder.finder import ImageFinder

Answer: TypeAlias = "list[dict[str, object]] | dict[str, object]"

K = 3
MOST = 1000  # hits of a query, as of our own service
MOST_BYTES, SECONDS = 50_000_000, 10.0  # of a picture that is fetched
FORMS = "give a file's bytes in base64, an http(s) URL, or id:ID"


class ServedCollection(PythonModel):  # type: ignore[misc]  # MLflow is not there for everybody
    """Answers each input with the list of its hits, best first, or with an `error`.

    An input is a picture: its file's bytes in base64 (also as a `data:` URL), an http(s) URL of a
    public address, or `id:ID` of the collection. No file of the serving machine is read."""

    def load_context(self, context: object) -> None:
        """Open the collection that is among the artifacts."""
        artifacts: Mapping[str, str] = context.artifacts  # type: ignore[attr-defined]
        self._finder: ImageFinder = opened(Path(artifacts[FOLDER]))
        self._web = GuardedFetcher(max_bytes=MOST_BYTES, seconds=SECONDS)

    # MLflow makes a schema of types that it likes, and loses the parameters; these it leaves alone.
    def predict(
        self,
        context: object,
        model_input: np.ndarray,
        params: Mapping[str, object] | None = None,
    ) -> "list[Answer]":
        """The hits of each input. Of `params`, `k` is how many, `filter` an expression, `space` the
        name of a space; empty ones do not count."""
        return self.answers(texts_of(model_input), params or {})

    def answers(self, texts: Sequence[str], params: Mapping[str, object]) -> "list[Answer]":
        """The same, typed."""
        k = int(str(params.get("k", K)))
        wanted = str(params.get("filter") or "") or None
        space = str(params.get("space") or "") or None
        return [self._answer(text, k, wanted, space) for text in texts]

    def close(self) -> None:
        """Give up the copy of the collection."""
        self._finder.close()
        self._web.close()

    def _answer(self, text: str, k: int, wanted: str | None, space: str | None) -> Answer:
        try:
            if not 1 <= k <= MOST:
                raise UsageError(f"k is {k}; it must be from 1 to {MOST}")
            hits = self._finder.search(self._query(text), k, filter=wanted, space=space)
        except ImageFinderError as error:
            return {"error": str(error)}
        return [shown(hit) for hit in hits]

    def _query(self, text: str) -> Query:
        """Never a path: bytes or an id."""
        if text.startswith("id:"):
            return Query((IdPart(text.removeprefix("id:")),))
        if is_http(text):
            return Query((ImagePart(self._web.read(text)),))
        return Query((ImagePart(decoded(text)),))


def opened(folder: Path) -> "ImageFinder":
    """The collection; nobody is told where on this machine its files are."""
    finder = open_folder(folder, FOLDER)
    if isinstance(finder, RegisteredFinder):
        finder.fetch_models()
        finder.serve(
            lambda space, embedder: embedder, computing=BoundedSemaphore(1), full_paths=False
        )
    return finder


def texts_of(given: object) -> Sequence[str]:
    """The inputs of a request, which MLflow hands over as a list, an array, or a table of one
    column."""
    values = given.to_numpy() if hasattr(given, "to_numpy") else given
    values = values.ravel().tolist() if hasattr(values, "ravel") else values
    return [str(value) for value in values] if isinstance(values, list) else [str(values)]


def decoded(text: str) -> bytes:
    """Raises UsageError for what is no base64."""
    content = text.partition(",")[2] if text.startswith("data:") else text
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise UsageError(f"an input that is no picture; {FORMS}")
    return data


def shown(hit: Hit) -> dict[str, object]:
    """As JSON takes it."""
    return {
        "id": hit.id,
        "score": hit.score,
        "confidence": hit.confidence,
        "uri": hit.uri,
        "metadata": {name: plain(value) for name, value in hit.metadata.items()},
    }


def plain(value: object) -> object:
    """A list is a list."""
    return list(value) if isinstance(value, (list, tuple)) else value
