"""Runs, registered models and what serves them, with a real MLflow server."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from imagefinder import ImageFinder
from imagefinder.adapt import Adaptation
from imagefinder.adapt.choose import Tried
from imagefinder.adapt.threshold import Operating
from imagefinder.errors import UsageError
from imagefinder.evaluate.interval import Interval
from imagefinder.models.description import Description
from imagefinder.models.projected import Projection, save_adapted
from imagefinder.tracking.adapted import log_adaptation
from imagefinder.tracking.digest import DataSet
from imagefinder.tracking.runs import started
from tests.commands import Run
from tests.mlflow_server import mlflow_server, serving_model
from tests.pictures import write_kinds
from tests.toy_models import write_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["mlflow_server"]  # a fixture

pytestmark = pytest.mark.mlflow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes, indexed by two models in folders."""
    home = tmp_path_factory.mktemp("tracking")
    write_model(home / "toy-a", dim=16, seed=1)
    write_model(home / "toy-b", dim=2, seed=2)
    write_kinds(home / "photos")
    with ImageFinder.open(home / "shop", model=str(home / "toy-a")) as finder:
        finder.index(home / "photos")
        finder.add_space(str(home / "toy-b"))
        finder.update_metadata("kind0/0.png", {"sizes": ["s", "m"], "price": 3})
    return home


