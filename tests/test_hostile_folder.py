"""A folder of hostile files through the whole way: the good are indexed, the bad are named."""

import os
from pathlib import Path

import pytest

from imagefinder import ImageFinder
from imagefinder.cli.main import run
from tests import hostile


def test_every_good_image_is_indexed_and_every_bad_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = hostile.make(tmp_path / "hostile")
    good = {name for name, verdict in verdicts.items() if verdict is hostile.GOOD}
    bad = {
        as_shown(name): verdict
        for name, verdict in verdicts.items()
        if verdict is not None and verdict != hostile.IGNORED
    }
    assert len(good) > 50
    assert len(bad) > 50
    where = str(tmp_path / "collection")
    assert run(["index", str(tmp_path / "hostile"), "-c", where]) == 0
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    with ImageFinder.open(where) as finder:
        assert {record.id for record in finder.images()} == good
        reasons = {skipped.id: skipped.reason for skipped in finder.skipped()}
        assert set(bad) <= set(reasons)
        for name, word in bad.items():
            assert word in reasons[name], f"{name}: {reasons[name]}"
        assert not set(reasons) & good
    assert run(["index", str(tmp_path / "hostile"), "-c", where, "--strict"]) == 1


def as_shown(name: str) -> str:
    """A name that is no UTF-8 is told with its odd bytes escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
