"""Graphs that ONNX Runtime runs: which output is taken, on what, and every graph that is wrong."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from imagefinder import errors
from imagefinder.models.onnx import embedder as onnx_models
from imagefinder.models.onnx import runtime
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.onnx.files import OnnxFiles
from imagefinder.models.onnx.load import load_onnx
from imagefinder.models.onnx.outputs import Port, choose
from imagefinder.models.onnx.providers import DEVICES, providers_for
from imagefinder.protocols import Embedder, TextEmbedder
from imagefinder.types import Preprocessing
from tests.pictures import picture
from tests.small_graphs import (
    ANY_PIXELS,
    FLOAT,
    THUMBNAIL,
    Builder,
    clip_vision,
    matrix,
    pooled_network,
    resnet50v2,
    transformer,
    vgg16,
)

HALF, UINT8, INT64 = TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT64
SQUASHED = Preprocessing(224, 224, "squash", "bilinear", (127.5,) * 3, (127.5,) * 3)
PICTURES = [np.asarray(picture(seed)) for seed in range(4)]
CUDA = "CUDAExecutionProvider"


def files(graph: Path | bytes, **more: object) -> OnnxFiles:
    return OnnxFiles("small", graph, "0" * 64, SQUASHED, **more)


def tensors_for(model: Embedder) -> np.ndarray:
    return np.stack([model.preprocess(pixels) for pixels in PICTURES])


def given(graph: bytes, tensors: np.ndarray) -> dict[str, np.ndarray]:
    """Everything that the graph gives, from ONNX Runtime itself."""
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    feed = {session.get_inputs()[0].name: tensors}
    return dict(zip(names, session.run(names, feed), strict=True))


def network(
    shape: Sequence[int | str] = ("n", 3, 224, 224),
    *,
    type: int = FLOAT,
    out: Sequence[int | str | None] | None = ("n", 8),
) -> bytes:
    """(n, 8) for pictures of whatever shape and type it says that it takes."""
    b = Builder()
    pixels = b.node("Cast", "pixels", to=FLOAT) if type != FLOAT else "pixels"
    flat = b.node("Flatten", b.node("GlobalAveragePool", pixels))
    b.node("MatMul", flat, b.weight(matrix(int(shape[1] if shape[1:] else 3), 8)), out="y")
    return unchecked(b, {"pixels": (type, shape)}, {"y": (FLOAT, out)})


def unchecked(b: Builder, inputs: dict, outputs: dict) -> bytes:
    """Without `onnx.checker`, which is stricter than ONNX Runtime."""
    make = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        b.nodes,
        "small",
        [make(name, *facts) for name, facts in inputs.items()],
        [make(name, *facts) for name, facts in outputs.items()],
        b.weights,
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


# The models


@pytest.mark.parametrize(
    ("graph", "options", "dim", "output"),
    [
        (transformer(384), {"output": "last_hidden_state"}, 384, "last_hidden_state (class token)"),
        (
            transformer(384),
            {"output": "last_hidden_state", "pooling": "mean"},
            384,
            "last_hidden_state (mean)",
        ),
        (transformer(384), {"pooling": "mean"}, 384, "last_hidden_state (mean)"),
        (transformer(384), {}, 384, "pooler_output"),
        (clip_vision(), {}, 512, "image_embeds"),
        (pooled_network(2048), {}, 2048, "pooler_output (mean)"),
        (resnet50v2(), {"features": True}, 2048, "features"),
        (resnet50v2(), {}, 10, ""),
        (vgg16(), {"features": True}, 4096, "features"),
    ],
)
def test_the_output_that_is_taken(
    graph: bytes, options: dict[str, object], dim: int, output: str
) -> None:
    model = load_onnx(files(graph, dim=dim, **options))
    assert (model.spec.name, model.spec.sha256) == ("small", "0" * 64)
    assert (model.spec.dim, model.spec.output) == (dim, output)
    assert model.spec.preprocessing is SQUASHED
    assert not isinstance(model, TextEmbedder)
    rows = model.embed(tensors_for(model))
    assert rows.shape == (4, dim)
    assert rows.dtype == np.float32
    expected = given(graph, tensors_for(model))
    match output:
        case "last_hidden_state (class token)":
            assert np.allclose(rows, expected["last_hidden_state"][:, 0])
        case "last_hidden_state (mean)":
            assert np.allclose(rows, expected["last_hidden_state"].mean(axis=1), atol=1e-6)
        case "pooler_output (mean)":
            assert np.allclose(rows, expected["pooler_output"][:, :, 0, 0])
        case "pooler_output" | "image_embeds":
            assert np.allclose(rows, expected[output])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    others = (unit @ unit.T)[~np.eye(4, dtype=bool)]
    assert others.max() < 0.99  # another picture is another embedding
    assert abs(np.linalg.norm(rows, axis=1) - 1).max() > 0.001  # as the model makes them


def test_a_grid_is_averaged() -> None:
    b = Builder()
    b.node("AveragePool", "pixels", out="y", kernel_shape=[32, 32], strides=[32, 32])
    graph = b.model({"pixels": ANY_PIXELS}, {"y": (FLOAT, ("n", 3, "h", "w"))})
    model = load_onnx(files(graph))
    tensors = tensors_for(model)
    assert (model.spec.dim, model.spec.output) == (3, "y (mean)")
    assert np.allclose(model.embed(tensors), tensors.mean(axis=(2, 3)), atol=1e-5)


def test_a_calibration_is_the_files() -> None:
    assert load_onnx(files(network(), calibration=(6.0, -3.0))).spec.calibration == (6.0, -3.0)


def test_the_fingerprint_tells_outputs_apart() -> None:
    graph = transformer(384)
    options = [{}, {"output": "last_hidden_state"}, {"pooling": "mean"}]
    prints = {load_onnx(files(graph, **more)).spec.fingerprint for more in options}
    assert len(prints) == 3
    cut, whole = (load_onnx(files(vgg16(), features=features)) for features in (True, False))
    assert cut.spec.fingerprint != replace(whole.spec, dim=4096).fingerprint


@pytest.mark.parametrize("kind", ["fp16", "quantized"])
def test_variants_are_close_to_the_model(kind: str) -> None:
    model, other = (
        load_onnx(files(graph)) for graph in (transformer(384), transformer(384, kind=kind))
    )
    rows, others = (m.embed(tensors_for(m)) for m in (model, other))
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    assert ((rows * others).sum(axis=1) / norms).min() > 0.999
    assert not np.array_equal(rows, others)


def test_half_precision_in_and_out() -> None:
    b = Builder()
    small = b.node("AveragePool", "pixels", kernel_shape=[56, 56], strides=[56, 56])
    half = b.weight(matrix(THUMBNAIL, 8).astype(np.float16))
    b.node("MatMul", b.node("Flatten", small), half, out="y")
    graph = b.model({"pixels": (HALF, ("n", 3, 224, 224))}, {"y": (HALF, ("n", 8))})
    model = load_onnx(files(graph))
    rows = model.embed(tensors_for(model))
    assert rows.dtype == np.float32
    thumbnails = tensors_for(model).reshape(4, 3, 4, 56, 4, 56).mean(axis=(3, 5)).reshape(4, -1)
    assert np.allclose(rows, thumbnails @ matrix(THUMBNAIL, 8), atol=0.02)


@pytest.mark.parametrize(
    "shape", [(1, 3, 224, 224), ("n", "c", "h", "w"), ("n", 3, "h", "w"), None], ids=str
)
@pytest.mark.parametrize("out", [("n", 8), ("n", None), (1, 8), None], ids=str)
def test_shapes_that_are_fixed_and_shapes_that_are_not_said(
    shape: tuple[int | str, ...] | None, out: tuple[int | str | None, ...] | None
) -> None:
    b = Builder()
    small = b.node("AveragePool", "pixels", kernel_shape=[56, 56], strides=[56, 56])
    b.node("MatMul", b.node("Flatten", small), b.weight(matrix(THUMBNAIL, 8)), out="y")
    model = load_onnx(files(unchecked(b, {"pixels": (FLOAT, shape)}, {"y": (FLOAT, out)}), dim=8))
    assert model.spec.output == ""
    assert model.embed(tensors_for(model)).shape == (4, 8)


def test_an_embedding_does_not_depend_on_its_neighbours_nor_on_threads() -> None:
    model = load_onnx(files(transformer(768)))
    tensors = tensors_for(model)
    rows = model.embed(tensors)
    alone = model.with_threads(2)
    assert alone is not model
    assert alone.spec is model.spec
    for tensor, row in zip(tensors, rows, strict=True):
        assert np.array_equal(model.embed(tensor[None])[0], row)
        assert np.array_equal(alone.embed(tensor[None])[0], row)
    assert model.embed(tensors[:0]).shape == (0, 768)


@pytest.mark.parametrize("features", [False, True])
def test_a_file_is_as_good_as_its_bytes(tmp_path: Path, features: bool) -> None:
    (tmp_path / "model.onnx").write_bytes(vgg16())
    model = load_onnx(files(vgg16(), features=features))
    other = load_onnx(files(tmp_path / "model.onnx", features=features))
    tensors = tensors_for(model)
    assert np.array_equal(model.embed(tensors), other.embed(tensors))
    assert np.array_equal(model.embed(tensors), other.with_threads(2).embed(tensors))


def test_weights_in_a_file_beside(tmp_path: Path) -> None:
    model = onnx.load_from_string(transformer(384))
    path = tmp_path / "model.onnx"
    onnx.save(
        model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=1024
    )
    whole, split = load_onnx(files(transformer(384))), load_onnx(files(path))
    assert np.array_equal(whole.embed(tensors_for(whole)), split.embed(tensors_for(split)))
    (tmp_path / "model.onnx_data").unlink()
    with pytest.raises(errors.ModelError, match=r"^small: .*model\.onnx_data"):
        load_onnx(files(path))


# Graphs that are wrong


def with_several_inputs() -> bytes:
    b = Builder()
    b.node("Identity", b.node("Add", b.node("Flatten", "pixel_values"), "input_ids"), out="y")
    inputs = {"pixel_values": (FLOAT, ("n", 3, 224, 224)), "input_ids": (FLOAT, ("n", 1))}
    return b.model(inputs, {"y": (FLOAT, ("n", 150528))})


def with_no_input() -> bytes:
    b = Builder()
    b.node("Identity", b.weight(np.ones((1, 8), np.float32)), out="y")
    return b.model({}, {"y": (FLOAT, (1, 8))})


def of_images(*outputs: tuple[str, str, tuple[int | str | None, ...] | None]) -> bytes:
    """Outputs as (name, op, shape) of the pixels."""
    b = Builder()
    for name, op, _ in outputs:
        more = {"Cast": {"to": INT64}, "ReduceSum": {"keepdims": 0}}.get(op, {})
        b.node(op, "pixels", out=name, **more)
    types = {"Cast": INT64, "Shape": INT64, "Size": INT64}
    made = {name: (types.get(op, FLOAT), shape) for name, op, shape in outputs}
    return unchecked(b, {"pixels": (FLOAT, ("n", 3, 224, 224))}, made)


FLAT = ("n", 150528)


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (b"<html>", "cannot load the model: .*parsing failed"),
        (b"", "cannot load the model: .*No graph"),
        (with_no_input(), "has one input, this one has none"),
        (with_several_inputs(), r"has pixel_values .* input_ids .*give its vision part alone"),
        (network((3, 224, 224)), "has no batch axis; is not"),
        (network(("n", 3)), r"pixels \(\? x 3\) is not \(n, 3, height, width\)"),
        (network(("n", 224, 224, 3)), "224 channels, not 3; export it with the channels before"),
        (network(("n", 1, 224, 224)), "takes 1 channels, not 3$"),
        (network(type=UINT8), r"takes tensor\(uint8\), not float"),
        (network((4, 3, 224, 224), out=(4, 8)), "takes 4 images at a time; export"),
        (network(("n", 3, 256, 256)), "other pixels than the 224 x 224"),
        (network(("n", 3, "h", 192)), "other pixels than the 224 x 224"),
        (of_images(("y", "Shape", (4,))), "type tensor\\(int64\\)"),
        (of_images(("y", "Cast", ("n", 3, 224, 224))), "type tensor\\(int64\\)"),
        (of_images(("a", "Shape", (4,)), ("b", "Size", ())), r"none of its outputs .* a \(4\), b"),
        (of_images(("y", "ReduceSum", None)), "has no batch axis or is none of"),
        (of_images(("a", "Flatten", FLAT), ("b", "Flatten", FLAT)), 'a .*, b .* say which: "ima'),
    ],
)
def test_a_graph_that_is_wrong(graph: bytes, problem: str) -> None:
    with pytest.raises(errors.ModelError, match=problem) as raised:
        load_onnx(files(graph))
    assert str(raised.value).startswith("small: ")
    assert len(str(raised.value).splitlines()) == 1


def test_a_graph_without_a_batch_axis_on_its_output() -> None:
    b = Builder()
    cells = b.node("Transpose", b.reshaped("pixels", 3, 50176), perm=[1, 0])
    b.node("Identity", cells, out="y")
    for shape in ((50176, 3), ("a", "b"), None):
        graph = unchecked(b, {"pixels": (FLOAT, (1, 3, 224, 224))}, {"y": (FLOAT, shape)})
        with pytest.raises(errors.ModelError, match=r"50176 long for one item; export it with"):
            load_onnx(files(graph))


def test_a_graph_that_does_not_run() -> None:
    b = Builder()
    b.node("MatMul", b.node("Flatten", "pixels"), b.weight(matrix(THUMBNAIL, 8)), out="y")
    graph = unchecked(b, {"pixels": (FLOAT, ("n", 3, "h", "w"))}, {"y": (FLOAT, ("n", None))})
    with pytest.raises(errors.ModelError, match=r"does not run on pixels \(1, 3, 224, 224\)"):
        load_onnx(files(graph))


def test_another_dimension_than_the_rows() -> None:
    with pytest.raises(errors.ModelError, match="gives 384 dimensions, not the 768 of its row"):
        load_onnx(files(transformer(384), dim=768))


def test_an_output_that_is_not_there() -> None:
    with pytest.raises(
        errors.ModelError, match=r"no output features; it has last_hidden_state .*, pooler_output"
    ):
        load_onnx(files(transformer(384), output="features"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"output": "pooler_output", "pooling": "cls"}, "no tokens that pooling = 'cls'"),
        ({"output": "pooler_output", "pooling": "mean"}, "no tokens that pooling = 'mean'"),
        ({"features": True}, "no feature layer"),
    ],
)
def test_options_that_the_graph_cannot_follow(options: dict[str, object], problem: str) -> None:
    graph = clip_vision() if "features" not in options else pooled_network(64)
    if "output" in options:
        graph = transformer(384)
    with pytest.raises(errors.ModelError, match=rf"^small: .*{problem}"):
        load_onnx(files(graph, **options))


def test_a_file_that_is_not_there_or_only_a_pointer(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for features in (False, True):
        with pytest.raises(errors.ModelError, match=r"model\.onnx cannot be read: No such file"):
            load_onnx(files(path, features=features))
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(errors.ModelError, match=r"only a pointer of git-lfs .* git lfs pull"):
        load_onnx(files(path))


# Which output


def port(name: str, *shape: int | None, type: str = "tensor(float)") -> Port:
    return Port(name, type, shape)


@pytest.mark.parametrize(
    ("outputs", "taken"),
    [
        ([port("logits", None, 10), port("x", None, 5, 8)], "logits"),
        ([port("x", None, 10), port("pooler_output", None, 8)], "pooler_output"),
        ([port("pooler_output", None, 8), port("image_embeds", None, 5)], "image_embeds"),
        ([port("text_embeds", None, 8), port("pooler_output", None, 8)], "text_embeds"),
        ([port("last_hidden_state", None, 9, 8), port("y", None, 8, 7, 7)], "y (mean)"),
        ([port("pooler_output", None, 8, 1, 1), port("x", None, 8, 7, 7)], "pooler_output (mean)"),
        (
            [port("last_hidden_state", None, 9, 8), port("h", None, 9, 8)],
            "last_hidden_state (class token)",
        ),
        ([port("y", None, 8)], ""),
        ([port("y", None, 8), port("n", None, 2, type="tensor(int64)")], "y"),
        ([port("y", None, 9, 8)], "y (class token)"),
    ],
)
def test_the_best_output(outputs: list[Port], taken: str) -> None:
    assert choose("m", outputs).words == taken
    assert choose("m", outputs[::-1]).words == taken


# Devices


def test_auto_takes_the_best_that_there_is() -> None:
    def names(device: str, *available: str) -> list[str]:
        return [
            name for name, _ in providers_for(device, [f"{a}ExecutionProvider" for a in available])
        ]

    cpu = "CPUExecutionProvider"
    assert names("auto", "Azure", "CPU") == [cpu]
    assert names("auto", "CPU", "CUDA") == [CUDA, cpu]
    assert names("auto", "OpenVINO", "CoreML", "CPU") == [
        "CoreMLExecutionProvider",
        "OpenVINOExecutionProvider",
        cpu,
    ]
    assert names("cpu", "CUDA", "CPU") == [cpu]
    assert names("openvino", "CUDA", "OpenVINO", "CPU") == ["OpenVINOExecutionProvider", cpu]
    assert names("cuda", "CUDA", "CPU") == [CUDA, cpu]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(errors.UsageError, match=r"cuda: .* auto, cpu only; .* onnxruntime-gpu"):
        load_onnx(files(network()), device="cuda")
    with pytest.raises(errors.UsageError, match="onnxruntime-openvino"):
        providers_for("openvino", ["CPUExecutionProvider"])
    with pytest.raises(errors.UsageError, match="a Mac"):
        providers_for("coreml", ["CPUExecutionProvider"])
    with pytest.raises(errors.UsageError, match=f"tpu: .* {', '.join(DEVICES)}"):
        load_onnx(files(network()), device="tpu")


class OnCuda:
    """A session that says it is on a graphics card, and computes on the CPU. `batches` are those
    that it was given."""

    starts = True
    batches: list[int]

    def __init__(
        self, graph: bytes, options: ort.SessionOptions, *, providers: list, **_: object
    ) -> None:
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.asked, self.batches = [name for name, _ in providers], []

    def __getattr__(self, name: str) -> object:
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return self.asked if self.starts else ["CPUExecutionProvider"]

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.batches.append(len(next(iter(feed.values()))))
        return self.session.run(names, feed)


class FakeRuntime:
    """ONNX Runtime with CUDA."""

    SessionOptions, InferenceSession = ort.SessionOptions, OnCuda

    @staticmethod
    def get_available_providers() -> list[str]:
        return [CUDA, "CPUExecutionProvider"]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> type[OnCuda]:
    monkeypatch.setattr(runtime, "ort", FakeRuntime)
    monkeypatch.setattr(OnCuda, "starts", True)
    return OnCuda


def test_on_a_card_images_go_together(cuda: type[OnCuda], monkeypatch: pytest.MonkeyPatch) -> None:
    graph = transformer(384)
    model, one_by_one = load_onnx(files(graph)), load_onnx(files(graph), device="cpu")
    assert (model.on_cpu, model.batch) == (False, 32)
    assert (one_by_one.on_cpu, one_by_one.batch) == (True, 1)
    assert model.with_threads(2) is model
    monkeypatch.setattr(model, "batch", 3)
    tensors = tensors_for(model)
    del model._session.batches[:], one_by_one._session.batches[:]  # the run on loading
    assert np.allclose(model.embed(tensors), one_by_one.embed(tensors), atol=1e-6)
    assert model._session.batches == [3, 1]
    assert one_by_one._session.batches == [1] * 4


def test_batches_are_as_large_as_the_model_allows(
    cuda: type[OnCuda], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = Preprocessing(518, 518, "squash", "bilinear", (0.0,) * 3, (1.0,) * 3)
    graph = network(("n", 3, "h", "w"))
    assert load_onnx(replace(files(graph), preprocessing=large)).batch == 5
    assert load_onnx(files(network((1, 3, 224, 224)))).batch == 1
    assert load_onnx(files(network(out=(1, 8)))).batch == 1
    monkeypatch.setattr(onnx_models, "LARGE", 100)
    assert load_onnx(files(graph)).batch == 16


def test_a_card_that_does_not_start(cuda: type[OnCuda], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnCuda, "starts", False)
    with pytest.raises(errors.ModelError, match="could not start on cuda, often for want of"):
        load_onnx(files(network()), device="cuda")
    model = load_onnx(files(network()))
    assert isinstance(model, OnnxEmbedder)
    assert (model.on_cpu, model.batch) == (True, 1)