@pytest.fixture
def client(mlflow_server: str) -> "MlflowClient":
    from mlflow import MlflowClient  # not before a test runs: it tells its makers of its use

    return MlflowClient(tracking_uri=mlflow_server)


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with the pictures, as the current one; nothing is left of MLflow in it."""
    monkeypatch.chdir(home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield home
    assert not (home / "mlruns").exists()
    assert not list(home.glob("*.db"))


def load_text(uri: str) -> str:
    from mlflow.artifacts import load_text

    return load_text(uri)


def runs_of(client: "MlflowClient", experiment: str) -> list:
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"])


def artifacts_of(client: "MlflowClient", run: object, folder: str | None = None) -> set[str]:
    return {file.path for file in client.list_artifacts(run.info.run_id, folder)}


def test_an_evaluation(cli: Run, here: Path, client: "MlflowClient", mlflow_server: str) -> None:
    ask = ("evaluate", "photos", "-c", "./shop", "-k", "1,5", "--json")
    code, out, err = cli(*ask, "--track", mlflow_server, "--experiment", "one")
    assert code == 0
    measured = json.loads(out)["settings"][0]["measures"]
    (run,) = runs_of(client, "one")
    assert run.info.status == "FINISHED"
    assert f"the run is {mlflow_server}/#/experiments/{run.info.experiment_id}/runs/" in err
    assert run.data.metrics["mAP"] == pytest.approx(measured["mAP"]["value"])
    assert run.data.metrics["P_at_5_low"] == pytest.approx(measured["P@5"]["low"])
    assert run.data.metrics["MRR_high"] == pytest.approx(measured["MRR"]["high"])
    known = run.data.params
    assert known["space"] == "toy-a"
    assert known["fingerprint"].startswith("toy-a:")
    assert (known["ks"], known["labels"], known["collection"]) == ("1,5", "photos", "./shop")
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, len(data.dataset.digest)) == ("photos", 36)
    assert json.loads(data.dataset.profile) == {"images": 12, "classes": 3}
    assert artifacts_of(client, run) == {
        "per_class.json",
        "per_class.svg",
        "precision_by_recall.svg",
        "report.html",
    }
    classes = json.loads(load_text(f"{run.info.artifact_uri}/per_class.json"))
    assert [one["class"] for one in classes] == ["kind0", "kind1", "kind2"]
    assert load_text(f"{run.info.artifact_uri}/per_class.svg").startswith("<svg")


@pytest.fixture(autouse=True)
def artifacts_by_the_server(mlflow_server: str) -> Iterator[None]:
    """For `load_text`, which asks the process."""
    import mlflow

    mlflow.set_tracking_uri(mlflow_server)
    yield
    mlflow.set_tracking_uri(None)


def test_settings_are_runs_below_one(
    cli: Run, here: Path, client: "MlflowClient", mlflow_server: str
) -> None:
    spaces = ("--space", "toy-a", "--space", "toy-b")
    track = ("--track", mlflow_server, "--experiment", "several")
    code, _, _ = cli("evaluate", "photos", "-c", "./shop", *spaces, *track)
    assert code == 0
    above, *below = runs_of(client, "several")
    assert [run.data.params["space"] for run in below] == ["toy-a", "toy-b"]
    assert {run.data.tags["mlflow.parentRunId"] for run in below} == {above.info.run_id}
    first, second = (run.data.metrics["mAP"] for run in below)
    assert above.data.metrics["mAP_toy-b_to_toy-a"] == pytest.approx(second - first)
    assert "report.html" in artifacts_of(client, above)


def test_a_command_that_fails_leaves_a_failed_run(
    cli: Run, here: Path, client: "MlflowClient", mlflow_server: str
) -> None:
    track = ("--track", mlflow_server, "--experiment", "failing")
    code, _, _ = cli("evaluate", "nowhere", "-c", "./shop", *track)
    assert code == 1
    (run,) = runs_of(client, "failing")
    assert run.info.status == "FAILED"
    with pytest.raises(KeyboardInterrupt), started(mlflow_server, "failing", "x"):
        raise KeyboardInterrupt
    assert runs_of(client, "failing")[-1].info.status == "KILLED"


@pytest.mark.parametrize("kept", [True, False])
def test_an_adaptation(
    kept: bool, tmp_path: Path, client: "MlflowClient", mlflow_server: str
) -> None:
    folder = tmp_path / "toy-adapted"
    turned = Projection(np.zeros(4, np.float32), np.eye(4, dtype=np.float32))
    save_adapted(folder, Description("toy", "toy:1", "lda"), turned)
    result = Adaptation(
        base="toy",
        method="lda",
        tried=[Tried("lda", None, (0.5, 0.7)), Tried("as it is", None, (0.5,))],
        kind="images of 4 classes",
        measure="mAP",
        train=70,
        test=30,
        seed=3,
        before=Interval(0.5, 0.4, 0.6),
        after=Interval(0.7, 0.6, 0.8),
        difference=Interval(0.2, 0.1, 0.3),
        chance=0.05,
        operating=Operating(0.43, 0.9, 0.8),
        kept=kept,
        space="toy-adapted" if kept else None,
        folder=folder if kept else None,
    )
    experiment = f"adapt-{kept}"
    with started(mlflow_server, experiment, "adapt") as run:
        log_adaptation(run, result, DataSet("labels.csv", "labels.csv", "abc", 100, 4))
    (found,) = runs_of(client, experiment)
    metrics = found.data.metrics
    assert (metrics["kept"], metrics["chance"]) == (int(kept), 0.05)
    assert (metrics["mAP_before"], metrics["mAP_after_high"]) == (0.5, 0.8)
    assert (metrics["difference"], metrics["difference_low"]) == (0.2, 0.1)
    assert (metrics["threshold"], metrics["precision"], metrics["recall"]) == (0.43, 0.9, 0.8)
    assert (metrics["tried/lda"], metrics["tried/as it is"]) == (0.6, 0.5)
    assert (found.data.params["base"], found.data.params["train"]) == ("toy", "70")
    assert found.inputs.dataset_inputs[0].dataset.digest == "abc"
    files = artifacts_of(client, found, "model")
    assert files == ({"model/adapted.json", "model/projection.npz"} if kept else set())


def test_the_command_adapt(
    cli: Run, trees: Path, client: "MlflowClient", mlflow_server: str
) -> None:
    track = ("--track", mlflow_server, "--experiment", "trees")
    code, out, err = cli("adapt", trees / "photos", "-c", trees / "c", "--json", *track)
    assert code == 0, err
    told = json.loads(out)
    (run,) = runs_of(client, "trees")
    assert run.data.metrics["kept"] == 1
    assert run.data.metrics["mAP_after"] == pytest.approx(told["after"]["value"])
    assert (run.data.params["test share"], run.data.params["base"]) == ("0.3", "toy")
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.profile) == {"images": 200, "classes": 4}
    assert artifacts_of(client, run, "model") == {"model/adapted.json", "model/projection.npz"}


@pytest.fixture(scope="module")
def registered(home: Path, mlflow_server: str) -> str:
    """The name of the shop's first version."""
    from imagefinder.tracking.register import register

    made = register("shop", str(home / "shop"), track=mlflow_server, alias="champion")
    assert (made.images, made.space, made.version) == (12, "toy-a", 1)
    return made.uri


