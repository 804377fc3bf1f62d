"""ONNX Runtime sessions of the model that is committed."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper

BUILTIN = Path(__file__).resolve().parent.parent / "src/imagefinder/models/builtin"
MODEL = BUILTIN / "efficientnet-lite0.onnx"


def embedding_session() -> onnxruntime.InferenceSession:
    """Gives the embeddings, (n, 256)."""
    return in_memory(onnx.load(MODEL))


def feature_session() -> onnxruntime.InferenceSession:
    """Gives the pooled features before the head, (n, 1280)."""
    model = onnx.load(MODEL)
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1280])
    )
    return in_memory(model)


def in_memory(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
