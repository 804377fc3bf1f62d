"""Classifiers cut at their features, held against ONNX Runtime giving the same tensor out."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from imagefinder.errors import ModelError
from imagefinder.models.onnx.graph import FEATURES, feature_graph
from tests.small_graphs import (
    FLOAT,
    Builder,
    clip_text,
    matrix,
    pooled_network,
    resnet50v2,
    vgg16,
)

X = {"x": (FLOAT, ("n", 4))}
DATA = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WEIGHT = matrix(6, 2)


def run(graph: bytes, feed: dict[str, np.ndarray], *names: str) -> list[np.ndarray]:
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(list(names) or None, feed)


def with_output(graph: bytes, name: str) -> bytes:
    """The whole graph, which also gives the tensor of this name out."""
    model = onnx.load_from_string(graph)
    model.graph.output.append(onnx.ValueInfoProto(name=name))
    return model.SerializeToString()


def classifier(add_head: Callable[[Builder, str], object]) -> bytes:
    """x (n, 4) -> `here` (n, 6), which no constant is -> what the head makes of it."""
    b = Builder()
    here = b.node("Relu", b.node("MatMul", "x", b.weight(matrix(4, 6))), out="here")
    add_head(b, here)
    b.node("Identity", b.nodes[-1].output[0], out="y")
    return b.model(X, {"y": (FLOAT, ("n", None))})


@pytest.mark.parametrize(
    ("whole", "features"),
    [(resnet50v2(), "flatten_473"), (vgg16(), "flatten_70")],
    ids=["resnet50v2", "vgg16"],
)
def test_the_features_are_what_the_last_product_is_given(whole: bytes, features: str) -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32)
    cut = feature_graph(whole)
    (found,) = run(cut, {"data": pixels})
    (expected,) = run(with_output(whole, features), {"data": pixels}, features)
    assert np.array_equal(found, expected)
    assert found.std() > 0.001
    assert found.dtype == np.float32
    onnx.checker.check_model(onnx.load_from_string(cut), full_check=True)


@pytest.mark.parametrize("whole", [resnet50v2(), vgg16()], ids=["resnet50v2", "vgg16"])
def test_what_stands_behind_the_features_goes_and_all_else_stays(whole: bytes) -> None:
    before, after = (onnx.load_from_string(graph) for graph in (whole, feature_graph(whole)))
    assert [output.name for output in after.graph.output] == [FEATURES]
    *nodes, last = after.graph.node
    assert list(before.graph.node)[: len(nodes)] == nodes
    assert len(before.graph.node) == len(nodes) + 1
    assert (last.op_type, before.graph.node[-1].op_type) == ("Cast", "Gemm")
    weights = {weight.name for weight in after.graph.initializer}
    used = {name for node in nodes for name in node.input}
    assert weights == used & {weight.name for weight in before.graph.initializer}
    assert len(before.graph.initializer) == len(weights) + 2
    inputs = {given.name for given in after.graph.input}
    assert inputs == ({"data"} | weights if before.ir_version == 3 else {"data"})
    del before.graph.node[:], before.graph.initializer[:], before.graph.output[:]
    del after.graph.node[:], after.graph.initializer[:], after.graph.output[:]
    del before.graph.input[1:], after.graph.input[1:]
    assert before == after


def test_what_is_not_read_of_the_file_survives() -> None:
    model = onnx.load_from_string(vgg16())
    model.doc_string, model.producer_name, model.domain = "a model", "someone", "org.example"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    helper.set_model_props(model, {"licence": "Apache-2.0"})
    model.graph.doc_string = "a graph"
    model.graph.node[0].doc_string = "a node"
    model.graph.value_info.append(helper.make_tensor_value_info("flatten_70", FLOAT, ("N", 4096)))
    model.graph.value_info.append(helper.make_tensor_value_info("nowhere", FLOAT, ("N", 7)))
    cut = onnx.load_from_string(feature_graph(model.SerializeToString()))
    assert (cut.doc_string, cut.producer_name, cut.domain) == ("a model", "someone", "org.example")
    assert cut.opset_import == model.opset_import
    assert cut.metadata_props == model.metadata_props
    assert (cut.ir_version, cut.graph.name) == (model.ir_version, "small")
    assert cut.graph.doc_string == "a graph"
    assert cut.graph.node[0] == model.graph.node[0]
    assert list(cut.graph.value_info) == [model.graph.value_info[0]]


def as_constant(b: Builder) -> str:
    return b.node("Constant", value=numpy_helper.from_array(WEIGHT))


def transposed(b: Builder) -> str:
    return b.node("Transpose", b.weight(np.ascontiguousarray(WEIGHT.T)), perm=[1, 0])


def dequantized(b: Builder) -> str:
    whole = b.weight(np.round(WEIGHT * 100).astype(np.int8))
    return b.node("DequantizeLinear", whole, b.weight(np.array(0.01, np.float32)))


def cast(b: Builder) -> str:
    return b.node("Cast", b.weight(WEIGHT.astype(np.float16)), to=FLOAT)


def reshaped(b: Builder) -> str:
    shape = b.node("Identity", b.weight(np.array([6, 2])))
    return b.node("Reshape", b.weight(WEIGHT.reshape(2, 6)), shape)


@pytest.mark.parametrize("weight", [as_constant, transposed, dequantized, cast, reshaped])
def test_a_weight_is_one_however_it_comes(weight: Callable[[Builder], str]) -> None:
    whole = classifier(lambda b, here: b.node("MatMul", here, weight(b)))
    (found,) = run(feature_graph(whole), {"x": DATA})
    assert np.array_equal(found, run(with_output(whole, "here"), {"x": DATA}, "here")[0])


def softmax(b: Builder, y: str) -> None:
    b.node("Softmax", b.node("Mul", y, b.weight(np.array(0.5, np.float32))), axis=1)


def bias_first(b: Builder, y: str) -> None:
    b.node("Add", b.weight(np.ones(2, np.float32)), y)


def bias_of_a_constant(b: Builder, y: str) -> None:
    b.node("Sub", y, b.node("Constant", value=numpy_helper.from_array(np.ones(2, np.float32))))


def reshape_to_its_own_shape(b: Builder, y: str) -> None:
    b.node("Reshape", y, b.node("Shape", y))


def squeezed(b: Builder, y: str) -> None:
    axes = b.weight(np.array([1]))
    b.node("Squeeze", b.node("Unsqueeze", b.node("Flatten", y), axes), axes)


def quantized(b: Builder, y: str) -> None:
    scale = b.weight(np.array(0.01, np.float32))
    b.node("DequantizeLinear", b.node("QuantizeLinear", y, scale), scale)


HEADS = [softmax, bias_first, bias_of_a_constant, reshape_to_its_own_shape, squeezed, quantized]


@pytest.mark.parametrize("head", HEADS)
def test_what_may_stand_behind_the_last_product(head: Callable[[Builder, str], None]) -> None:
    whole = classifier(lambda b, here: head(b, b.node("MatMul", here, b.weight(WEIGHT))))
    (found,) = run(feature_graph(whole), {"x": DATA})
    assert np.array_equal(found, run(with_output(whole, "here"), {"x": DATA}, "here")[0])


def test_features_of_half_precision_come_out_in_single() -> None:
    def head(b: Builder, here: str) -> None:
        half = b.node("Cast", here, to=TensorProto.FLOAT16)
        b.node("Cast", b.node("MatMul", half, b.weight(WEIGHT.astype(np.float16))), to=FLOAT)

    whole = classifier(head)
    (found,) = run(feature_graph(whole), {"x": DATA})
    (expected,) = run(with_output(whole, "here"), {"x": DATA}, "here")
    assert found.dtype == np.float32
    assert np.array_equal(found, expected.astype(np.float16).astype(np.float32))


def test_a_graph_that_has_the_name_already() -> None:
    def head(b: Builder, here: str) -> None:
        b.node("MatMul", b.node("Abs", here, out=FEATURES), b.weight(WEIGHT))

    whole = classifier(head)
    (found,) = run(feature_graph(whole), {"x": DATA})
    assert np.array_equal(found, run(with_output(whole, FEATURES), {"x": DATA}, FEATURES)[0])


def test_what_only_a_graph_within_a_node_takes_stays() -> None:
    """`If` takes tensors from around it without listing them as its inputs."""

    def head(b: Builder, here: str) -> None:
        shift = b.weight(np.full(6, 3, np.float32))
        outside = b.node("Mul", here, b.weight(np.full(6, 2, np.float32)))
        branches = {}
        for name, given in {"then_branch": shift, "else_branch": outside}.items():
            node = helper.make_node("Add", [here, given], [f"of_{name}"])
            output = helper.make_tensor_value_info(f"of_{name}", FLOAT, ("n", 6))
            branches[name] = helper.make_graph([node], name, [], [output])
        many = b.node("Greater", b.node("Size", "x"), b.weight(np.array(8)))
        given = b.node("If", many, out="given", **branches)
        b.node("MatMul", given, b.weight(WEIGHT))

    whole = classifier(head)
    for rows in (1, 3):
        (found,) = run(feature_graph(whole), {"x": DATA[:rows]})
        (expected,) = run(with_output(whole, "given"), {"x": DATA[:rows]}, "given")
        assert np.array_equal(found, expected)


def of_two_data(b: Builder, here: str) -> None:
    b.node("MatMul", here, b.node("Transpose", here, perm=[1, 0]))


def residual(b: Builder, here: str) -> None:
    b.node("Add", here, b.node("MatMul", here, b.weight(matrix(6, 6))))


@pytest.mark.parametrize(
    "whole",
    [classifier(of_two_data), classifier(residual), pooled_network(2048), clip_text()],
    ids=["attention", "residual", "convolution", "text"],
)
def test_a_graph_without_a_last_product(whole: bytes) -> None:
    with pytest.raises(ModelError, match=r"no feature layer .* load it without `features`"):
        feature_graph(whole)


@pytest.mark.parametrize("data", [b"\x00not a graph", b"<html>not found</html>", b""])
def test_what_is_no_graph(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"not an ONNX graph; fetch or export it again"):
        feature_graph(data)


def test_weights_in_a_file_of_their_own() -> None:
    model = onnx.load_from_string(vgg16())
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")
    with pytest.raises(ModelError, match="save it as one file"):
        feature_graph(model.SerializeToString())
