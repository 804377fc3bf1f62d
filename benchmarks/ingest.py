"""Indexing photographs of 12 megapixels, beside the limit of the machine and beside fastembed."""

import subprocess
from pathlib import Path
from statistics import median

from benchmarks.data import fresh
from benchmarks.environments import peers
from benchmarks.index_run import index_run
from benchmarks.machine import ROOT
from benchmarks.photographs import photographs
from benchmarks.results import Figure
from imagefinder.models import DEFAULT_MODEL, model_row
from imagefinder.models.weights import MODELS

PEERS = Path(__file__).parent / "peers"
MODEL = MODELS / model_row(DEFAULT_MODEL).package_file
DECODERS = ("pillow", "simplejpeg")


def run(quick: bool) -> list[Figure]:
    """The product, the limit and fastembed take turns, never two at once, so that a machine that
    gets faster or slower does so for all; a ratio is of neighbours."""
    rounds, rounds_beside = (1, 1) if quick else (7, 3)
    many, few = photographs(24 if quick else 500), photographs(24 if quick else 60)
    ours, limits = [], []
    for _ in range(rounds):
        limits.append(max(peer("limit", many, decoder) for decoder in DECODERS))
        ours.append(product(many))
    beside, two, one = [], [], []
    for _ in range(rounds_beside):
        two.append(peer("fastembed_run", few, "2"))
        beside.append(product(many))
        one.append(peer("fastembed_run", few, "1"))
    return [
        Figure("photographs indexed", tuple(ours + beside), "images/s"),
        Figure("the limit", tuple(limits), "images/s"),
        Figure("of the limit", ratios(ours, limits), "", at_least=0.85),
        Figure("fastembed, 2 processes", tuple(two), "images/s"),
        Figure("fastembed, 1 process", tuple(one), "images/s"),
        Figure("limit, in times fastembed, 2 processes", (median(limits) / median(two),), "x"),
        Figure("times fastembed, 2 processes", ratios(beside, two), "x"),
        Figure("times fastembed, 1 process", ratios(beside, one), "x", at_least=6),
    ]


def product(folder: Path) -> float:
    """Images per second through `ImageFinder.index`, into a new collection."""
    return index_run(folder, fresh("ingest")).images_per_second


def peer(script: str, folder: Path, how: str) -> float:
    """Images per second of a script that knows nothing of the product."""
    python = peers() / "bin" / "python"
    command = [str(part) for part in (python, PEERS / f"{script}.py", MODEL, folder, how)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def ratios(ours: list[float], theirs: list[float]) -> tuple[float, ...]:
    return tuple(a / b for a, b in zip(ours, theirs, strict=True))