def test_a_registered_collection_is_opened(
    cli: Run, here: Path, registered: str, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    (here / "toy-a").rename(here / "hidden")  # the model that was registered is used
    try:
        for name in (registered, "models:/shop@champion"):
            code, out, err = cli("search", "photos/kind1/2.png", "-c", name, "--json")
            assert (code, err) == (0, "")
            hits = json.loads(out)["hits"]
            assert hits[0]["id"] == "kind1/2.png"
            assert hits[0]["score"] == pytest.approx(1, abs=1e-3)
    finally:
        (here / "hidden").rename(here / "toy-a")
    with (
        ImageFinder.open(registered) as finder,
        pytest.raises(UsageError, match="does not change"),
    ):
        finder.index("photos")
    code, _, err = cli("status", "-c", "models:/shop/99")
    assert code == 1
    assert "version=99" in err


def test_versions_are_counted_and_say_what_they_are(
    cli: Run, here: Path, registered: str, client: "MlflowClient", mlflow_server: str
) -> None:
    code, out, _ = cli("track", "register", "shop", "-c", "./shop", "--track", mlflow_server)
    assert (code, out) == (0, "models:/shop/2\n")
    ask = ("track", "register", "shop", "-c", "./shop", "--json", "--track", mlflow_server)
    code, out, _ = cli(*ask)
    assert code == 0
    assert json.loads(out)["uri"] == "models:/shop/3"
    version = client.get_model_version("shop", "3")
    assert version.tags["images"] == "12"
    assert version.tags["fingerprint"].startswith("toy-a:")
    described = load_text("models:/shop/3/MLmodel")
    assert '"name": "k"' in described
    assert "imagefinder[mlflow]==" in load_text("models:/shop/3/requirements.txt")


def test_it_is_served(here: Path, registered: str, mlflow_server: str, tmp_path: Path) -> None:
    data = (here / "photos/kind2/1.png").read_bytes()
    inputs = [base64.b64encode(data).decode(), "id:kind0/0.png", str(here / "photos/kind0/1.png")]
    with serving_model(registered, mlflow_server, tmp_path / "serving.log") as address:
        ask = {"inputs": inputs, "params": {"k": 2}}
        answer = httpx.post(f"{address}/invocations", json=ask, timeout=30, trust_env=False)
        assert answer.status_code == 200, answer.text
        picture, by_id, path = answer.json()["predictions"]
        filtered = {"inputs": inputs[1:2], "params": {"filter": "price == 3", "space": "toy-b"}}
        only = httpx.post(f"{address}/invocations", json=filtered, timeout=30, trust_env=False)
    assert [len(picture), len(by_id)] == [2, 2]
    assert picture[0]["id"] == "kind2/1.png"
    assert picture[0]["score"] == pytest.approx(1, abs=1e-3)
    assert by_id[0]["uri"] == "kind0/0.png"  # no folder of any machine
    assert by_id[0]["metadata"] == {"sizes": ["s", "m"], "price": 3}
    assert "base64" in path["error"]
    assert [hit["id"] for hit in only.json()["predictions"][0]] == ["kind0/0.png"]
