"""Reports: pages of one file that escape what they are given and draw what the numbers say."""

import re
import xml.etree.ElementTree as ElementTree
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import errors
from imagefinder.report import (
    Page,
    Picture,
    beside,
    facts,
    paragraph,
    picture_map,
    plot,
    plots,
    strip,
    swatches,
    table,
)
from imagefinder.report.pictures import in_places, shrunk, thumbnail
from tests.pictures import picture
from tests.samples import encoded

EVIL = '<script>alert("x")</script> & \x1b[31m'


def jpeg(seed: int) -> bytes:
    return shrunk(np.asarray(picture(seed)))


def words(svg: str) -> list[str]:
    """The texts of a drawing, which has to be well-formed."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter() if
            text.tag.endswith("text")]  # fmt: skip


def test_a_page_needs_nothing_from_elsewhere_and_escapes_what_it_shows(tmp_path: Path) -> None:
    page = Page(EVIL, EVIL)
    page.section(EVIL, facts([(EVIL, EVIL)]), table([EVIL], [[EVIL]], title=EVIL, note=EVIL))
    page.section("plots", plot(EVIL, plots.bars({EVIL: 1}, label=EVIL), note=EVIL))
    page.section("pictures", strip([Picture(jpeg(1), EVIL, "good")], title=EVIL), paragraph(EVIL))
    page.section("none", strip([]), table(["a"], []), beside(), paragraph(""))
    page.write(tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "\x1b" not in html
    assert html.count("&lt;script&gt;") >= 12
    assert "none</h2>" not in html  # what is empty has no section
    assert '<a href="#part-1">' in html
    found = re.findall(r'(?:src|href)="([^"]+)"|url\(([^)]+)\)', html)
    links = [link for pair in found for link in pair if link]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    addresses = set(re.findall(r"https?://[^\s\"<]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="the report cannot be written: no such file"):
        Page("a", "b").write(tmp_path / "nowhere" / "page.html")


def test_numbers_of_a_table_stand_to_the_right() -> None:
    html = table(["name", "count", "share", "what"], [("7", 1234, "0.5 ± 0.1", "x"),
                                                      ("b", 5, "-", "2")])  # fmt: skip
    assert '<td>7</td><td class="right">1,234</td><td class="right">0.5 ± 0.1</td>' in html
    assert "<td>x</td>" in html


def test_bars_are_as_long_as_their_values() -> None:
    svg = plots.bars({"one": 10, "two": 20, "three": 5}, label="images", whole=True)
    assert words(svg) == ["one", "two", "three", "10", "20", "5"]
    drawn = re.findall(r'd="M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \nL', svg)
    lengths = [float(end) - float(begin) for begin, end in drawn if begin != end]
    lengths = [length for length in lengths if length > 1][-3:]
    assert np.allclose(np.array(lengths) / lengths[0], [1, 2, 0.5])


def test_drawings_take_the_inks_of_the_page() -> None:
    svg = plots.bars({"a": 1}, label="x", spans={"a": (0.5, 1.5)})
    assert {"var(--ink)", "var(--soft)", "var(--accent)"} <= set(re.findall(r"var\(--\w+\)", svg))
    assert "#0102" not in svg
    assert svg == plots.bars({"a": 1}, label="x", spans={"a": (0.5, 1.5)})
    assert not re.search(r' id="[\w.]+_\d+"', svg)
    assert "<?xml" not in svg


def test_only_the_first_bars_are_drawn_and_names_are_clipped() -> None:
    values = {f"{number:03}": float(number) for number in range(100)} | {"x" * 99: 1.0}
    names = words(plots.bars(values, label="", whole=True))
    assert "029" in names
    assert "030" not in names
    assert "x" * 27 + "…" in words(plots.bars({"x" * 99: 1.0}, label=""))


@pytest.mark.parametrize("values", [[], [3.0], [2.0] * 9, [0.5, 4000.0, 7.0]])
@pytest.mark.parametrize("log", [False, True])
def test_histograms_of_few_values(values: list[float], log: bool) -> None:
    assert "images" in words(plots.histogram(np.array(values), label="kB", log=log))


def test_histograms_of_several_show_shares() -> None:
    svg = plots.histogram(
        {"right": np.array([0.9, 0.8]), "other": np.zeros(1000)}, label="score", bins=10
    )
    texts = words(svg)
    assert {"share", "score", "right", "other", "1.0"} <= set(texts)
    assert plots.COLOURS[0] in svg
    assert plots.COLOURS[1] in svg


def test_curves_and_maps() -> None:
    lines = {"a": ([0, 1], [1, 0.5]), "b": ([0, 1], [1, 0.2])}
    assert {"recall", "precision", "a", "b"} <= set(words(plots.curve(lines, x="recall",
                                                                      y="precision")))  # fmt: skip
    points = np.random.default_rng(0).random((40, 2))
    classes = [f"c{number % 13:02}" for number in range(40)]
    assert words(plots.scatter(points, classes)) == [f"c{n:02}" for n in range(9)] + ["others"]
    assert words(plots.scatter(points)) == []
    many = np.random.default_rng(0).random((plots.MANY + 1, 2))
    assert "data:image/png" in plots.scatter(many)  # and not so many marks


def test_letters_that_no_font_here_has_and_formulas_are_text() -> None:
    assert words(plots.bars({"猫 $x^2$": 1}, label=""))[-1] == "猫 $x^2$"


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(errors.MissingExtraError, match=r"imagefinder\[evaluate\]"):
        plots.bars({"a": 1}, label="")


def test_thumbnails_are_small_and_upright() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    data = encoded(picture(1).resize((800, 600)), "JPEG", exif=turned)
    with Image.open(BytesIO(thumbnail(data, 100))) as small:
        assert (small.format, small.size) == ("JPEG", (75, 100))


def test_a_strip_says_what_its_frames_mean() -> None:
    html = strip([Picture(jpeg(1), "a", "good"), Picture(jpeg(2), "b", "bad"), Picture(None, "c")])
    assert '<figure class="good">' in html
    assert 'alt="right: a"' in html
    assert 'alt="wrong: b"' in html
    assert "no picture" in html


def test_each_place_of_a_map_shows_its_middlemost_picture() -> None:
    # cells are 1/18 wide: the first two share one, of which 0.03 is nearer to its middle
    points = np.array([[0.05, 0.05], [0.03, 0.03], [0.5, 0.5], [1.0, 1.0]])
    assert in_places(points) == [1, 2, 3]
    html = picture_map(points, [jpeg(n) for n in range(4)], ["a", "b", "c", "d"], title="map")
    assert re.findall(r'title="(\w)"', html) == ["b", "c", "d"]
    assert "left: 50.00%; top: 50.00%" in html
    assert "left: 97.22%; top: 2.78%" in html  # up is up
    assert picture_map(np.empty((0, 2)), [], [], title="map") == ""


def test_colours_are_as_wide_as_their_shares() -> None:
    html = swatches([((255, 0, 0), 0.75), ((0, 0, 255), 0.05)], title="colours")
    assert 'flex: 750.0; background: rgb(255 0 0)" title="#ff0000, 75%"' in html
    assert "flex: 50.0" in html
