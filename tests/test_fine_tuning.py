"""Fine-tuning: a network learns what it did not see, what is no better leaves nothing behind."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="networks need the extra torch")
pytest.importorskip("transformers", reason="networks need the extra torch")
pytest.importorskip("pytorch_metric_learning", reason="fine-tuning needs the extra torch")

import torch

from imagefinder import ImageFinder, errors
from imagefinder.adapt import Plan, Tuning, fine_tune
from imagefinder.adapt.choose import AS_IT_IS
from imagefinder.adapt.fine_tuning import check_network
from imagefinder.models.description import FINE_TUNED, has_learned
from imagefinder.models.torch import load
from imagefinder.models.torch.training import Trainer
from tests.commands import Run
from tests.faint_classes import found_right
from tests.small_networks import SIDE, save_network
from tests.toy_models import write_model

pytestmark = pytest.mark.torch

CLASSES = ("amber", "green", "grey", "teal")
EACH = 40
FAINT = 6  # of 255, beside lights and shadows of any strength
QUICK = Tuning(epochs=8, learning_rate=3e-3, batch=32, device="cpu")
SHORT = replace(QUICK, epochs=1)


def write_tints(folder: Path, *, seed: int = 1, each: int = EACH) -> None:
    """Pictures of light and shadow, whose class is a faint tint all over them."""
    numbers = np.random.default_rng(seed)
    for place, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        tint = FAINT * np.array([2 * (place & 1) - 1, 0, 2 * (place >> 1) - 1])
        for number in range(each):
            lights = Image.fromarray(numbers.integers(30, 226, (4, 4)).astype(np.uint8))
            light = np.asarray(lights.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
            picture = Image.fromarray((light[:, :, None] + tint).clip(0, 255).astype(np.uint8))
            picture.save(folder / name / f"{number:02}.png")


@pytest.fixture(scope="module")
def tints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in directories of classes, indexed by a network of random weights."""
    home = tmp_path_factory.mktemp("tints")
    write_tints(home / "photos")
    save_network("vit", home / "net")
    with ImageFinder.open(home / "c", model=str(home / "net")) as finder:
        finder.index(home / "photos")
    return home


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For networks this small, threads that wait for each other take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digest(folder: Path) -> str:
    return sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_network_learns_what_it_did_not_see(tints: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with ImageFinder.open(tints / "c") as finder:
        found = fine_tune(
            finder,
            tints / "photos",
            tuning=QUICK,
            on_progress=lambda *progress: told.append(progress),
        )
        assert found.kept
        assert (found.base, found.space, found.skipped) == ("net", "net-tuned", ())
        assert (found.kind, found.measure) == ("images of 4 classes", "mAP")
        assert (found.train, found.test) == (112, 48)
        assert found.before.value < 0.5  # by chance it is 0.25
        assert found.after.value > 0.9
        assert found.difference.low > 0.3
        assert found.operating.precision > 0.8
        names = [one.name for one in found.tried]
        assert names[0] == found.method != AS_IT_IS
        assert names[-1] == AS_IT_IS
        assert told[0] == (1, 8)
        assert (8, 8) in told or len(found.tried) < 9
        assert told[-1] == (160, 160)

        # nothing changes for who does not want it, and who does searches right by it
        assert finder.status().model == "net"
        states = {state.name: state for state in finder.spaces()}
        assert (states["net-tuned"].images, states["net-tuned"].behind) == (160, 0)
        new = tints / "new"
        write_tints(new, seed=99, each=3)
        right = found_right(finder, new, CLASSES, ["net", "net-tuned"])
        assert right["net-tuned"] >= 18 > 14 > right["net"]

        assert found.folder is not None
        assert has_learned(found.folder)
        description = json.loads((found.folder / FINE_TUNED).read_text())
        assert description["threshold"] == found.operating.threshold
        assert description["facts"]["mAP after"] == pytest.approx(found.after.value)
        assert description["facts"]["batch"] == 32
        # whoever loads the model has the embeddings that are in the space
        model = load.load_torch(str(found.folder), name="again", device="cpu")
        pixels = np.asarray(Image.open(tints / "photos" / "teal" / "03.png").convert("RGB"))
        (row,) = model.embed(model.preprocess(pixels)[None])
        kept = finder.embeddings(["teal/03.png"], space="net-tuned")["teal/03.png"]
        assert np.dot(row, kept) / np.linalg.norm(row) / np.linalg.norm(kept) > 0.9999

        finder.drop_space("net-tuned")
        assert finder.status().spaces == ("net",)


def test_the_same_seed_gives_the_same_network(tints: Path, tmp_path: Path) -> None:
    with ImageFinder.open(tints / "c") as finder:
        found = []
        tuning = replace(QUICK, epochs=2)
        for name, seed in (("first", 0), ("second", 0), ("third", 1)):
            folder = tmp_path / name
            plan = Plan(seed=seed)
            found.append(
                fine_tune(finder, tints / "photos", plan=plan, tuning=tuning, folder=folder)
            )
            finder.drop_space(name)
    first, second, third = (digest(tmp_path / name) for name in ("first", "second", "third"))
    assert first == second != third
    assert found[0].difference == found[1].difference
    assert digest(tints / "net") not in {first, third}


def test_noise_is_refused(tints: Path, tmp_path: Path) -> None:
    numbers = np.random.default_rng(7)
    with ImageFinder.open(tints / "c") as finder:
        rows = [f"{record.id},{numbers.choice(['x', 'y', 'z'])}" for record in finder.images()]
        table = tmp_path / "noise.csv"
        table.write_text("id,label\n" + "\n".join(rows) + "\n")
        there = left_in(tints / "c" / "models")
        found = fine_tune(finder, table, tuning=QUICK, name="noise")
        assert not found.kept
        assert (found.space, found.folder) == (None, None)
        assert not fine_tune(finder, table, tuning=SHORT, folder=tmp_path / "deep" / "x").kept
        assert finder.status().spaces == ("net",)
    assert left_in(tints / "c" / "models") == there
    assert left_in(tmp_path) == ["noise.csv"]


def test_what_cannot_be_read_is_left_out(tints: Path, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(tints / "photos", tmp_path / "photos"))
    with ImageFinder.open(tmp_path / "c", model=str(tints / "net")) as finder:
        finder.index(photos)
        (photos / "amber" / "00.png").unlink()
        (photos / "green" / "01.png").write_bytes(b"no picture any more")
        shutil.copy(photos / "teal" / "02.png", photos / "grey" / "02.png")  # another picture
        table = tmp_path / "labels.csv"
        lines = [f"{record.id},{record.id.split('/')[0]}" for record in finder.images()]
        table.write_text("id,label\n" + "\n".join(lines) + "\n")
        found = fine_tune(finder, table, tuning=QUICK)
        assert found.kept
        assert found.train + found.test == 157
        reasons = {one.id: one.reason for one in found.skipped}
        assert sorted(reasons) == ["amber/00.png", "green/01.png", "grey/02.png"]
        assert all("changed" in reasons[id] for id in ("green/01.png", "grey/02.png"))

        shutil.rmtree(photos)
        with pytest.raises(errors.SourceError, match="labelled images cannot be read, such as"):
            fine_tune(finder, table, tuning=SHORT, name="gone")
    assert left_in(tmp_path / "c" / "models") == ["net-tuned"]


@pytest.mark.parametrize("when", ["learning", "writing", "filling"])
def test_what_is_interrupted_leaves_nothing(
    when: str, tints: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    tuning = replace(QUICK, epochs=2)
    with ImageFinder.open(tints / "c") as finder:
        if when == "learning":
            monkeypatch.setattr(Trainer, "learn", interrupted)
        elif when == "writing":
            monkeypatch.setattr("imagefinder.models.torch.saving.shutil.copyfile", interrupted)
        else:
            monkeypatch.setattr(finder, "add_space", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(finder, tints / "photos", tuning=tuning, folder=tmp_path / "deep" / "tuned")
        assert finder.status().spaces == ("net",)
    assert not (tmp_path / "deep" / "tuned").exists()
    assert left_in(tmp_path / "deep") == []


def test_a_network_that_is_lost_is_told(tints: Path) -> None:
    tuning = Tuning(epochs=3, learning_rate=0.99, batch=32, device="cpu")
    with ImageFinder.open(tints / "c") as finder:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "imagefinder.models.torch.training.supervised_contrastive",
                lambda rows, classes: (rows * float("inf")).sum(),
            )
            with pytest.raises(errors.UsageError, match=r"lost at a learning rate of 0\.99"):
                fine_tune(finder, tints / "photos", tuning=tuning, name="lost")
        assert finder.status().spaces == ("net",)


def test_what_cannot_be_is_told(tints: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "toy")
    with ImageFinder.open(tints / "c") as finder:
        finder.add_space(str(tmp_path / "toy"))
        finder.add_space(str(tints / "net"), distance="euclidean")
        pairs = tmp_path / "liked.csv"
        pairs.write_text("query,id,liked\namber/00.png,amber/01.png,1\n")

        def reason(labels: Path = tints / "photos", **options: object) -> str:
            with pytest.raises(errors.UsageError) as raised:
                fine_tune(finder, labels, tuning=SHORT, **options)  # type: ignore[arg-type]
            return str(raised.value)

        assert "a graph without what learning needs" in reason(space="toy")
        assert "imagefinder models add FOLDER" in reason(space="toy")
        assert "compares by euclidean" in reason(space="net-euclidean")
        assert "liked.csv: these are judged pairs" in reason(pairs)
        assert "there is such a space already" in reason(name="toy")
        assert "there is one already" in reason(folder=tints / "photos")
        finder.drop_space("toy")
        finder.drop_space("net-euclidean")


def test_a_built_in_space_and_an_adapted_one_are_refused(tints: Path, tmp_path: Path) -> None:
    with ImageFinder.open(tints / "c") as finder:
        state = next(state for state in finder.spaces() if state.name == "net")
    check_network(state)
    with pytest.raises(errors.UsageError, match=r"lite: its model .* is a graph.* --space NAME"):
        check_network(replace(state, name="lite", model="efficientnet-lite0"))
    (tmp_path / "adapted.json").write_text("{}")
    with pytest.raises(errors.UsageError, match="oaks: its model is a projection"):
        check_network(replace(state, name="oaks", model=str(tmp_path)))


def test_what_is_missing_is_told(tints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        load, "find_spec", lambda name: None if name == "pytorch_metric_learning" else name
    )
    with (
        ImageFinder.open(tints / "c") as finder,
        pytest.raises(errors.MissingExtraError, match=r"fine-tuning needs: .*imagefinder\[torch\]"),
    ):
        fine_tune(finder, tints / "photos", tuning=SHORT)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"learning_rate": float("nan")}, "--learning-rate nan"),
        ({"batch": 3}, "--batch 3"),
    ],
)
def test_a_tuning_that_cannot_be_is_told(options: dict[str, object], reason: str) -> None:
    with pytest.raises(errors.UsageError, match=reason):
        Tuning(**options)  # type: ignore[arg-type]


