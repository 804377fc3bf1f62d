"""MLflow without a server: digests, addresses, registered collections that are opened."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from imagefinder import ImageFinder
from imagefinder.errors import ImageFinderError, UsageError
from imagefinder.home import ClusterPlace, is_registered, place_of
from imagefinder.labels import Judgements, read_labels
from imagefinder.models.description import Description, read_description
from imagefinder.models.projected import Projection, save_adapted
from imagefinder.serve.options import Key, ServeOptions
from imagefinder.testing import FakeEmbedder
from imagefinder.tracking.contents import BACKUP, Contents, read_contents
from imagefinder.tracking.digest import digest_of, labelled, learned_from
from imagefinder.tracking.gathering import gather
from imagefinder.tracking.opening import open_folder
from imagefinder.tracking.opening import place_of as place_from
from imagefinder.tracking.runs import legal
from imagefinder.tracking.server import connect, patient, told
from tests.commands import Run
from tests.pictures import picture, write_pictures
from tests.serving import served
from tests.toy_models import write_model

NAMES = [f"{kind}/{number}.png" for kind in ("ash", "elm") for number in range(3)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "photos", NAMES)
    return tmp_path / "photos"


@pytest.fixture
def shop(tmp_path: Path, photos: Path) -> Path:
    """A collection by a model in a folder outside, with an upload."""
    write_model(tmp_path / "toy", dim=16)
    with ImageFinder.open(tmp_path / "shop", model=str(tmp_path / "toy")) as finder:
        finder.index(photos)
    return tmp_path / "shop"


def test_the_digest_knows_no_order_and_sees_every_change() -> None:
    images = [("a", "1", "ash"), ("b", "2", "elm"), ("c", "3", None)]
    digest = digest_of(images)
    assert digest == digest_of(reversed(images))
    assert len(digest) == 36
    others = [("a", "1", "elm"), ("a", "9", "ash"), ("z", "1", "ash")]
    assert len({digest, *(digest_of([other, *images[1:]]) for other in others)}) == 4
    assert digest_of(images[:2]) != digest


def test_the_same_images_with_the_same_labels_have_one_digest(tmp_path: Path) -> None:
    for folder, names in ("one", NAMES), ("two", NAMES[::-1]):
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(NAMES.index(name)).save(path)
    found = []
    for folder in ("one", "two"):
        with ImageFinder.open(tmp_path / f"c-{folder}", embedder=FakeEmbedder()) as finder:
            finder.index(tmp_path / folder)
            judgements = read_labels(tmp_path / folder, finder)
            found.append(labelled(finder, judgements, str(tmp_path / folder), "c"))
            assert learned_from(finder, tmp_path / folder, None, "c") == found[-1]
            classes = {**judgements.classes, NAMES[0]: "elm"}
            contents = {record.id: record.sha256 for record in finder.images()}
            other = Judgements.of_classes(classes, contents)
            assert labelled(finder, other, None, "c").digest != found[-1].digest
            picture(99).save(tmp_path / folder / NAMES[0])  # another image by the same name
            finder.index(tmp_path / folder)
            judgements = read_labels(tmp_path / folder, finder)
            assert labelled(finder, judgements, None, "c").digest != found[-1].digest
    assert found[0].digest == found[1].digest
    assert (found[0].name, found[0].images, found[0].classes) == ("one", 6, 2)


def test_a_ground_truth_and_judged_pairs_have_digests_of_their_own(
    tmp_path: Path, photos: Path
) -> None:
    truth, pairs = tmp_path / "truth.csv", tmp_path / "pairs.csv"
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        digests = []
        for answer in ("ash/1.png", "ash/2.png"):
            truth.write_text(f"query,relevant\nash/0.png,{answer}\n")
            judgements = read_labels(truth, finder)
            digests.append(labelled(finder, judgements, str(truth), "c").digest)
        for liked in (1, 0):
            pairs.write_text(f"query,id,liked\nash/0.png,elm/1.png,{liked}\n")
            data = learned_from(finder, pairs, None, "c")
            assert (data.name, data.images, data.classes) == ("pairs.csv", 2, 0)
            digests.append(data.digest)
    assert len(set(digests)) == 4


def test_names_of_metrics_are_such_as_mlflow_takes() -> None:
    assert legal("P@5") == "P_at_5"
    assert legal("F0.5@10") == "F0.5_at_10"
    assert legal("mAP_a,b:c") == "mAP_a_b_c"


def test_registered_collections_are_told_from_directories(tmp_path: Path) -> None:
    assert is_registered("models:/shop/1")
    assert is_registered("models:/shop@champion")
    assert not is_registered("./models:/shop/1")
    assert not is_registered("models/shop")
    with pytest.raises(UsageError, match="does not change"):
        place_of("models:/shop/1")


def test_without_an_address_nothing_is_written(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for command in (("track", "register", "shop", "-c", "./c"), ("status", "-c", "models:/shop/1")):
        code, _, err = cli(*command)
        assert code == 2
        assert "MLFLOW_TRACKING_URI" in err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_told_first(cli: Run, photos: Path) -> None:
    code, out, err = cli("evaluate", photos, "--track", "http://me:geheim@127.0.0.1:9")
    assert code == 1
    assert out == ""
    assert err == (
        "error: http://127.0.0.1:9: no MLflow server answers there; start it (mlflow server), or"
        " check the address\n"
    )


def test_without_the_extra_it_says_what_to_install(
    cli: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    code, _, err = cli("evaluate", photos, "--track", "http://127.0.0.1:9")
    assert code == 1
    assert err == "error: tracking needs: pip install 'imagefinder[mlflow]'\n"


def test_no_secret_is_told() -> None:
    uri = "https://me:a%40b,c@host/x"
    error = ValueError(f"cannot {uri} with a@b,c and a%40b,c")
    assert told(error, uri, "https://host/x") == "cannot https://host/x with *** and ***"
    with pytest.raises(ImageFinderError) as raised:
        connect("nosuch://me:geheim@host/x")
    assert "geheim" not in str(raised.value)


def test_what_the_environment_says_of_patience_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with patient(retries=2, seconds=3):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.fixture
def registered(shop: Path, tmp_path: Path) -> Path:
    """What a registered model would hold of the shop, which is gone now, as its model is."""
    folder = tmp_path / "registered"
    folder.mkdir()
    gather(str(shop), None, folder)
    for name in ("shop", "toy", "photos"):
        (tmp_path / name).rename(tmp_path / f"old-{name}")
    return folder


@pytest.fixture
def finder(registered: Path) -> Iterator[ImageFinder]:
    with open_folder(registered, "models:/shop/1") as finder:
        yield finder


def test_a_registered_collection_answers_where_its_model_and_images_are_not(
    finder: ImageFinder,
) -> None:
    assert len(finder) == 6
    for hit in (finder.search(picture(4), k=1)[0], finder.search("id:elm/1.png", k=1)[0]):
        assert hit.id == "elm/1.png"
        assert hit.score > 0.99
    assert finder.status().collection == "models:/shop/1"


@pytest.mark.parametrize(
    "change",
    [
        lambda finder: finder.index("photos"),
        lambda finder: finder.add([]),
        lambda finder: finder.remove(["ash/0.png"]),
        lambda finder: finder.update_metadata("ash/0.png", {"a": 1}),
        lambda finder: finder.relocate("a", "b"),
        lambda finder: finder.import_embeddings("a.npz"),
        lambda finder: finder.add_space("efficientnet-lite0"),
        lambda finder: finder.use_space("toy"),
        lambda finder: finder.drop_space("toy"),
    ],
)
def test_a_registered_collection_does_not_change(finder: ImageFinder, change) -> None:
    with pytest.raises(UsageError, match="register a new version"):
        change(finder)
    assert len(finder) == 6


def test_every_opening_has_a_copy_of_its_own(registered: Path) -> None:
    with open_folder(registered, "a") as one, open_folder(registered, "b") as other:
        copies = [Path(one.status().path), Path(other.status().path)]
        assert copies[0] != copies[1]
        assert one.search("id:ash/0.png", k=2)[1].id == other.search("id:ash/0.png", k=2)[1].id
    assert not any(copy.exists() for copy in copies)


def test_an_adapted_space_finds_the_model_that_it_was_made_of(shop: Path, tmp_path: Path) -> None:
    with ImageFinder.open(shop) as finder:
        base = next(state for state in finder.spaces())
        fingerprint = finder.collection.ledger.spaces.entries()[base.name].fingerprint
        turned = Projection(np.zeros(16, np.float32), np.eye(16, 8, dtype=np.float32))
        for place in (finder.models_folder / "within", tmp_path / "outside"):
            save_adapted(place, Description(base.model, fingerprint, "turned", 0.5), turned)
            finder.add_space(str(place))
        wanted = {
            space: finder.search(picture(2), k=3, space=space) for space in ("within", "outside")
        }
    folder = tmp_path / "registered"
    folder.mkdir()
    gathered = gather(str(shop), None, folder)
    assert sorted(gathered.contents.models.values()) == [
        "collection:models/within",
        "models/0/toy",
        "models/2/outside",
    ]
    for name in ("shop", "toy", "outside"):
        (tmp_path / name).rename(tmp_path / f"old-{name}")
    with open_folder(folder, "models:/shop/1") as opened:
        for space, hits in wanted.items():
            found = opened.search(picture(2), k=3, space=space)
            assert [hit.id for hit in found] == [hit.id for hit in hits]
            assert [hit.score for hit in found] == pytest.approx([hit.score for hit in hits])
    assert read_description(folder / "models/2/outside").base == base.model  # as it was


def test_a_model_that_is_not_here_is_noted(tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
    folder = tmp_path / "registered"
    folder.mkdir()
    (note,) = gather(str(tmp_path / "c"), None, folder).notes
    assert note.startswith("fake: its model (fake) is not here")
    with open_folder(folder, "r") as finder:
        assert finder.search("id:ash/0.png", k=1)[0].id == "ash/0.png"


def test_what_is_no_collection_of_ours_is_refused(tmp_path: Path, registered: Path) -> None:
    with pytest.raises(UsageError, match="is no collection"):
        open_folder(tmp_path, "models:/other/1")
    said = json.loads((registered / "registered.json").read_text())
    for place in ("../toy", "collection:../toy", str(tmp_path)):
        wrong = {**said, "models": {"x": place}}
        (registered / "registered.json").write_text(json.dumps(wrong))
        with pytest.raises(UsageError, match="is no collection"):
            open_folder(registered, "models:/shop/1")


def test_of_a_service_the_address_is_registered_without_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sixteen-letters-at-least"
    folder = tmp_path / "registered"
    folder.mkdir()
    options = ServeOptions(keys=(Key("reader", key),))
    with served(tmp_path / "served", options, key=key) as service:
        gathered = gather(service.url, key, folder)
        assert (gathered.contents.address, gathered.contents.images) == (service.url, 5)
        assert gathered.example == "animals/cat.png"
        assert key not in (folder / "registered.json").read_text()
        assert not (folder / BACKUP).exists()
        monkeypatch.setenv("IMAGEFINDER_API_KEY", key)
        with open_folder(folder, "r") as finder:
            assert finder.search("id:bird.png", k=1)[0].id == "bird.png"
            with pytest.raises(UsageError, match="does not change"):
                finder.remove(["bird.png"])
        assert len(service.finder) == 5


def test_of_a_cluster_the_address_is_opened_with_the_token_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents("shop", 3, "toy", "toy:1", "1", "milvus://127.0.0.1:9/shop")
    contents.write(tmp_path)
    assert read_contents(tmp_path, "r") == contents
    monkeypatch.setenv("IMAGEFINDER_MILVUS_TOKEN", "me:geheim")
    place = place_from(contents, tmp_path, "r", tmp_path, None)
    assert isinstance(place, ClusterPlace)
    assert (place.shown, place.address.token) == ("milvus://127.0.0.1:9/shop", "me:geheim")


def test_a_served_model_reads_no_file(registered: Path, tmp_path: Path) -> None:
    from imagefinder.tracking.served import ServedCollection

    secret = tmp_path / "secret.png"
    Image.new("RGB", (40, 30)).save(secret)
    model = ServedCollection()
    model.load_context(SimpleNamespace(artifacts={"registered": str(registered)}))
    asked = [str(secret), f"file://{secret}", "http://127.0.0.1:9/a.png", "id:ash/0.png", "id:no"]
    *refused, hits, unknown = model.predict(None, asked, {"k": 1, "filter": "", "space": ""})
    assert all(set(answer) == {"error"} for answer in (*refused, unknown))
    assert [(hit["id"], hit["uri"]) for hit in hits] == [("ash/0.png", "ash/0.png")]
    assert set(model.predict(None, ["id:ash/0.png"], {"k": 0})[0]) == {"error"}
    model.close()
