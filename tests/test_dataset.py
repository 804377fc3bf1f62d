"""Looking at a data set: what is counted, what is found twice, what cannot be read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import errors
from imagefinder.dataset import Description, describe
from imagefinder.dataset.gather import kind_of
from imagefinder.dataset.looks import Palette, Reservoir, look_of
from imagefinder.dataset.page import page_of
from imagefinder.sources import open_source
from imagefinder.testing import FakeEmbedder
from tests.pictures import picture, write_pictures


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of 3 and 2 images, one beside them; a copy, one that looks the same; a text and
    two that cannot be read."""
    folder = tmp_path / "photos"
    write_pictures(folder, ["cat/1.png", "cat/2.png", "dog/1.jpg", "loose.png"])
    shutil.copy(folder / "cat/1.png", folder / "cat/copy.png")
    picture(1).resize((400, 300), Image.Resampling.NEAREST).save(folder / "dog/other.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "web.png").write_text("<html>")
    (folder / "cut.jpg").write_bytes((folder / "dog/1.jpg").read_bytes()[:200])
    return folder


def described(where: Path, **options: object) -> Description:
    return describe(open_source(where), **options)  # type: ignore[arg-type]


def test_the_facts_of_a_folder(photos: Path) -> None:
    told: list[int] = []
    found = described(photos, on_progress=lambda done, total: told.append(done))
    assert found.images == 6
    assert found.formats == {"png": 5, "jpeg": 1}
    assert found.classes == {"cat": 3, "dog": 2}
    assert sorted(found.widths.tolist()) == [40, 40, 40, 40, 40, 400]
    assert sorted(found.heights.tolist()) == [30, 30, 30, 30, 30, 300]
    assert found.sizes.sum() == sum(
        path.stat().st_size for path in photos.rglob("*.*")
        if path.name not in ("notes.txt", "web.png", "cut.jpg")
    )  # fmt: skip
    assert [sorted(one.ids) for one in found.copies] == [["cat/1.png", "cat/copy.png"]]
    assert (found.surplus, found.ignored, found.skipped_count) == (1, 1, 2)
    assert found.reasons == {
        "not an image: the content is HTML": 1,
        "the JPEG is truncated": 1,
    }
    assert sorted(one.id for one in found.skipped) == ["cut.jpg", "web.png"]
    assert len(found.sample) == 6
    assert found.points is None
    assert told == list(range(1, 9))


def test_with_a_model_there_is_a_map_and_what_looks_the_same_is_found(photos: Path) -> None:
    embedder = FakeEmbedder()
    found = described(photos, embedder=embedder)
    assert embedder.calls == 6
    assert found.points is not None
    assert found.points.shape == (6, 2)
    assert found.method == "PCA"  # of fewer than ten
    [numbers] = found.same_looks  # not the copy, whose bytes are the same
    assert sorted(found.sample[number].id for number in numbers) == ["cat/2.png", "dog/other.png"]
    by_id = {one.id: point for one, point in zip(found.sample, found.points, strict=True)}
    assert np.allclose(by_id["cat/2.png"], by_id["dog/other.png"], atol=0.05)
    assert not np.allclose(by_id["cat/2.png"], by_id["loose.png"], atol=0.05)


def test_a_table_has_columns_and_labels_in_one(photos: Path) -> None:
    table = photos / "table.csv"
    table.write_text(
        "path,breed,weight,note\n"
        "cat/1.png,Manx,3.5,\n"
        "cat/2.png,Manx,4,shy\n"
        "dog/1.jpg,Husky,25,\n"
        "dog/none.jpg,Husky,25,\n"
        "too,many,fields,in,this\n"
    )
    found = described(table)
    assert found.classes == {"Manx": 2, "Husky": 1}
    columns = {column.name: column for column in found.columns}
    assert list(columns) == ["breed", "weight", "note"]
    assert (columns["weight"].numeric, columns["weight"].low, columns["weight"].high) == (
        True, 3.5, 25,
    )  # fmt: skip
    assert (columns["note"].filled, dict(columns["note"].values)) == (1, {"shy": 1})
    assert found.reasons == {"no such file": 1, "… fields where the header has …": 1}
    assert described(table, label="note").classes == {"shy": 1}
    with pytest.raises(errors.SourceError, match=r"no column kind .*there is: breed, weight, note"):
        described(table, label="kind")


def test_what_cameras_wrote(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "X100"
    exif.get_ifd(0x8769)[0x9003] = "2019:05:04 10:11:12"
    picture(1).save(tmp_path / "a.jpg", exif=exif)
    found = described(tmp_path)
    assert found.years == {2019: 1}
    assert list(found.cameras) == ["X100"]


@pytest.mark.parametrize(
    ("colour", "brightness", "colourfulness"),
    [((0, 0, 0), 0, 0), ((255, 255, 255), 1, 0), ((0, 255, 0), 0.7152, 1), ((255, 155, 255),
      0.2848 + 0.7152 * 155 / 255, 100 / 255)],
)  # fmt: skip
def test_light_and_colours(
    colour: tuple[int, int, int], brightness: float, colourfulness: float
) -> None:
    look = look_of(np.full((4, 4, 3), colour, dtype=np.uint8))
    assert look.brightness == pytest.approx(brightness)
    assert look.colourfulness == pytest.approx(colourfulness)


def test_the_palette_has_shares_of_all_pixels() -> None:
    palette = Palette()
    assert palette.shades() == []
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[0] = (250, 10, 10)  # a quarter; near enough to be one colour with the next
    pixels[1] = (254, 14, 14)
    palette.add(look_of(pixels))
    assert [(shade.colour, shade.share) for shade in palette.shades()] == [
        ((0, 0, 0), 0.5),
        ((252, 12, 12), 0.5),
    ]


def test_a_sample_is_drawn_evenly_and_again_the_same() -> None:
    counts = np.zeros(40)
    for seed in range(400):
        reservoir: Reservoir[int] = Reservoir(10, seed)
        for number in range(40):
            if (place := reservoir.place()) is not None:
                reservoir.put(place, number)
        counts[reservoir.all()] += 1
        assert len(reservoir.all()) == 10
    # each is drawn 100 times on average, with a standard deviation of 8.7
    assert counts.min() > 60
    assert counts.max() < 140


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("row 3 (line 4): no such file", "no such file"),
        ("row 7: not a valid URL: http://[x/y", "not a valid URL"),
        ("row 7: x:// is no known kind of address: x://y", "x:// is no known kind of address"),
        ("row 2 (line 3): 5 fields where the header has 3: a,b", "… fields where the header has …"),
        ("180.5 megapixels, the limit is 100", "… megapixels, the limit is …"),
        ("not an image: the content is HTML", "not an image: the content is HTML"),
    ],
)
def test_reasons_are_put_together(reason: str, kind: str) -> None:
    assert kind_of(reason) == kind


