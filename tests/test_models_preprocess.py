"""Preprocessing: what a model's file says, and that pictures become what transformers makes."""

import importlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefinder.arrays import Pixels, Tensor
from imagefinder.decode import decode
from imagefinder.errors import ModelError
from imagefinder.models import load_embedder
from imagefinder.models.preprocess import RESAMPLE, kept, preprocess, resized
from imagefinder.models.processor import PROCESSORS, preprocessing_of, read_processor
from imagefinder.types import Preprocessing

DEMO = Path(__file__).resolve().parents[1] / "src" / "imagefinder" / "demo" / "images"

# (height, width): tall, wide, tiny, strips, as large as the input, just above and below it
SHAPES = [(300, 200), (199, 400), (3, 2), (1, 1), (9, 700), (700, 9), (224, 224), (223, 225)]


def drawn(height: int, width: int) -> Pixels:
    """Curves and edges in three colours, and a little noise."""
    rows, columns = np.mgrid[0:height, 0:width] / 8
    layers = [np.sin(rows + columns), np.sign(np.sin(columns)), np.cos(rows * columns / 40)]
    noise = np.random.default_rng(height * width).normal(0, 0.1, (height, width, 3))
    return np.clip(127 + 110 * (np.stack(layers, axis=2) + noise), 0, 255).astype(np.uint8)


@cache
def pictures() -> list[Pixels]:
    """Some of the demo set, which has all orientations, and made ones."""
    files = [path for path in sorted(DEMO.iterdir()) if path.is_file()][::17]
    return [decode(file.read_bytes()).pixels for file in files] + [drawn(*s) for s in SHAPES]


def normalised(pixels: np.ndarray, how: Preprocessing) -> Tensor:
    scaled = (pixels.astype(np.float64) - how.mean) / how.std
    return scaled.transpose(2, 0, 1).astype(np.float32)


def resized_then_cut(pixels: Pixels, how: Preprocessing, shortest: int) -> np.ndarray:
    """As transformers does it: the whole picture first, then its middle."""
    height, width = pixels.shape[:2]
    if height < width:
        whole = (int(shortest * width / height), shortest)
    else:
        whole = (shortest, int(shortest * height / width))
    large = np.asarray(Image.fromarray(pixels).resize(whole, RESAMPLE[how.resample]))
    top, left = (large.shape[0] - how.height) // 2, (large.shape[1] - how.width) // 2
    return large[top : top + how.height, left : left + how.width]


def how(**changes: object) -> Preprocessing:
    facts = {"height": 224, "width": 224, "resize": "squash", "resample": "bilinear"}
    triples = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    return Preprocessing(**{**facts, **triples, **changes})  # type: ignore[arg-type]


# --- pictures -> tensors, against a few lines of Pillow


@pytest.mark.parametrize("resample", RESAMPLE)
def test_a_squashed_picture_is_what_pillow_makes_of_it(resample: str) -> None:
    facts = how(resample=resample, height=96, width=160)
    for pixels in (drawn(300, 200), drawn(50, 31), drawn(1, 1)):
        found = preprocess(pixels, facts)
        small = Image.fromarray(pixels).resize((160, 96), RESAMPLE[resample])
        assert found.shape == (3, 96, 160)
        assert found.dtype == np.float32
        assert found.flags["C_CONTIGUOUS"]
        np.testing.assert_allclose(found, normalised(np.asarray(small), facts), atol=2e-6)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "hamming", "lanczos"])
@pytest.mark.parametrize(
    ("size", "shortest"), [((224, 224), 256), ((97, 180), 201), ((32, 32), 32)]
)
def test_one_resize_of_the_middle_is_the_middle_of_one_resize(
    resample: str, size: tuple[int, int], shortest: int
) -> None:
    facts = how(resize="crop", resample=resample, height=size[0], width=size[1], shortest=shortest)
    for pixels in pictures():
        found = resized(pixels, facts).astype(int)
        expected = resized_then_cut(pixels, facts, shortest)
        assert found.shape == (*size, 3)
        assert np.abs(found - expected).mean() < 0.4, pixels.shape
        assert np.abs(found - expected).max() <= 2, pixels.shape


def test_a_squash_to_more_than_the_input_keeps_the_middle() -> None:
    facts = how(shortest=256, resample="bicubic")
    for pixels in (drawn(300, 200), drawn(50, 31)):
        large = Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC)
        expected = np.asarray(large)[16:240, 16:240].astype(int)
        assert np.abs(resized(pixels, facts).astype(int) - expected).max() <= 1


