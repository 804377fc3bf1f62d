"""Collections of older formats."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from imagefinder import ImageFinder
from imagefinder.testing import FakeEmbedder
from tests.pictures import write_pictures

NAMES = ["a.png", "b.png"]
FORMAT_1 = """
CREATE TABLE old (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, dim INTEGER NOT NULL);
INSERT INTO old SELECT name, fingerprint, dim FROM spaces ORDER BY rowid;
DROP TABLE spaces;
ALTER TABLE old RENAME TO spaces;
DROP TABLE behind;
DROP TABLE space_in_use;
"""


def test_a_collection_that_knew_no_models_of_its_spaces(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", NAMES)
    place = tmp_path / "collection"
    (tmp_path / "old.csv").write_text("id,e0,e1\na.png,1,0\n")
    with ImageFinder.open(place) as finder:
        finder.index(tmp_path / "photos")
        before = finder.search("id:a.png", k=2)
        finder.import_embeddings(tmp_path / "old.csv", space="old")
    with closing(sqlite3.connect(place / "ledger.sqlite")) as db:
        db.executescript(FORMAT_1)
    (place / "collection.json").write_text('{"format": 1}')
    with ImageFinder.open(place) as finder:
        assert finder.search("id:a.png", k=2) == before
        assert finder.search(tmp_path / "photos" / "a.png", k=2) == before
        assert [(space.name, space.model, space.behind) for space in finder.spaces()] == [
            ("efficientnet-lite0", "efficientnet-lite0", 0),
            ("old", "", 0),
        ]
        assert finder.index(tmp_path / "photos").unchanged == 2
    assert json.loads((place / "collection.json").read_text()) == {"format": 2}


def test_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "collection.json").write_text('{"format": 1}')
    with ImageFinder.open(tmp_path, embedder=FakeEmbedder()) as finder:
        assert len(finder) == 0
