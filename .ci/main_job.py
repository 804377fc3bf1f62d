"""The main job, run by an environment that holds the wheel and nothing else of the project."""

import csv
import importlib.util
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

COMMAND = Path(sys.executable).with_name("imagefinder")
LABELS = {"tiger.jpg": "big cat", "guitar.png": "string instrument", "flower.jpg": "flower"}
OPTIONAL = (
    "torch",
    "pyarrow",
    "faiss",
    "s3fs",
    "sklearn",
    "gradio",
    "pytest",
    "mypy",
    "transformers",
    "onnx",
)


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
    with service() as address:
        for query, label in LABELS.items():
            hits = searched(address, (demo / "queries" / query).read_bytes())
            assert labels[hits[0]["id"]] == label, hits
        look_at_page(address)
        shown = imagefinder("search", str(demo / "queries" / query), "-c", address, "--json")
        assert [hit["id"] for hit in json.loads(shown)["hits"]] == [hit["id"] for hit in hits]
    status = json.loads(imagefinder("status", "-c", "./demo", "--json"))
    assert status["images"] == len(labels), status
    print("and served them")
    look_at_models(demo)


def look_at_models(demo: Path) -> None:
    """What there is to fetch, and that nothing is fetched when that is not wanted."""
    models = {model["name"]: model for model in json.loads(imagefinder("models", "--json"))}
    assert [name for name in models if models[name]["present"]] == ["efficientnet-lite0"], models
    assert models["clip-vit-b32"]["text"], models
    facts = json.loads(imagefinder("models", "show", "efficientnet-lite0", "--json"))
    assert facts["dim"] == 256, facts
    command = [COMMAND, "models", "add", "resnet50", "-c", "./demo", "--offline"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1, refused
    assert "imagefinder models pull resnet50" in refused.stderr, refused
    added = imagefinder(
        "models", "add", "efficientnet-lite0", "--distance", "dot", "-c", "./demo", "--json"
    )
    assert json.loads(added)["behind"] == 0, added
    query = ("search", str(demo / "queries" / "tiger.jpg"), "-c", "./demo", "--json")
    both = json.loads(imagefinder(*query, "--space", "efficientnet-lite0,efficientnet-lite0-dot"))
    assert both["hits"][0]["id"] == json.loads(imagefinder(*query))["hits"][0]["id"], both
    print("and knows the models that it has not")


@contextmanager
def service() -> Iterator[str]:
    """The demo collection, served; a signal ends it in order."""
    command = [COMMAND, "serve", "-c", "./demo", "--port", "0", "--log", "json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "address" in json.loads(line))
        yield json.loads(line)["address"]
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=60)[1]
        assert process.returncode == 0, rest
    finally:
        process.kill()


def searched(address: str, image: bytes) -> list[dict[str, str]]:
    """The hits of POST /v1/search."""
    head = b'--B\r\nContent-Disposition: form-data; name="image"; filename="query"\r\n\r\n'
    request = Request(
        f"{address}/v1/search",
        data=head + image + b"\r\n--B--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=B"},
    )
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)["hits"]


def look_at_page(address: str) -> None:
    """The page with all its files, the map without scikit-learn, and no Gradio."""
    page = read(f"{address}/").decode()
    loaded = re.findall(r'(?:href|src)="(page/[^"]+)"', page)
    assert "page/main.js" in loaded, page
    assert all(read(f"{address}/{path}") for path in loaded)
    until = monotonic() + 60
    while (drawn := json.loads(read(f"{address}/v1/map")))["drawing"]:
        assert monotonic() < until, "the map is not drawn"
        sleep(0.2)
    assert drawn["method"] == "PCA", drawn["method"]
    assert len(drawn["ids"]) == len(drawn["x"]) == drawn["images"], drawn
    assert b"imagefinder[gradio]" in read(f"{address}/gradio/", status=404)


def read(url: str, *, status: int = 200) -> bytes:
    try:
        answer = urlopen(url, timeout=30)
    except HTTPError as error:
        answer = error
    with answer:
        assert answer.status == status, answer.status
        return answer.read()


def imagefinder(*arguments: str) -> str:
    result = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"imagefinder {' '.join(arguments)}: {result.stderr}"
    return result.stdout


main()