def test_a_crop_without_a_short_side_is_the_largest_middle() -> None:
    pixels = drawn(60, 100)
    square = Image.fromarray(pixels[:, 20:80]).resize((30, 30), Image.Resampling.BILINEAR)
    found = resized(pixels, how(resize="crop", height=30, width=30)).astype(int)
    # at the edges the filter looks beyond the part
    assert np.abs(found - np.asarray(square))[:, 1:-1].max() <= 1
    wide = resized(drawn(60, 100), how(resize="crop", height=10, width=50))
    assert wide.shape == (10, 50, 3)


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("shortest", [None, 32, 47])
def test_a_picture_may_have_any_size(resize: str, shortest: int | None) -> None:
    """Where the part ends, 29 * (29 / 224) * 224 is a little more than 29."""
    facts = how(resize=resize, height=32, width=30, shortest=shortest)
    larger = how(resize=resize, shortest=shortest and 192 + shortest)
    for width in range(1, 120):
        for height in (1, 2, 31, width, width + 1, 119):
            assert resized(np.zeros((height, width, 3), np.uint8), facts).shape == (32, 30, 3)
            for each in (facts, larger):
                left, top, right, bottom = kept(width, height, each) or (0, 0, width, height)
                assert 0 <= left < right <= width
                assert 0 <= top < bottom <= height


def test_a_strip_of_a_picture_needs_no_wide_one_on_the_way() -> None:
    """Resized as a whole, it would be 2.56 million pixels wide."""
    found = preprocess(drawn(1, 10_000), how(resize="crop", shortest=256))
    assert found.shape == (3, 224, 224)


# --- what a file says


def said(config: Mapping[str, object]) -> tuple[object, ...]:
    facts = preprocessing_of(config, "p.json")
    return (facts.height, facts.width, facts.resize, facts.shortest, facts.resample)


VIT: dict[str, object] = {"image_processor_type": "ViTImageProcessor"}
BIT: dict[str, object] = {"image_processor_type": "BitImageProcessor"}
CONVNEXT: dict[str, object] = {"feature_extractor_type": "ConvNextFeatureExtractor"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (VIT, (224, 224, "squash", None, "bilinear")),
        (VIT | {"size": 32}, (32, 32, "squash", None, "bilinear")),
        (VIT | {"size": [20, 30], "resample": 3}, (20, 30, "squash", None, "bicubic")),
        (VIT | {"size": {"height": 20, "width": 30}}, (20, 30, "squash", None, "bilinear")),
        (VIT | {"resample": 0}, (224, 224, "squash", None, "nearest")),
        (VIT | {"resample": 1}, (224, 224, "squash", None, "lanczos")),
        (VIT | {"resample": 4}, (224, 224, "squash", None, "box")),
        (VIT | {"resample": 5}, (224, 224, "squash", None, "hamming")),
        (VIT | {"resample": "Bicubic"}, (224, 224, "squash", None, "bicubic")),
        (VIT | {"size": None, "crop_size": 96}, (224, 224, "squash", None, "bilinear")),
        (BIT | {"size": {"shortest_edge": 256}}, (224, 224, "crop", 256, "bicubic")),
        (BIT | {"size": 256, "crop_size": 200}, (200, 200, "crop", 256, "bicubic")),
        (
            BIT | {"crop_size": {"height": 90, "width": 80}},
            (90, 80, "crop", 224, "bicubic"),
        ),
        (CONVNEXT | {"size": 224}, (224, 224, "crop", 256, "bicubic")),
        (CONVNEXT | {"size": 224, "crop_pct": 0.95}, (224, 224, "crop", 235, "bicubic")),
        (CONVNEXT, (384, 384, "squash", None, "bicubic")),
        ({"image_processor_type": "DeiTImageProcessor"}, (224, 224, "squash", 256, "bicubic")),
        (
            {"feature_extractor_type": "CLIPFeatureExtractor", "size": 336, "crop_size": 336},
            (336, 336, "crop", 336, "bicubic"),
        ),
        (
            {"image_processor_type": "SiglipImageProcessorFast", "do_center_crop": None},
            (224, 224, "squash", None, "bicubic"),
        ),
        (
            {"size": 64, "image_mean": 0.5, "image_std": 0.5},  # it names no processor
            (64, 64, "squash", None, "bilinear"),
        ),
    ],
)
def test_a_file_says_how_pictures_are_resized(
    config: dict[str, object], expected: tuple[object, ...]
) -> None:
    assert said(config) == expected


