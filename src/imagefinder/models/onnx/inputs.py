"""Whether a graph takes pictures."""

from collections.abc import Sequence

import numpy as np

from imagefinder.errors import ModelError
from imagefinder.models.onnx.outputs import Port, listed
from imagefinder.types import Preprocessing

PIXELS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def image_input(name: str, inputs: Sequence[Port], how: Preprocessing) -> Port:
    """The graph's only input, which takes (n, 3, height, width). Raises ModelError."""
    if len(inputs) != 1:
        raise ModelError(
            f"{name}: a graph of an image model has one input, this one has"
            f" {listed(inputs) or 'none'}; give its vision part alone"
        )
    port, size = inputs[0], (how.height, how.width)
    if port.type not in PIXELS:
        raise ModelError(
            f"{name}: its input {port} takes {port.type}, not float or float16;"
            " export it without the preprocessing of pixels"
        )
    if not port.shape:  # not said: the first run will tell
        return port
    if len(port.shape) != 4:
        hint = " has no batch axis;" if len(port.shape) == 3 else ""
        raise ModelError(f"{name}: its input {port}{hint} is not (n, 3, height, width)")
    batch, channels, *sides = port.shape
    if channels not in (3, None):
        hint = "; export it with the channels before height and width" if sides[1] == 3 else ""
        raise ModelError(f"{name}: its input {port} takes {channels} channels, not 3{hint}")
    if batch not in (1, None):
        raise ModelError(
            f"{name}: its input {port} takes {batch} images at a time;"
            " export it with a batch axis of any length"
        )
    if any(side not in (wanted, None) for side, wanted in zip(sides, size, strict=True)):
        raise ModelError(
            f"{name}: its input {port} takes other pixels than the {size[0]} x {size[1]} of its"
            " preprocessing; correct the size in one of the two"
        )
    return port
