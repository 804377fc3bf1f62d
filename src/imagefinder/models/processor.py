"""The preprocessing that a model was trained with, as `preprocessor_config.json` states it.

The words are those of the image processors of transformers; what a file leaves out is as it is in
the processor that the file names.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from imagefinder.errors import ModelError
from imagefinder.types import Preprocessing

Config: TypeAlias = Mapping[str, object]
Triple: TypeAlias = tuple[float, float, float]

MAX_SIDE = 4096  # pixels; some files count something else under these names

RESAMPLES = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # Pillow's numbers
TYPE_KEYS = ("image_processor_type", "feature_extractor_type")
TYPE_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")

HALF: dict[str, object] = {"image_mean": 0.5, "image_std": 0.5}
IMAGENET: dict[str, object] = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
CLIP: dict[str, object] = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SQUASHED: dict[str, object] = {"size": {"height": 224, "width": 224}, "resample": 3}
CUT: dict[str, object] = {
    "size": {"shortest_edge": 224},
    "crop_size": 224,
    "do_center_crop": True,
    "default_to_square": False,  # what a size that is one number means
    "resample": 3,
}
EVERY: dict[str, object] = {
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "resample": 2,
}

# What a file need not say, by processor. `crop_pct`: the short side goes to size / crop_pct first.
PROCESSORS: Mapping[str, Config] = {
    "Beit": SQUASHED | HALF,
    "Bit": CUT | CLIP,
    "Blip": SQUASHED | CLIP | {"size": 384},
    "CLIP": CUT | CLIP,
    "ChineseCLIP": CUT | CLIP,
    "ConvNext": HALF
    | {
        "size": {"shortest_edge": 384},
        "default_to_square": False,
        "resample": 3,
        "crop_pct": 224 / 256,
        "squash_from": 384,  # pixels: so large a picture is not cut
    },
    "DINOv3ViT": SQUASHED | IMAGENET | {"resample": 2},
    "DeiT": SQUASHED | HALF | {"size": 256, "crop_size": 224, "do_center_crop": True},
    # it divides by the deviation twice
    "EfficientNet": SQUASHED | HALF | {"size": 346, "crop_size": 289, "include_top": True},
    "Levit": CUT | IMAGENET | {"crop_pct": 224 / 256},
    "MobileNetV1": CUT | HALF | {"size": {"shortest_edge": 256}, "resample": 2},
    "MobileNetV2": CUT | HALF | {"size": {"shortest_edge": 256}, "resample": 2},
    "MobileViT": CUT | {"crop_size": 256, "do_normalize": False, "do_flip_channel_order": True},
    "PoolFormer": CUT | IMAGENET | {"crop_pct": 0.9},
    "Pvt": SQUASHED | IMAGENET,
    "Segformer": SQUASHED | IMAGENET | {"size": 512, "resample": 2},
    "Siglip": SQUASHED | HALF,
    "ViT": SQUASHED | HALF | {"resample": 2},
}

# Steps that are taken, or that change nothing here: pixels are RGB, and labels there are none.
STEPS = {
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_convert_rgb",
    "do_reduce_labels",
}

KEEPS_SHAPE = (
    "is of the short side, and nothing is cut: pictures would differ in size;"
    " write it as height and width, or set do_center_crop to true"
)
OTHER_SIZE = (
    "must be one number, or height and width, or (for size) shortest_edge alone;"
    " other ways cannot be done here"
)


def read_processor(path: Path) -> Preprocessing:
    """What a file says. Raises ModelError."""
    return preprocessing_of(read_config(path), str(path))


def read_config(path: Path) -> Config:
    """The image processor's part of a file. Raises ModelError."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: the file cannot be read ({error.strerror}); copy the model's own again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: it is no JSON ({error}); copy the model's own again") from error
    if isinstance(config, dict) and isinstance(config.get("image_processor"), dict):
        config = config["image_processor"]  # as in a processor_config.json
    if not isinstance(config, dict):
        raise ModelError(f"{path}: it holds no image processor; copy the model's own again")
    return config


def preprocessing_of(config: Config, where: str) -> Preprocessing:
    """What a config says. Raises ModelError, which names `where` and the key, for what is wrong
    and for what cannot be done here."""
    keys = Keys({**defaults_of(config, where), **given(config)}, where)
    refuse_other_steps(keys)
    height, width, resize, shortest = geometry_of(keys)
    mean, std = normalisation_of(keys)
    return Preprocessing(
        height=height,
        width=width,
        resize=resize,
        resample=keys.resample(),
        mean=mean,
        std=std,
        shortest=shortest,
    )


def given(config: Config) -> Config:
    """Without the keys that say nothing."""
    return {key: value for key, value in config.items() if value is not None}


def defaults_of(config: Config, where: str) -> Config:
    """Of the processor that the config names. One that names none says everything itself."""
    name = next((config[key] for key in TYPE_KEYS if config.get(key) is not None), None)
    if name is None:
        return EVERY
    kind = str(name)
    for ending in TYPE_ENDINGS:
        kind = kind.removesuffix(ending)
    if kind not in PROCESSORS:
        raise ModelError(
            f"{where}: how {name} prepares pictures is not known here; where one of these does"
            f" the same, name it: {', '.join(f'{known}ImageProcessor' for known in PROCESSORS)}"
        )
    return {**EVERY, **PROCESSORS[kind]}