def test_a_file_says_how_pixels_are_normalised() -> None:
    def of(**config: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
        facts = preprocessing_of(VIT | config, "p.json")
        return facts.mean, facts.std

    assert of() == ((127.5,) * 3, (127.5,) * 3)
    assert of(image_mean=[0.485, 0.456, 0.406])[0] == (123.675, 116.28, 103.53)
    assert of(do_normalize=False) == ((0,) * 3, (255,) * 3)
    assert of(do_normalize=False, do_rescale=False) == ((0,) * 3, (1,) * 3)
    assert of(do_rescale=False, image_mean=[1, 2, 3], image_std=4) == ((1, 2, 3), (4,) * 3)
    assert of(rescale_factor=0.5, image_mean=[1, 2, 3], image_std=4) == ((2, 4, 6), (8,) * 3)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (VIT | {"do_pad": True}, "do_pad is true"),
        (VIT | {"rescale_offset": True}, "rescale_offset is true"),
        (VIT | {"do_image_splitting": True}, "do_image_splitting is true"),
        ({"image_processor_type": "MobileViTImageProcessor"}, "do_flip_channel_order is true"),
        (VIT | {"do_resize": False}, "do_resize is false"),
        (VIT | {"do_resize": "yes"}, "do_resize must be true or false"),
        (VIT | {"size": {"shortest_edge": 224}}, "size is of the short side"),
        (VIT | {"size": {"longest_edge": 224}}, "size must be one number"),
        (BIT | {"size": {"shortest_edge": 224, "longest_edge": 9}}, "size must be one number"),
        (VIT | {"size": {"height": 224}}, "size must be one number"),
        (VIT | {"size": True}, "size must be one number"),
        (VIT | {"size": 0}, "size must be in whole pixels"),
        (VIT | {"size": 1_003_520}, "size must be in whole pixels, 4096 at most"),
        (VIT | {"size": {"height": 2.5, "width": 2}}, "size must be in whole pixels"),
        (BIT | {"crop_size": 300}, "crop_size is more than the 224 pixels"),
        (BIT | {"crop_size": {"shortest_edge": 200}}, "crop_size must be one number"),
        (VIT | {"do_center_crop": True, "crop_size": 300}, "crop_size cannot be cut"),
        (VIT | {"do_center_crop": True, "crop_size": [9, 8]}, "crop_size cannot be cut"),
        (CONVNEXT | {"size": 224, "crop_pct": 0}, "crop_pct must be a number above 0"),
        (CONVNEXT | {"size": 224, "crop_pct": 0.001}, "crop_pct asks for a short side of 224000"),
        (CONVNEXT | {"size": 224, "crop_pct": 1.5}, "crop_size is more than the 149 pixels"),
        (VIT | {"resample": 6}, "resample must be 0 to 5"),
        (VIT | {"resample": "sinc"}, "resample must be 0 to 5"),
        (VIT | {"image_mean": [0.5, 0.5]}, "image_mean must be three numbers"),
        (VIT | {"image_mean": [0.5, 0.5, float("nan")]}, "image_mean must be three numbers"),
        (VIT | {"image_std": [0.5, 0, 0.5]}, "image_std holds a 0"),
        (VIT | {"rescale_factor": "1/255"}, "rescale_factor must be a number"),
        (VIT | {"rescale_factor": 0}, "rescale_factor must be a number above 0"),
        ({"size": 224}, "image_mean is missing"),
        ({"image_mean": 0.5, "image_std": 0.5}, "size is missing"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "how Siglip2ImageProcessor prepares"),
        ({"image_processor_type": 7}, "how 7 prepares"),
    ],
)
def test_what_cannot_be_done_is_told_with_the_file_and_the_key(
    config: dict[str, object], words: str
) -> None:
    with pytest.raises(ModelError, match=r"^p\.json: ") as caught:
        preprocessing_of(config, "p.json")
    assert words in str(caught.value)


def test_a_file_that_is_no_config_is_told(tmp_path: Path) -> None:
    file = tmp_path / "preprocessor_config.json"
    with pytest.raises(ModelError, match="cannot be read"):
        read_processor(file)
    for text in ("{", "[" * 100_000, "[]", "7", "\udcff"):
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(ModelError, match="copy the model's own again"):
            read_processor(file)
    file.write_text(json.dumps({"image_processor": VIT, "processor_class": "CLIPProcessor"}))
    assert read_processor(file) == preprocessing_of(VIT, "")


