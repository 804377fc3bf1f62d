"""The built-in model: what it answers, and that it is the one that was committed."""

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder import errors
from imagefinder.decode import decode, from_image
from imagefinder.models import find_model, load_embedder, model_row
from imagefinder.models.preprocess import preprocess, resized
from imagefinder.models.weights import load_packaged
from imagefinder.protocols import Embedder
from imagefinder.search import confidence
from imagefinder.types import ModelSpec, Preprocessing
from reference_pixels import squashed, upright_rgb

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "src" / "imagefinder" / "demo" / "images"


def spec_of_ours() -> ModelSpec:
    spec = find_model("efficientnet-lite0").spec
    assert spec is not None
    return spec


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder()


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """Computed by the original weights in torch, see tools/make_golden_vectors.py."""
    with np.load(ROOT / "tests" / "golden" / "efficientnet-lite0.npz") as arrays:
        return dict(arrays)


def embedding_of(path: Path, embedder: Embedder, at_least: int | None = None) -> np.ndarray:
    pixels = decode(path.read_bytes(), at_least=at_least).pixels
    return embedder.embed(embedder.preprocess(pixels)[None])[0]


def path_of(id: str) -> Path:
    return next(DEMO.glob(f"{id}.*"))


def test_the_embeddings_are_those_of_the_original_weights(
    embedder: Embedder, golden: dict[str, np.ndarray]
) -> None:
    for id, expected in zip(golden["ids"], golden["embeddings"], strict=True):
        found = embedding_of(path_of(id), embedder)
        assert found.dtype == np.float32
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
        assert float(found @ expected) >= 0.9995, id


def test_the_pixels_are_those_of_the_reference(golden: dict[str, np.ndarray]) -> None:
    """Putting what is transparent on white, Pillow's versions round differently."""
    how, exact = spec_of_ours().preprocessing, 0
    for id, digest in zip(golden["ids"], golden["pixels_sha256"], strict=True):
        pixels = resized(decode(path_of(id).read_bytes()).pixels, how)
        assert np.abs(pixels.astype(int) - squashed(upright_rgb(path_of(id)))).max() <= 1, id
        if is_opaque(path_of(id)):
            assert sha256(pixels.tobytes()).hexdigest() == digest, id
            exact += 1
    assert exact >= len(golden["ids"]) / 4


def is_opaque(path: Path) -> bool:
    with Image.open(path) as image:
        return image.mode in ("RGB", "L") and "transparency" not in image.info


def test_an_embedding_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    paths = [path_of(id) for id in ("cat-01", "car-01", "tree-01")]
    tensors = np.stack([embedder.preprocess(decode(p.read_bytes()).pixels) for p in paths])
    together = embedder.embed(tensors)
    assert all(
        np.array_equal(embedder.embed(t[None])[0], row)
        for t, row in zip(tensors, together, strict=True)
    )


def test_a_decoded_image_is_as_good_as_its_file(embedder: Embedder, tmp_path: Path) -> None:
    """A scaled decode changes pixels a little; 0.99 is promised."""
    for id in ("flower-05", "house-03", "car-04"):
        picture = Image.open(path_of(id)).convert("RGBA").convert("RGB")
        large = picture.resize((2400, 1800), Image.Resampling.LANCZOS)
        large.save(tmp_path / "large.jpg", quality=92)
        scaled = embedding_of(tmp_path / "large.jpg", embedder, embedder.spec.decode_size)
        pixels = from_image(Image.open(tmp_path / "large.jpg")).pixels
        full = embedder.embed(embedder.preprocess(pixels)[None])[0]
        assert float(scaled @ full) >= 0.99, id


def test_preprocessing_modes() -> None:
    how = replace(spec_of_ours().preprocessing, width=4, height=4)
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, :2], wide[:, 6:] = 255, 255  # white at both ends
    squashed = preprocess(wide, how)
    cropped = preprocess(wide, replace(how, resize="crop"))
    assert squashed.shape == cropped.shape == (3, 4, 4)
    assert squashed.max() > 0.5
    assert cropped.max() == pytest.approx(-127 / 128)  # the middle is black


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    row = model_row("efficientnet-lite0")
    graph = bytearray(load_packaged(row))
    graph[len(graph) // 2] ^= 1
    file = tmp_path / row.package_file
    file.parent.mkdir()
    file.write_bytes(graph)
    with pytest.raises(errors.ModelError, match="damaged"):
        load_packaged(row, tmp_path)
    file.unlink()
    with pytest.raises(errors.ModelError, match="cannot be read"):
        load_packaged(row, tmp_path)


def test_the_fingerprint_changes_with_every_fact_of_preprocessing() -> None:
    spec = spec_of_ours()
    how = spec.preprocessing
    hows: list[Preprocessing] = [
        replace(how, width=225),
        replace(how, width=225, height=225),
        replace(how, resize="crop"),
        replace(how, shortest=256),
        replace(how, resample="bicubic"),
        replace(how, mean=(1.0, 2.0, 3.0)),
        replace(how, std=(1.0, 2.0, 3.0)),
    ]
    others = [replace(spec, preprocessing=how) for how in hows]
    others += [replace(spec, sha256="0" * 64), replace(spec, output="features")]
    assert len({spec.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1
    assert replace(spec, calibration=None).fingerprint == spec.fingerprint


def test_the_fingerprint_stays_what_collections_remember() -> None:
    assert spec_of_ours().fingerprint == "efficientnet-lite0:30a5a55bf7fd8137"


def test_a_hit_has_a_confidence_that_grows_with_its_score() -> None:
    curve = spec_of_ours().calibration
    confidences = [confidence(score, curve) for score in (-1.0, 0.0, 0.5, 1.0)]
    assert confidences == sorted(confidences, key=float)
    assert 0 < confidences[0] < confidences[1] < 0.1
    assert 0.95 < confidences[3] < 1
    assert confidence(0.5, None) is None


def test_an_unknown_model_is_told_with_the_known_ones() -> None:
    with pytest.raises(errors.UsageError, match="efficientnet-lite0"):
        load_embedder("no-such-model")


def test_the_runtime_writes_nothing_to_the_home_and_calls_nobody(tmp_path: Path) -> None:
    """ONNX Runtime reports to its maker unless it is told not to before it is imported."""
    script = "from imagefinder.models import load_embedder; load_embedder()"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", script], env={**environment, "HOME": str(tmp_path)}, check=True
    )
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.emulated
def test_the_embeddings_are_the_same_on_another_processor() -> None:
    """Runs this Python on an emulated Haswell, which has no AVX-512 (Debian's qemu-user)."""
    script = ROOT / "tools" / "check_other_processor.py"
    result = subprocess.run(
        [sys.executable, script, "--cpu", "Haswell"], capture_output=True, text=True, check=False
    )
    if result.returncode == 2 or "not found" in result.stderr:
        pytest.skip(f"needs Debian's qemu-user: {result.stderr.strip()}")
    assert result.returncode == 0, result.stdout + result.stderr
