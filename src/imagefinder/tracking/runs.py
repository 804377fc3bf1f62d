"""A run of MLflow: what is written to it, and how it ends."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from imagefinder._version import __version__
from imagefinder.ahead import chunks
from imagefinder.errors import ImageFinderError
from imagefinder.sources.address import is_http
from imagefinder.tracking.server import Server, connect, in_our_words, patient

if TYPE_CHECKING:
    from imagefinder.tracking.digest import DataSet

EXPERIMENT = "imagefinder"
PARENT = "mlflow.parentRunId"  # how MLflow nests runs
AT_ONCE = 100  # parameters or metrics in a request: as many as MLflow takes


@dataclass(frozen=True, slots=True)
class Run:
    """A run that goes on. Everything raises ImageFinderError where the server fails."""

    server: Server
    id: str
    experiment: str  # its id
    artifacts: str  # the URI of its folder

    @property
    def shown(self) -> str:
        """Where a person finds it."""
        shown = self.server.shown
        if is_http(shown):
            return f"{shown.rstrip('/')}/#/experiments/{self.experiment}/runs/{self.id}"
        return f"{self.id} of the experiment {self.experiment} in {shown}"

    def parameters(self, values: Mapping[str, object]) -> None:
        """What was decided; None is left out."""
        from mlflow.entities import Param

        known = [Param(name, str(value)) for name, value in values.items() if value is not None]
        with self._told():
            for some in chunks(known, AT_ONCE):
                self.server.client.log_batch(self.id, params=some)

    def metrics(self, values: Mapping[str, float]) -> None:
        """What was measured."""
        from mlflow.entities import Metric

        now = int(time() * 1000)
        known = [Metric(legal(name), float(value), now, 0) for name, value in values.items()]
        with self._told():
            for some in chunks(known, AT_ONCE):
                self.server.client.log_batch(self.id, metrics=some)

    def text(self, content: str, file: str) -> None:
        """A file of its artifacts."""
        with self._told():
            self.server.client.log_text(self.id, content, file)

    def json(self, value: object, file: str) -> None:
        """The same for what programs read."""
        self.text(json.dumps(value, ensure_ascii=False, indent=1), file)

    def folder(self, folder: Path, name: str) -> None:
        """A folder of its artifacts."""
        with self._told():
            self.server.client.log_artifacts(self.id, str(folder), name)

    def data(self, data: "DataSet", context: str) -> None:
        """The images that it is about; `context` says what they are for, as `evaluation`."""
        from mlflow.entities import DatasetInput, InputTag

        given = DatasetInput(data.entity(), [InputTag("mlflow.data.context", context)])
        with self._told():
            self.server.client.log_inputs(self.id, [given])

    @contextmanager
    def child(self, name: str) -> Iterator["Run"]:
        """A run within this one."""
        with running(self.server, self.experiment, name, {PARENT: self.id}) as run:
            yield run

    def end(self, status: str) -> None:
        """FINISHED, FAILED or KILLED."""
        with self._told():
            self.server.client.set_terminated(self.id, status)

    def _told(self) -> AbstractContextManager[None]:
        return in_our_words(self.server.shown, self.server.uri)


@contextmanager
def started(uri: str | None, experiment: str, name: str) -> Iterator[Run]:
    """A run of an experiment on the MLflow at `uri`, which has answered before the block begins.
    Its end says how the block ended.

    Raises UsageError, ImageFinderError where no server answers, MissingExtraError."""
    server = connect(uri)
    with patient(retries=3, seconds=120):
        made = server.experiment(experiment)
        tags = {"mlflow.source.name": f"imagefinder {name}", "imagefinder": __version__}
        with running(server, made, name, tags) as run:
            yield run


@contextmanager
def running(server: Server, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
    """A run from its beginning to its end."""
    with in_our_words(server.shown, server.uri):
        info = server.client.create_run(experiment, run_name=name, tags=dict(tags)).info
    run = Run(server, info.run_id, experiment, info.artifact_uri or "")
    try:
        yield run
    except BaseException as error:
        with suppress(ImageFinderError):  # the error says more than that the server is gone, too
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    run.end("FINISHED")


def legal(name: str) -> str:
    """A metric's name as MLflow takes it: `P@5` is `P_at_5`."""
    named = name.replace("@", "_at_")
    return "".join(letter if letter.isalnum() or letter in "_-. /" else "_" for letter in named)
