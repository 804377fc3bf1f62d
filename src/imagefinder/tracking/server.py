"""Which MLflow a user means, and its troubles in our words."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from imagefinder.errors import ImageFinderError, MissingExtraError, UsageError
from imagefinder.sources.address import redact, redact_within

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRIES, SECONDS = "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"
QUIET = {  # it would print and draw between our lines
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
UNREACHED = re.compile("failed with exception|Max retries|timed out|Connection")
LONGEST = 200  # letters of what MLflow says


@dataclass(frozen=True, slots=True)
class Server:
    """An MLflow that has answered. `shown` is its address without secrets."""

    client: "MlflowClient"
    shown: str
    uri: str = field(repr=False)

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made where there is none of this name."""
        with in_our_words(self.shown, self.uri):
            found = self.client.get_experiment_by_name(name)
            made = self.client.create_experiment(name) if found is None else found.experiment_id
            return str(made)


def connect(uri: str | None = None) -> Server:
    """The MLflow at an address (http, a database, a folder), or the environment's.

    It is asked something, for no longer than some seconds. Raises UsageError where no address is
    known, ImageFinderError where none answers, MissingExtraError."""
    new_client = client_class()
    address = address_of(uri)
    shown = redact(address)
    with patient(retries=0, seconds=10):
        try:
            client = new_client(tracking_uri=address)
            client.search_experiments(max_results=1)
        except Exception as error:
            said = told(error, address, shown)
            if UNREACHED.search(said):
                raise ImageFinderError(
                    f"{shown}: no MLflow server answers there; start it (mlflow server), or check"
                    " the address"
                ) from error
            raise ImageFinderError(f"{shown}: this MLflow cannot be used: {said}") from error
    return Server(client, shown, address)


def address_of(uri: str | None) -> str:
    """What the user says, else the environment or the program. Raises UsageError."""
    if uri is not None:
        if not uri.strip():
            raise UsageError("the address of the MLflow server is empty")
        return uri
    import mlflow

    if not mlflow.is_tracking_uri_set():
        raise UsageError(
            "which MLflow server? say so with --track URI, as http://127.0.0.1:5000, or in the"
            " environment: MLFLOW_TRACKING_URI"
        )
    return str(mlflow.get_tracking_uri())


def client_class() -> "Callable[..., MlflowClient]":
    """Raises MissingExtraError."""
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtraError("tracking", "mlflow") from error
    made: Callable[..., MlflowClient] = MlflowClient
    return made


@contextmanager
def patient(*, retries: int, seconds: int) -> Iterator[None]:
    """MLflow tries again for minutes by default; here so often, and waits so long for an answer,
    and prints nothing, but where the environment says something else."""
    wanted = {RETRIES: str(retries), SECONDS: str(seconds), **QUIET}
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


@contextmanager
def in_our_words(shown: str, uri: str = "") -> Iterator[None]:
    """Around calls of MLflow: ImageFinderError where one fails, without secrets."""
    try:
        yield
    except ImageFinderError:
        raise
    except Exception as error:
        raise ImageFinderError(
            f"{shown}: MLflow cannot do it: {told(error, uri, shown)}"
        ) from error


def told(error: Exception, uri: str, shown: str) -> str:
    """What MLflow says, in one line, without secrets."""
    text = str(error).strip() or type(error).__name__
    if uri:
        text = text.replace(uri, shown)
        for secret in secrets_of(uri):
            text = text.replace(secret, "***")
    line = " ".join(redact_within(text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def secrets_of(uri: str) -> set[str]:
    """The password in an address, as it stands there and as it is meant."""
    try:
        password = urlsplit(uri).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