def refuse_other_steps(keys: "Keys") -> None:
    """Raises ModelError for whatever else the processor does with a picture."""
    for key in keys.config:
        step = key == "rescale_offset" or (key.startswith("do_") and key not in STEPS)
        if step and keys.flag(key):
            raise keys.wrong(key, "is true, which cannot be done here; use another model")
    if not keys.flag("do_resize"):
        raise keys.wrong("do_resize", "is false, but pictures come in every size; set it to true")


def geometry_of(keys: "Keys") -> tuple[int, int, str, int | None]:
    """Height and width of what the model takes, the way there, and the side before the cut."""
    height, width, shortest = keys.size("size", square=keys.flag("default_to_square", True))
    crop = keys.size("crop_size")[:2] if keys.flag("do_center_crop") else None
    if shortest is None:
        return squashed(keys, (height, width), crop)
    if "crop_pct" in keys.config:
        crop = crop or (shortest, shortest)
        if shortest >= keys.number("squash_from", math.inf):
            return (shortest, shortest, "squash", None)
        shortest = int(shortest / keys.positive("crop_pct"))
        if shortest > MAX_SIDE:
            raise keys.wrong("crop_pct", f"asks for a short side of {shortest} pixels; raise it")
    if crop is None:
        raise keys.wrong("size", KEEPS_SHAPE)
    if max(crop) > shortest:
        raise keys.wrong("crop_size", f"is more than the {shortest} pixels there are; lower it")
    return (*crop, "crop", shortest)


def squashed(
    keys: "Keys", size: tuple[int, int], crop: tuple[int, int] | None
) -> tuple[int, int, str, int | None]:
    """For a size with height and width; what is cut from it must be the middle of a square."""
    if crop is None or crop == size:
        return (*size, "squash", None)
    if len({*size}) > 1 or len({*crop}) > 1 or crop > size:
        raise keys.wrong("crop_size", f"cannot be cut from {size}; set do_center_crop to false")
    return (*crop, "squash", size[0])


def normalisation_of(keys: "Keys") -> tuple[Triple, Triple]:
    """Mean and deviation of pixels from 0 to 255."""
    scale = keys.positive("rescale_factor") if keys.flag("do_rescale") else 1.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if keys.flag("do_normalize", True):
        mean, std = keys.triple("image_mean"), keys.triple("image_std")
        if not all(std):
            raise keys.wrong("image_std", "holds a 0; copy the model's own file again")
        if keys.flag("include_top"):
            std = (std[0] ** 2, std[1] ** 2, std[2] ** 2)
    return over(mean, scale), over(std, scale)


def over(values: Triple, scale: float) -> Triple:
    """In pixels from 0 to 255; rounded, so that 0.5 / (1 / 255) is 127.5 on every way to it."""
    red, green, blue = (round(value / scale, 9) for value in values)
    return (red, green, blue)


class Keys:
    """The values of a config, each read as what it must be. All raise ModelError."""

    def __init__(self, config: Config, where: str) -> None:
        self.config, self.where = config, where

    def wrong(self, key: str, problem: str) -> ModelError:
        """In the same words for every key."""
        return ModelError(f"{self.where}: {key} {problem}")

    def take(self, key: str) -> object:
        """A value that must be there."""
        if key not in self.config:
            raise self.wrong(key, "is missing; add it, or image_processor_type")
        return self.config[key]

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self.config.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Any finite number."""
        value = default if key not in self.config and default is not None else self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "must be a number")
        return float(value)

    def positive(self, key: str) -> float:
        """A number that can be divided by."""
        value = self.number(key)
        if not 0 < value < math.inf:
            raise self.wrong(key, "must be a number above 0")
        return value

    def triple(self, key: str) -> Triple:
        """A number for red, green and blue each, or one for all."""
        value = self.take(key)
        values = value if isinstance(value, list) else [value] * 3
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(values) != 3 or len(numbers) != 3 or not all(map(math.isfinite, numbers)):
            raise self.wrong(key, "must be three numbers")
        return (float(numbers[0]), float(numbers[1]), float(numbers[2]))

    def size(self, key: str, *, square: bool = True) -> tuple[int, int, int | None]:
        """Height and width; or the short side as third, where the shape is kept."""
        value = self.take(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = {"height": value, "width": value} if square else {"shortest_edge": value}
        elif isinstance(value, list) and len(value) == 2:
            value = {"height": value[0], "width": value[1]}
        sides = given(value) if isinstance(value, dict) else {}
        for side in sides.values():
            if isinstance(side, bool) or not isinstance(side, int) or not 0 < side <= MAX_SIDE:
                raise self.wrong(key, f"must be in whole pixels, {MAX_SIDE} at most")
        match sides:
            case {"height": int(height), "width": int(width)} if len(sides) == 2:
                return height, width, None
            case {"shortest_edge": int(shortest)} if len(sides) == 1 and key == "size":
                return shortest, shortest, shortest
        raise self.wrong(key, OTHER_SIZE)

    def resample(self) -> str:
        """The filter's name, from Pillow's number for it or from a name."""
        value = self.take("resample")
        if isinstance(value, str) and value.lower() in RESAMPLES:
            return value.lower()
        if isinstance(value, int) and not isinstance(value, bool) and value in range(6):
            return RESAMPLES[value]
        raise self.wrong("resample", f"must be 0 to 5, or one of {', '.join(RESAMPLES)}")
