"""The ONNX graph of the built-in model, written node by node.

Written by hand, because an exporter's output changes from one torch to the next, and this one is
to give the same bytes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fit_projection import Projection
from lite0_network import FEATURES, Convolution

OPSET = 17
IR_VERSION = 8  # the one that came with opset 17: any ONNX Runtime since 1.12 loads it
SIZE = 224
TINY = 1e-12  # keeps a feature vector that equals the mean from becoming NaN


@dataclass
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, operator: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def stored_as_half(self, name: str, values: NDArray[np.float64]) -> str:
        """Half the bytes on disk; ONNX Runtime folds the cast when it loads, and computes in
        float32, whose results do not depend on the processor as int8's do."""
        stored = self.constant(f"{name}.half", values.astype(np.float16))
        return self.node("Cast", name, [stored], to=TensorProto.FLOAT)


def build_model(
    convolutions: Iterable[Convolution], projection: Projection | None = None
) -> onnx.ModelProto:
    """`pixel_values` (n, 3, 224, 224) to `embedding` (n, dim), or to the pooled features (n, 1280)
    where there is no projection yet."""
    graph = _Graph()
    features = _add_features(graph, convolutions)
    if projection is None:
        graph.node("Identity", "embedding", [features])
        dim = FEATURES
    else:
        _add_head(graph, features, projection)
        dim = projection.matrix.shape[1]
    return _finish(graph, dim)


def _add_features(graph: _Graph, convolutions: Iterable[Convolution]) -> str:
    graph.constant("relu6.low", np.array(0, np.float32))
    graph.constant("relu6.high", np.array(6, np.float32))
    value = shortcut = "pixel_values"
    for convolution in convolutions:
        if convolution.block_start:
            shortcut = value
        value = _add_convolution(graph, convolution, value)
        if convolution.residual:
            value = graph.node("Add", f"{convolution.name}.sum", [value, shortcut])
    pooled = graph.node("GlobalAveragePool", "pooled", [value])
    return graph.node("Flatten", "features", [pooled], axis=1)


def _add_convolution(graph: _Graph, convolution: Convolution, value: str) -> str:
    name = convolution.name
    weight = graph.stored_as_half(f"{name}.weight", convolution.weight)
    bias = graph.constant(f"{name}.bias", convolution.bias.astype(np.float32))
    value = graph.node(
        "Conv",
        name,
        [value, weight, bias],
        kernel_shape=list(convolution.weight.shape[2:]),
        strides=[convolution.stride] * 2,
        pads=list(convolution.pads),
        group=convolution.groups,
    )
    if not convolution.relu6:
        return value
    return graph.node("Clip", f"{name}.relu6", [value, "relu6.low", "relu6.high"])


def _add_head(graph: _Graph, features: str, projection: Projection) -> None:
    mean = graph.constant("projection.mean", projection.mean.astype(np.float32))
    matrix = graph.stored_as_half("projection.matrix", projection.matrix)
    tiny = graph.constant("projection.tiny", np.array(TINY, np.float32))
    centred = graph.node("Sub", "centred", [features, mean])
    projected = graph.node("MatMul", "projected", [centred, matrix])
    length = graph.node("ReduceL2", "length", [projected], axes=[1], keepdims=1)
    divisor = graph.node("Max", "divisor", [length, tiny])
    graph.node("Div", "embedding", [projected, divisor])


def _finish(graph: _Graph, dim: int) -> onnx.ModelProto:
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dim])
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "efficientnet-lite0", [pixels], [embedding], graph.initializers
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="imagefinder",
    )
    onnx.checker.check_model(model, full_check=True)
    return model
