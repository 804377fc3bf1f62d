"""The library's front door: searching, reading, upkeep."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from imagefinder import (
    Box,
    IdPart,
    ImageFinder,
    ImagePart,
    Query,
    Skipped,
    TextPart,
    errors,
)
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, write_pictures

NAMES = [f"{number:02}.png" for number in range(30)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_pictures(folder, NAMES)
    return folder


@pytest.fixture(scope="module")
def finder(photos: Path) -> Iterator[ImageFinder]:
    """For tests that only read."""
    where = photos.parent / "collection-of-finder-tests"
    with ImageFinder.open(where, embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        yield finder


def test_a_picture_finds_itself_first(finder: ImageFinder, photos: Path) -> None:
    for name in NAMES[:5]:
        hits = finder.search(photos / name, k=4)
        assert hits[0].id == name
        assert hits[0].score == pytest.approx(1.0, abs=1e-5)
        assert len({hit.id for hit in hits}) == 4
        assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_every_form_of_a_query_finds_the_same_image(finder: ImageFinder, photos: Path) -> None:
    path = photos / NAMES[3]
    image = Image.open(path)
    forms = [path, str(path), path.read_bytes(), image, np.asarray(image), "id:" + NAMES[3]]
    assert [finder.search(form, k=1)[0].id for form in forms] == [NAMES[3]] * len(forms)


def test_path_and_bytes_give_exactly_the_same_embedding(finder: ImageFinder, photos: Path) -> None:
    path = photos / NAMES[3]
    assert np.array_equal(finder.embed(path), finder.embed(path.read_bytes()))


def test_scores_are_cosine_similarities(finder: ImageFinder, photos: Path) -> None:
    query = finder.embed(photos / NAMES[0])
    for hit in finder.search(photos / NAMES[0], k=30):
        assert hit.score == pytest.approx(float(query @ finder.embed(hit.uri)), abs=1e-5)


def test_several_queries_search_with_their_mean(finder: ImageFinder) -> None:
    first, second = finder.embed("id:00.png"), finder.embed("id:01.png")
    mean = (first + second) / np.linalg.norm(first + second)
    assert np.allclose(finder.embed(["id:00.png", "id:01.png"]), mean, atol=1e-6)
    assert {h.id for h in finder.search(["id:00.png", "id:01.png"], k=2)} == {"00.png", "01.png"}


def test_a_negative_weight_searches_away(finder: ImageFinder) -> None:
    away = Query((IdPart("00.png"), IdPart("01.png", weight=-0.5)))
    scores = {hit.id: hit.score for hit in finder.search(away, k=30)}
    plain = {hit.id: hit.score for hit in finder.search("id:00.png", k=30)}
    assert scores["01.png"] < plain["01.png"]


def test_parts_that_cancel_out_are_refused(finder: ImageFinder) -> None:
    query = Query((IdPart("00.png"), IdPart("00.png", weight=-1)))
    with pytest.raises(errors.UsageError, match="cancel out"):
        finder.search(query)


def test_a_box_searches_with_a_part(finder: ImageFinder, photos: Path) -> None:
    wide = Image.new("RGB", (80, 30), "white")
    wide.paste(Image.open(photos / NAMES[4]), (40, 0))
    right_half = Query((ImagePart(wide, box=Box(0.5, 0, 0.5, 1)),))
    assert finder.search(right_half, k=1)[0].id == NAMES[4]


def test_a_box_on_an_image_of_the_collection(finder: ImageFinder, photos: Path) -> None:
    box = Box(0.5, 0, 0.5, 1)
    part = Query((IdPart("04.png", box=box),))
    expected = finder.embed(Query((ImagePart(photos / NAMES[4], box=box),)))
    assert np.array_equal(finder.embed(part), expected)
    assert not np.allclose(expected, finder.embed("id:04.png"), atol=0.1)


def test_a_box_on_an_image_whose_file_is_gone_or_spoilt(tmp_path: Path) -> None:
    write_pictures(tmp_path / "p", ["gone.png", "spoilt.png", "there.png"])
    with ImageFinder.open(tmp_path / "c", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "p")
        (tmp_path / "p" / "gone.png").unlink()
        (tmp_path / "p" / "spoilt.png").write_text("no image")
        for name, kind, words in (
            ("gone.png", errors.FetchError, "^gone.png: the image's file cannot be read any more$"),
            ("spoilt.png", errors.ImageError, "^spoilt.png: not an image"),
        ):
            with pytest.raises(kind, match=words):
                finder.search(Query((IdPart(name, box=Box(0, 0, 1, 0.5)),)))
            assert finder.search(f"id:{name}", k=1)[0].id == name  # by its embedding


def test_a_box_outside_the_image_is_refused(finder: ImageFinder, photos: Path) -> None:
    with pytest.raises(errors.UsageError, match="box"):
        finder.search(Query((ImagePart(photos / NAMES[4], box=Box(1.5, 0, 0.5, 1)),)))


def test_text_needs_a_model_with_a_text_side(finder: ImageFinder) -> None:
    with pytest.raises(errors.ModelError, match="no text side"):
        finder.search(Query((TextPart("a cat"),)))
    with pytest.raises(errors.ModelError, match="no text side"):
        finder.search("text:a cat")


def test_k_is_kept_under_a_filter(finder: ImageFinder) -> None:
    hits = finder.search("id:00.png", k=5, filter='id >= "20"')
    assert len(hits) == 5
    assert all(hit.id >= "20" for hit in hits)
    assert len(finder.search("id:00.png", k=50, filter='id >= "20"')) == 10


def test_a_filter_on_uri_sees_where_the_image_is(finder: ImageFinder, photos: Path) -> None:
    hits = finder.search("id:00.png", k=50, filter=f'uri contains "{photos.name}/1"')
    assert {hit.id for hit in hits} == set(NAMES[10:20])


@pytest.mark.parametrize("k", [0, -1, 10**9])
def test_a_k_that_makes_no_sense_is_refused(finder: ImageFinder, k: int) -> None:
    with pytest.raises(errors.UsageError, match="k is"):
        finder.search("id:00.png", k=k)


def test_more_hits_than_images(finder: ImageFinder) -> None:
    assert len(finder.search("id:00.png", k=1000)) == 30
    assert len(finder.search("id:00.png", k=1000, exact=True)) == 30


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("id:nobody", errors.ImageNotFoundError, "no image of the collection has this id"),
        ("no/such/file.jpg", errors.FetchError, "no such file"),
        ("00.png", errors.FetchError, "the image of the collection is id:00.png"),
        (b"no image at all", errors.ImageError, "not an image"),
        (b"", errors.ImageError, "empty"),
        ([], errors.UsageError, "empty"),
        (None, errors.UsageError, "cannot be a NoneType"),
        (np.zeros((4, 4, 7), np.uint8), errors.UsageError, "array"),
    ],
)
def test_a_bad_query_says_what_is_wrong(
    finder: ImageFinder, query: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        finder.search(query)  # type: ignore[arg-type]


def test_search_many_answers_in_order(finder: ImageFinder, photos: Path) -> None:
    many = finder.search_many((photos / name for name in NAMES), k=2)
    assert [hits[0].id for hits in many] == NAMES


def test_search_many_can_go_on_past_a_bad_query(finder: ImageFinder, photos: Path) -> None:
    queries = [photos / NAMES[0], b"bad", photos / NAMES[1]]
    with pytest.raises(errors.ImageError):
        finder.search_many(queries, k=1)
    told: list[Skipped] = []
    many = finder.search_many(queries, k=1, on_skipped=told.append)
    assert [[hit.id for hit in hits] for hits in many] == [[NAMES[0]], [], [NAMES[1]]]
    assert [skipped.id for skipped in told] == ["1"]


def test_ties_are_ordered_by_id(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "x.png")
    data = (tmp_path / "x.png").read_bytes()
    (tmp_path / "photos").mkdir()
    for name in ("d", "a", "c", "b"):
        (tmp_path / "photos" / f"{name}.png").write_bytes(data)
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "photos")
        assert [h.id for h in finder.search(tmp_path / "x.png", k=3)] == ["a.png", "b.png", "c.png"]


def test_searches_from_many_threads(finder: ImageFinder, photos: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        hits = pool.map(lambda name: finder.search(photos / name, k=1)[0].id, NAMES * 4)
        assert list(hits) == NAMES * 4


def test_a_collection_is_searchable_while_it_is_indexed(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", NAMES)
    write_pictures(tmp_path / "more", [f"more-{n:03}.png" for n in range(600)], first=100)
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "photos")
        indexing = Thread(target=finder.index, args=(tmp_path / "more",))
        indexing.start()
        searches = 0
        while indexing.is_alive() or not searches:
            name = NAMES[searches % 30]
            assert finder.search(f"id:{name}", k=1)[0].id == name
            searches += 1
        indexing.join()
        assert len(finder) == 630


def test_reading_never_creates(tmp_path: Path) -> None:
    with ImageFinder.open(tmp_path / "nothing") as finder:
        for read in (
            finder.status,
            finder.skipped,
            lambda: finder.search("id:a"),
            lambda: len(finder),
        ):
            with pytest.raises(errors.CollectionNotFoundError, match="there is no such collection"):
                read()
    assert not (tmp_path / "nothing").exists()


def test_a_directory_of_other_things_is_refused(photos: Path) -> None:
    with pytest.raises(errors.CollectionError, match="neither empty nor a collection"):
        ImageFinder.open(photos)


def test_a_second_opener_is_told_who_holds_the_collection(tmp_path: Path, photos: Path) -> None:
    where = tmp_path / "collection"
    with ImageFinder.open(where, embedder=FakeEmbedder()) as first:
        first.index(photos)
        with pytest.raises(
            errors.CollectionInUseError, match="this program has the collection open"
        ):
            len(ImageFinder.open(where))
    with ImageFinder.open(where, embedder=FakeEmbedder()) as again:
        assert len(again) == 30


def test_another_model_is_refused_with_the_way_out(tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
    with ImageFinder.open(tmp_path / "collection", model="efficientnet-lite0") as finder:
        with pytest.raises(errors.ModelMismatchError, match="holds embeddings of fake"):
            finder.search("id:00.png")
        with pytest.raises(
            errors.ModelMismatchError, match="imagefinder models add efficientnet-lite0"
        ):
            finder.index(photos)


def test_another_version_of_the_model_is_refused(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
    newer = FakeEmbedder()
    monkeypatch.setattr(newer, "spec", replace(newer.spec, sha256="fake-2"))
    with (
        ImageFinder.open(tmp_path / "collection", embedder=newer) as finder,
        pytest.raises(errors.ModelMismatchError, match="another version of fake"),
    ):
        finder.index(photos)


def test_removed_images_are_gone_and_come_back_with_their_source(
    tmp_path: Path, photos: Path
) -> None:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        assert finder.remove(["00.png", "01.png", "nobody"]) == 2
        assert len(finder) == 28
        assert "00.png" not in {hit.id for hit in finder.search(photos / "00.png", k=30)}
        assert finder.index(photos).added == 2


def test_images_follow_their_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "old", ["a.png", "trip/b.png"])
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "old")
        (tmp_path / "old").rename(tmp_path / "new")
        assert finder.relocate(tmp_path / "old", tmp_path / "new") == 1
        assert finder.get("trip/b.png").uri == str(tmp_path / "new" / "trip" / "b.png")
        assert finder.index(tmp_path / "new").unchanged == 2
        with pytest.raises(errors.UsageError, match="no images"):
            finder.relocate(tmp_path / "elsewhere", tmp_path / "new")
        with pytest.raises(errors.SourceError, match="no such file or folder"):
            finder.relocate(tmp_path / "new", tmp_path / "nowhere")


def test_images_that_a_table_names_by_absolute_path_follow_too(tmp_path: Path) -> None:
    write_pictures(tmp_path / "old", ["a.png"])
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "t.csv"
    table.write_text(f"id,path\n1,{tmp_path}/old/a.png\n")
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(table)
        (tmp_path / "old").rename(tmp_path / "new")
        finder.relocate(tmp_path / "old", tmp_path / "new")
        assert finder.get("1").uri == str(tmp_path / "new" / "a.png")


def test_export_and_import_carry_embeddings_over(tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
        assert finder.export(tmp_path / "out.npz") == 30
        before = finder.search("id:03.png", k=5)
    with ImageFinder.open(tmp_path / "other") as finder:
        report = finder.import_embeddings(tmp_path / "out.npz", space="taken-over")
        assert (report.space, report.added, report.updated) == ("taken-over", 30, 0)
        after = finder.search("id:03.png", k=5)
        assert [h.id for h in after] == [h.id for h in before]
        assert [h.score for h in after] == pytest.approx([h.score for h in before], abs=1e-6)
        assert [h.uri for h in after] == [h.uri for h in before]
        assert finder.status().model == "taken-over"
        again = finder.import_embeddings(tmp_path / "out.npz", space="taken-over")
        assert (again.added, again.updated) == (0, 30)
        with pytest.raises(errors.ModelError, match="search with id:ID"):
            finder.search(photos / "03.png")


def test_images_are_listed_by_id_and_in_pages(finder: ImageFinder) -> None:
    assert [record.id for record in finder.images()] == NAMES
    assert [record.id for record in finder.images(after="27.png")] == ["28.png", "29.png"]
    assert [record.id for record in finder.images(filter='id < "03"')] == NAMES[:3]


def test_status_counts(finder: ImageFinder, photos: Path) -> None:
    status = finder.status()
    assert (status.model, status.dim) == ("fake", 48)
    assert (status.images, status.skipped) == (30, 0)
    assert status.sources == (str(photos),)
    assert status.disk_bytes > 0


def test_an_encoded_image_in_memory(finder: ImageFinder) -> None:
    buffer = BytesIO()
    picture(5).save(buffer, "PNG")
    assert finder.search(buffer.getvalue(), k=1)[0].id == NAMES[5]


def test_relocating_through_links(tmp_path: Path) -> None:
    """The roots of sources have no links in them, so what a user calls them has to be resolved."""
    write_pictures(tmp_path / "disk" / "old", ["a.png"])
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(tmp_path / "link" / "old")
        (tmp_path / "disk" / "old").rename(tmp_path / "disk" / "new")
        finder.relocate(tmp_path / "link" / "old", tmp_path / "link" / "new")
        assert finder.index(tmp_path / "link" / "new").unchanged == 1
        # a link left where the folder was
        (tmp_path / "disk" / "new").rename(tmp_path / "disk" / "newest")
        (tmp_path / "disk" / "new").symlink_to("newest")
        finder.relocate(tmp_path / "disk" / "new", tmp_path / "disk" / "newest")
        assert finder.index(tmp_path / "disk" / "newest").unchanged == 1
        assert finder.status().sources == (str(tmp_path / "disk" / "newest"),)


def test_embeddings_in_several_files_go_into_one_space(tmp_path: Path) -> None:
    for name, ids in {"1": ["a", "b"], "2": ["b", "c"]}.items():
        rows = np.eye(2, 4, dtype=np.float32)
        np.savez(tmp_path / f"{name}.npz", ids=np.array(ids), embeddings=rows)
    with ImageFinder.open(tmp_path / "collection") as finder:
        with pytest.raises(errors.TransferError):
            finder.import_embeddings(tmp_path / "missing.npz")
        assert not (tmp_path / "collection").exists()
        assert finder.import_embeddings(tmp_path / "1.npz", space="old").added == 2
        report = finder.import_embeddings(tmp_path / "2.npz", space="old")
        assert (report.added, report.skipped) == (1, 1)
        assert finder.get("a").uri == ""  # not the folder of the file


def test_exporting_with_a_model_that_has_no_space(tmp_path: Path, photos: Path) -> None:
    with ImageFinder.open(tmp_path / "collection", embedder=FakeEmbedder()) as finder:
        finder.index(photos)
    with (
        ImageFinder.open(tmp_path / "collection", model="efficientnet-lite0") as finder,
        pytest.raises(errors.ModelMismatchError),
    ):
        finder.export(tmp_path / "out.csv")
