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
            resample="bicubic",
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
            file="builtin/efficientnet-lite0.onnx",
            sha256="4d5e3ea687c4c3c2ef48b6a17db91b170f2bec6df63b5edb94a5bf126235c09e",
            licence="Apache-2.0",
            input_name="pixel_values",
            output_name="embedding",
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