def test_the_report_shows_it(photos: Path) -> None:
    (photos / "<b>").mkdir()
    picture(9).save(photos / "<b>" / "x.png")
    html = page_of(described(photos, embedder=FakeEmbedder())).render()
    for text in ("7 images of", "Images of each class", "&lt;b&gt;", "The same bytes",
                 "cat/1.png = cat/copy.png", "1: cat/2.png", "the JPEG is truncated",
                 "The images by their looks", "Brightness", "Size of the files"):  # fmt: skip
        assert text in html, text
    assert "<b>" not in html
    assert html.count("data:image/jpeg") > 10


def test_the_report_of_nothing(tmp_path: Path) -> None:
    found = described(tmp_path, embedder=FakeEmbedder())
    html = page_of(found).render()
    assert "0 images of" in html
    assert "every image could be read" in html


def test_the_command(photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from imagefinder.cli.main import run

    report = tmp_path / "report.html"
    assert run(["dataset", "report", str(photos), "--output", str(report), "--no-map"]) == 0
    out, err = capfd.readouterr()
    assert "images\t6\n" in out
    assert "classes\t2\n" in out
    assert "skipped\t2\n" in out
    assert "cut.jpg: the JPEG is truncated" in err
    assert "Images of each class" in report.read_text(encoding="utf-8")
    assert run(["dataset", "report", str(photos), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["classes"] == {"cat": 3, "dog": 2}
    assert [sorted(ids) for ids in found["copies"]] == [["cat/1.png", "cat/copy.png"]]
    assert run(["dataset", "report", str(photos), "--output", str(tmp_path)]) == 2
    assert run(["dataset", "report", str(tmp_path / "none")]) == 1