# --- against the image processors of transformers

LITE0 = {"image_mean": [127 / 255] * 3, "image_std": [128 / 255] * 3}  # as the built-in model's
SHORT_256 = {"size": {"shortest_edge": 256}}
SHORT_224 = {"size": {"shortest_edge": 224}}
ALL = {
    "vit": ("vit", "ViT", {}),
    "dinov2": ("bit", "Bit", SHORT_256),
    "bit": ("bit", "Bit", {}),
    "clip": ("clip", "CLIP", {}),
    "siglip": ("siglip", "Siglip", {}),
    "siglip2": ("siglip", "Siglip", {"resample": 2}),
    "convnext-224": ("convnext", "ConvNext", SHORT_224),
    "convnext-384": ("convnext", "ConvNext", {}),
    "convnext-288": ("convnext", "ConvNext", {"size": {"shortest_edge": 288}, "crop_pct": 0.95}),
    "deit": ("deit", "DeiT", {}),
    "beit": ("beit", "Beit", {}),
    "levit": ("levit", "Levit", {}),
    "poolformer": ("poolformer", "PoolFormer", {}),
    "efficientnet": ("efficientnet", "EfficientNet", {}),
    "mobilenet": ("mobilenet_v2", "MobileNetV2", {}),
    "pvt": ("pvt", "Pvt", {}),
    "segformer": ("segformer", "Segformer", {}),
    "blip": ("blip", "Blip", {}),
    "chinese-clip": ("chinese_clip", "ChineseCLIP", {}),
    "lanczos": ("clip", "CLIP", {"resample": 1}),
    "bilinear": ("clip", "CLIP", {"resample": 2}),
    "hamming": ("clip", "CLIP", {"resample": 5}),
    "unscaled": ("vit", "ViT", {"do_rescale": False}),
    "not-normalised": ("vit", "ViT", {"do_normalize": False}),
    "odd": ("clip", "CLIP", {**SHORT_256, "crop_size": {"height": 201, "width": 97}}),
}


def processor_of(module: str, kind: str, config: Mapping[str, object]):
    place = f"transformers.models.{module}.image_processing_pil_{module}"
    return getattr(importlib.import_module(place), f"{kind}ImageProcessorPil")(**config)


def theirs(processor, pixels: Pixels) -> np.ndarray:
    """Called with a picture, since a small array can look as if its channels came first."""
    given = processor(Image.fromarray(pixels), return_tensors="np")
    return np.asarray(given["pixel_values"][0])


@pytest.mark.torch
@pytest.mark.parametrize("case", ALL)
def test_the_tensors_are_those_of_transformers(case: str, tmp_path: Path) -> None:
    module, kind, config = ALL[case]
    processor = processor_of(module, kind, config)
    processor.save_pretrained(tmp_path)
    facts = read_processor(tmp_path / "preprocessor_config.json")
    level = 1 / min(facts.std)  # a step of a pixel's value
    for pixels in pictures():
        found, expected = preprocess(pixels, facts), theirs(processor, pixels)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= 2.01 * level, pixels.shape
        assert np.abs(found - expected).mean() <= 0.4 * level, pixels.shape


@pytest.mark.torch
def test_what_a_file_leaves_out_is_as_in_transformers() -> None:
    for module, kind, _ in ALL.values():
        everything = json.loads(processor_of(module, kind, {}).to_json_string())
        bare = {"image_processor_type": f"{kind}ImageProcessor"}
        assert preprocessing_of(bare, kind) == preprocessing_of(everything, kind)
    assert {kind for _, kind, _ in ALL.values()} >= PROCESSORS.keys() - {
        "DINOv3ViT",  # transformers has it for torchvision only
        "MobileNetV1",
        "MobileViT",  # refused
    }


@pytest.mark.torch
@pytest.mark.parametrize("case", ["vit", "dinov2", "bit", "clip", "siglip", "convnext-224", "deit"])
def test_the_embeddings_are_those_of_the_tensors_of_transformers(case: str) -> None:
    module, kind, config = ALL[case]
    processor = processor_of(module, kind, {**config, **LITE0})
    facts = preprocessing_of(json.loads(processor.to_json_string()), case)
    embedder = load_embedder()
    for pixels in pictures():
        ours = embedder.embed(preprocess(pixels, facts)[None])[0]
        other = embedder.embed(theirs(processor, pixels)[None].astype(np.float32))[0]
        assert float(ours @ other) >= 0.999, pixels.shape
