"""The notebooks run, each in a process of its own, and show what they say."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
LARGEST = 600_000  # bytes, with the pictures: a look at one is to be quick
SECONDS = 300


def printed(notebook: nbformat.NotebookNode) -> str:
    """The text that its cells show."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def pictures(notebook: nbformat.NotebookNode) -> int:
    """How many it shows."""
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], nbformat.NotebookNode]:
    """A notebook run anew, as by who has just installed the package: with an empty home."""
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR", "TMPDIR"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))

    def run(name: str) -> nbformat.NotebookNode:
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        for cell in notebook.cells:
            cell.pop("outputs", None)
            if cell.cell_type == "code":
                cell.outputs = []
        (tmp_path / "work").mkdir()
        NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path / "work")}},
        ).execute()
        assert not list((tmp_path / "work").iterdir())  # it leaves nothing where one works
        return notebook

    return run


def test_they_are_small_and_come_with_what_they_show() -> None:
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert [path.name for path in found] == ["evaluate.ipynb", "explore.ipynb", "search.ipynb"]
    for path in found:
        assert path.stat().st_size < LARGEST, f"{path.name}: fewer or smaller pictures, please"
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert printed(notebook)
        assert pictures(notebook) >= 3
        assert not re.search(r"\(/|/home/|/Users/", printed(notebook)), "a path of some machine"


@pytest.mark.slow
def test_a_look_at_a_data_set(run: Callable[[str], nbformat.NotebookNode]) -> None:
    notebook = run("explore.ipynb")
    shown = printed(notebook)
    assert "306 images of 28 classes" in shown
    assert "1 other file, 2 skipped, 1 surplus copy" in shown
    assert "the same bytes:   ball/01.jpg = ball/copy.jpg" in shown
    assert "the same picture: ball/01.jpg = ball/converted.png = ball/copy.jpg" in shown
    assert "dog/half.jpg: the JPEG is truncated" in shown
    assert pictures(notebook) == 5


@pytest.mark.slow
def test_how_a_picture_is_found(run: Callable[[str], nbformat.NotebookNode]) -> None:
    notebook = run("search.ipynb")
    shown = printed(notebook)
    by_hand, by_library = re.findall(r"((?:[\d.]+ [a-z-]+\d\d\n){5})", shown)
    assert by_hand == by_library
    assert by_hand.splitlines()[0] == "0.770 big-cat-06"
    assert "'added': 304" in shown
    assert int(re.search(r"(\d+) of 100 searches", shown)[1]) >= 99
    assert pictures(notebook) == 6


@pytest.mark.slow
def test_models_are_compared(run: Callable[[str], nbformat.NotebookNode]) -> None:
    notebook = run("evaluate.ipynb")
    shown = printed(notebook)
    found = dict(re.findall(r"^(colours|pixels|built-in) +([\d.]+) ±", shown, re.MULTILINE))
    assert float(found["built-in"]) == pytest.approx(0.444, abs=0.005)
    assert max(float(found["colours"]), float(found["pixels"])) < 0.2
    assert "learned from 213, tested on 91 other images of 28 classes" in shown
    assert "kept: True" in shown
    assert pictures(notebook) == 5