def test_a_person_tunes_and_takes_back(tints: Path, cli: Run, tmp_path: Path) -> None:
    labels = ("adapt", tints / "photos", "-c", tints / "c", "--device", "cpu")
    steps = ("--fine-tune", "--epochs", "5", "--learning-rate", "3e-3", "--batch", "32")
    code, out, err = cli(*labels, *steps, "--output", tmp_path / "tuned", "--json")
    found = json.loads(out)
    assert (code, found["kept"], found["space"]) == (0, True, "tuned")
    assert found["tried"][found["method"]] == max(found["tried"].values())
    assert found["skipped"] == []
    assert cli("models", "drop", "tuned", "-c", tints / "c", "--yes")[0] == 0

    code, out, err = cli("models", "add", tmp_path / "tuned", "-c", tints / "c")
    assert code == 0
    code, out, err = cli(*labels, *steps[:1], "--epochs", "1", "--learning-rate", "1e-9")
    assert code == 1
    assert "learned from 112 images of 4 classes, tested on 48 others (seed 0)" in err
    assert "fine-tuning, 1 epoch" in out
    assert "not kept: " in err
    assert cli("models", "drop", "tuned", "-c", tints / "c", "--yes")[0] == 0

    code, _, err = cli(*labels, "--epochs", "3", "--learning-rate", "1e-3")
    assert code == 2
    assert "--epochs, --learning-rate: only a network is trained like that" in err
