"""The main job, run by an environment that holds the wheel and nothing else of the project."""

import csv
import importlib.util
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

COMMAND = Path(sys.executable).with_name("imagefinder")
LABELS = {"tiger.jpg": "big cat", "guitar.png": "string instrument", "flower.jpg": "flower"}
OPTIONAL = ("torch", "pyarrow", "faiss", "s3fs", "pytest", "mypy")


def main() -> None:
    for name in OPTIONAL:
        assert importlib.util.find_spec(name) is None, f"{name} is installed"
    demo = Path(str(files("imagefinder"))) / "demo"
    assert "site-packages" in demo.parts, f"{demo} is not the installed package"
    with (demo / "images.csv").open(encoding="utf-8", newline="") as table:
        labels = {row["id"]: row["label"] for row in csv.DictReader(table)}

    assert "index" in imagefinder("--help")
    counts = json.loads(imagefinder("index", str(demo / "images.csv"), "-c", "./demo", "--json"))
    assert counts["added"] == len(labels) > 250, counts
    assert counts["skipped"] == 0, counts
    counts = json.loads(imagefinder("index", str(demo / "images.csv"), "-c", "./demo", "--json"))
    assert counts["unchanged"] == len(labels), counts
    status = json.loads(imagefinder("status", "-c", "./demo", "--json"))
    assert status["images"] == len(labels), status

    for query, label in LABELS.items():
        command = ("search", str(demo / "queries" / query), "-k", "5", "-c", "./demo", "--json")
        hits = json.loads(imagefinder(*command))["hits"]
        found = [labels[hit["id"]] for hit in hits]
        print(f"{query}:", *(f"{hit['id']} {hit['score']:.2f}" for hit in hits))
        assert found[0] == label, f"{query} is a {label}, found {found}"
        assert found.count(label) >= 3, f"{query} is a {label}, found {found}"
    print(
        f"the installed wheel indexed {len(labels)} images and found {len(LABELS)} queries' classes"
    )


def imagefinder(*arguments: str) -> str:
    result = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"imagefinder {' '.join(arguments)}: {result.stderr}"
    return result.stdout


main()
