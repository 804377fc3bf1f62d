"""The models by name: one row a model, nothing but facts."""

from imagefinder.errors import UsageError
from imagefinder.types import ModelSpec

DEFAULT_MODEL = "efficientnet-lite0"

CATALOG: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="efficientnet-lite0",
            dim=256,
            size=224,
            resize="squash",
            resample="bilinear",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            file="builtin/efficientnet-lite0.onnx",
            sha256="2f0c1399b2bfd931f69a07a61bbe8a11f44f58532e8983c60227a0959dffcee9",
            licence="Apache-2.0",
            input_name="pixel_values",
            output_name="embedding",
            calibration=(6.590, -3.112),  # tools/fit_calibration.py
        ),
    )
}


def model_spec(name: str) -> ModelSpec:
    """The row of `name`. Raises UsageError that lists the names there are."""
    try:
        return CATALOG[name]
    except KeyError:
        known = ", ".join(sorted(CATALOG))
        raise UsageError(f"{name}: no such model; there are: {known}") from None
