"""Small ONNX graphs of the structure of the catalogue's models, under the same file names.

A picture is pooled to 4 x 4 colours, and a random matrix makes an embedding of them: alike pictures
have alike embeddings. Of the words, the text sides know the names of colours, whose embeddings are
those of pictures of that colour.
"""

import json
from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import ImageColor
from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

GRID = 4
THUMBNAIL = 3 * GRID * GRID
CLASSES = 10  # the real ones have 1,000

# without greys, which have hardly a direction
COLOURS = [name for name in sorted(ImageColor.colormap) if "gr" not in name or "green" in name]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALF = [0.5, 0.5, 0.5]


@cache
def repositories() -> dict[str, dict[str, bytes]]:
    """Every file that the catalogue asks for, by repository and path."""
    legacy = "validated/vision/classification"
    return {
        "Qdrant/resnet50-onnx": {
            "model.onnx": pooled_network(2048),
            "preprocessor_config.json": CONVNEXT,
        },
        "onnxmodelzoo/legacy_models": {
            f"{legacy}/resnet/model/resnet50-v2-7.onnx": resnet50v2(),
            f"{legacy}/vgg/model/vgg16-12.onnx": vgg16(),
        },
        "Xenova/vit-base-patch16-224-in21k": with_variants("model", 768, VIT),
        "Xenova/dinov2-small": with_variants("model", 384, DINOV2),
        "Xenova/dinov2-base": with_variants("model", 768, DINOV2),
        "Qdrant/clip-ViT-B-32-vision": {
            "model.onnx": clip_vision(),
            "preprocessor_config.json": CLIP,
        },
        "Qdrant/clip-ViT-B-32-text": {
            "model.onnx": clip_text(),
            "tokenizer.json": clip_tokenizer().encode(),
        },
        "onnx-community/siglip2-base-patch16-256-ONNX": {
            **with_variants("vision_model", 768, SIGLIP, side=256),
            "onnx/text_model.onnx": siglip_text(768),
            "tokenizer.json": siglip_tokenizer().encode(),
        },
    }


def with_variants(name: str, dim: int, config: bytes, side: int = 224) -> dict[str, bytes]:
    """As transformers.js wants its repositories."""
    return {
        "preprocessor_config.json": config,
        f"onnx/{name}.onnx": transformer(dim, side=side),
        f"onnx/{name}_fp16.onnx": transformer(dim, side=side, kind="fp16"),
        f"onnx/{name}_quantized.onnx": transformer(dim, side=side, kind="quantized"),
    }


class Builder:
    """Nodes and weights of a graph in the making. `kind` says how products with weights are done:
    fp32, fp16, or quantized (to 8 bits, as ONNX Runtime's dynamic quantisation does)."""

    def __init__(self, kind: str = "fp32") -> None:
        self.kind = kind
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, array: NDArray[np.generic]) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self, op: str, *inputs: str, out: str | tuple[str, ...] = "", **attributes: object
    ) -> str:
        """Returns the name of the (first) output."""
        names = (out or f"{op.lower()}_{len(self.nodes)}",) if isinstance(out, str) else out
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0]

    def reshaped(self, x: str, *shape: int) -> str:
        return self.node("Reshape", x, self.weight(np.array(shape, np.int64)))

    def thumbnail(self, pixels: str, side: int) -> str:
        """(n, 48)"""
        kernel = [side // GRID] * 2
        small = self.node("AveragePool", pixels, kernel_shape=kernel, strides=kernel)
        return self.node("Flatten", small)

    def product(self, x: str, matrix: NDArray[np.float32], out: str = "") -> str:
        if self.kind == "fp16":
            half = self.node("Cast", x, to=TensorProto.FLOAT16)
            given = self.node("MatMul", half, self.weight(matrix.astype(np.float16)))
            return self.node("Cast", given, out=out, to=TensorProto.FLOAT)
        if self.kind == "quantized":
            return self.quantized_product(x, matrix, out)
        return self.node("MatMul", x, self.weight(matrix), out=out)

    def quantized_product(self, x: str, matrix: NDArray[np.float32], out: str) -> str:
        n = len(self.nodes)
        scale = np.float32(np.abs(matrix).max() / 127)
        whole = self.weight(np.round(matrix / scale).astype(np.int8))
        x8, x_scale, x_zero = names = (f"x8_{n}", f"x_scale_{n}", f"x_zero_{n}")
        self.node("DynamicQuantizeLinear", x, out=names)
        zero = self.weight(np.array(0, np.int8))
        sums = self.node("Cast", self.node("MatMulInteger", x8, whole, x_zero, zero), to=1)
        both = self.node("Mul", x_scale, self.weight(np.array(scale)))
        return self.node("Mul", sums, both, out=out)

    def model(
        self,
        inputs: dict[str, tuple[int, tuple[int | str, ...]]],
        outputs: dict[str, tuple[int, tuple[int | str | None, ...]]],
        *,
        opset: int = 17,
        ir: int = 8,
    ) -> bytes:
        """Inputs and outputs: name -> type and shape. Before IR 4, weights are inputs too."""
        given = [helper.make_tensor_value_info(name, *facts) for name, facts in inputs.items()]
        if ir < 4:
            given += [
                helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
                for weight in self.weights
            ]
        made = [helper.make_tensor_value_info(name, *facts) for name, facts in outputs.items()]
        graph = helper.make_graph(self.nodes, "small", given, made, self.weights)
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
ANY_PIXELS = (FLOAT, ("batch_size", "num_channels", "height", "width"))  # as optimum exports


def matrix(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng((seed, columns)).normal(size=(rows, columns)) / np.sqrt(rows)
    return values.astype(np.float32)


@cache
def transformer(dim: int, *, side: int = 224, kind: str = "fp32") -> bytes:
    """ViT, DINOv2, SigLIP: a class token and the patches', and a pooled vector."""
    b = Builder(kind)
    thumbnail = b.thumbnail("pixel_values", side)
    pooled = b.product(thumbnail, colour_first(dim))
    first = b.reshaped(b.node("Tanh", pooled), 0, 1, dim)
    cells = b.node("Transpose", b.reshaped(thumbnail, 0, 3, GRID * GRID), perm=[0, 2, 1])
    patches = b.product(cells, matrix(3, dim))
    b.node("Concat", first, patches, out="last_hidden_state", axis=1)
    b.node("Identity", pooled, out="pooler_output")
    outputs = {
        "last_hidden_state": (FLOAT, ("batch_size", "sequence_length", dim)),
        "pooler_output": (FLOAT, ("batch_size", dim)),
    }
    return b.model({"pixel_values": ANY_PIXELS}, outputs)


@cache
def pooled_network(dim: int) -> bytes:
    """ResNet of transformers: what is pooled keeps its height and width, of 1 x 1."""
    b = Builder()
    grid = b.reshaped(b.thumbnail("pixel_values", 224), 0, THUMBNAIL, 1, 1)
    kernels = matrix(THUMBNAIL, dim).T.reshape(dim, THUMBNAIL, 1, 1)
    features = b.node("Conv", grid, b.weight(np.ascontiguousarray(kernels)))
    b.node("GlobalAveragePool", features, out="pooler_output")
    shape = ("batch_size", dim, "height", "width")
    return b.model({"pixel_values": ANY_PIXELS}, {"pooler_output": (FLOAT, shape)})


@cache
def resnet50v2() -> bytes:
    """A classifier of the model zoo, in its old format."""
    b = Builder()
    grid = b.reshaped(b.thumbnail("data", 224), 0, THUMBNAIL, 1, 1)
    kernels = matrix(THUMBNAIL, 2048).T.reshape(2048, THUMBNAIL, 1, 1)
    features = b.node("Relu", b.node("Conv", grid, b.weight(np.ascontiguousarray(kernels))))
    pooled = b.node("GlobalAveragePool", features, out="resnetv24_pool1_fwd")
    flat = b.node("Flatten", pooled, out="flatten_473")
    last = b.weight(np.ascontiguousarray(matrix(2048, CLASSES).T))
    bias = b.weight(np.ones(CLASSES, np.float32))
    b.node("Gemm", flat, last, bias, out="resnetv24_dense0_fwd", transB=1)
    outputs = {"resnetv24_dense0_fwd": (FLOAT, ("N", CLASSES))}
    return b.model({"data": (FLOAT, ("N", 3, 224, 224))}, outputs, opset=7, ir=3)


@cache
def vgg16() -> bytes:
    """The same; the features are the second last of its dense layers, after its Relu."""
    b = Builder()
    first, bias = b.weight(matrix(THUMBNAIL, 4096)), b.weight(np.zeros(4096, np.float32))
    dense = b.node("Gemm", b.thumbnail("data", 224), first, bias, out="vgg0_dense1_fwd")
    dropped = b.node("Dropout", b.node("Relu", dense, out="vgg0_dense1_relu_fwd"))
    last = b.weight(np.ascontiguousarray(matrix(4096, CLASSES).T))
    flat = b.node("Flatten", dropped, out="flatten_70")
    bias = b.weight(np.ones(CLASSES, np.float32))
    b.node("Gemm", flat, last, bias, out="vgg0_dense2_fwd", transB=1)
    outputs = {"vgg0_dense2_fwd": (FLOAT, ("N", CLASSES))}
    return b.model({"data": (FLOAT, ("N", 3, 224, 224))}, outputs, opset=12, ir=7)


@cache
def clip_vision(dim: int = 512) -> bytes:
    """Projected to where texts are, beside the tokens, which are not."""
    b = Builder()
    thumbnail = b.thumbnail("pixel_values", 224)
    b.product(thumbnail, colour_first(dim), out="image_embeds")
    cells = b.node("Transpose", b.reshaped(thumbnail, 0, 3, GRID * GRID), perm=[0, 2, 1])
    b.product(cells, matrix(3, 16), out="last_hidden_state")
    outputs = {
        "image_embeds": (FLOAT, ("batch_size", dim)),
        "last_hidden_state": (FLOAT, ("batch_size", GRID * GRID, 16)),
    }
    return b.model({"pixel_values": ANY_PIXELS}, outputs)


@cache
def clip_text(dim: int = 512) -> bytes:
    """The mean of the tokens that the mask leaves."""
    b = Builder()
    table = token_table(len(CLIP_VOCABULARY), dim, CLIP_VOCABULARY, CLIP_MEAN, CLIP_STD)
    tokens = b.node("Gather", b.weight(table), "input_ids", out="last_hidden_state")
    mask = b.node("Cast", "attention_mask", to=FLOAT)
    mask = b.node("Unsqueeze", mask, b.weight(np.array([2])))
    axis = b.weight(np.array([1]))
    total = b.node("ReduceSum", b.node("Mul", tokens, mask), axis, keepdims=0)
    b.node("Div", total, b.node("ReduceSum", mask, axis, keepdims=0), out="text_embeds")
    ids = (INT64, ("batch_size", "sequence_length"))
    outputs = {
        "text_embeds": (FLOAT, ("batch_size", dim)),
        "last_hidden_state": (FLOAT, ("batch_size", "sequence_length", dim)),
    }
    return b.model({"input_ids": ids, "attention_mask": ids}, outputs)


@cache
def siglip_text(dim: int) -> bytes:
    """Without a mask: what is pooled is at the last of 64 tokens, where texts are padded."""
    b = Builder()
    table = token_table(len(SIGLIP_VOCABULARY), dim, SIGLIP_VOCABULARY, HALF, HALF)
    tokens = b.node("Gather", b.weight(table), "input_ids")
    b.node("CumSum", tokens, b.weight(np.array(1)), out="last_hidden_state")
    b.node("Gather", "last_hidden_state", b.weight(np.array(63)), out="pooler_output", axis=1)
    outputs = {
        "last_hidden_state": (FLOAT, ("batch_size", "sequence_length", dim)),
        "pooler_output": (FLOAT, ("batch_size", dim)),
    }
    return b.model({"input_ids": (INT64, ("batch_size", "sequence_length"))}, outputs)


def colour_first(dim: int) -> NDArray[np.float32]:
    """(48, dim): the mean colour counts more than what is where."""
    mean = np.kron(np.eye(3), np.full((GRID**2, GRID**2), 1 / GRID**2))
    weighted = 0.5 * mean + 0.5 * np.eye(THUMBNAIL)
    product: NDArray[np.float32] = (weighted @ matrix(THUMBNAIL, dim)).astype(np.float32)
    return product


def token_table(
    size: int, dim: int, vocabulary: dict[str, int], mean: list[float], std: list[float]
) -> NDArray[np.float32]:
    """(size, dim): a colour's row is the embedding of a picture that is all of it."""
    table = 0.02 * matrix(size, dim, seed=1)
    colours = np.array([ImageColor.getrgb(colour)[:3] for colour in COLOURS]) / 255
    thumbnails = np.repeat((colours - mean) / std, GRID**2, axis=1)
    table[[vocabulary[colour] for colour in COLOURS]] = thumbnails @ colour_first(dim)
    return table


CLIP_VOCABULARY = {
    word: id for id, word in enumerate(["<unk>", *COLOURS, "<|startoftext|>", "<|endoftext|>"])
}
SIGLIP_VOCABULARY = {
    word: id for id, word in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *COLOURS])
}


@cache
def clip_tokenizer() -> str:
    """Marks begin and end; its file speaks of no cut and no padding."""
    tokenizer = words(CLIP_VOCABULARY, "<|startoftext|> $A <|endoftext|>")
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer.to_str()


@cache
def siglip_tokenizer() -> str:
    """64 tokens always; capitals are others."""
    tokenizer = words(SIGLIP_VOCABULARY, "$A <eos>")
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding(length=64, pad_id=0, pad_token="<pad>")
    return tokenizer.to_str()


def words(vocabulary: dict[str, int], single: str) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    specials = [(word, vocabulary[word]) for word in single.split() if word != "$A"]
    tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=specials)
    return tokenizer


def config(mean: list[float], std: list[float], **more: object) -> bytes:
    """preprocessor_config.json"""
    steps = {"do_resize": True, "do_normalize": True, "image_mean": mean, "image_std": std}
    return json.dumps({**steps, **more}).encode()


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


RESCALED = {"do_rescale": True, "rescale_factor": 0.00392156862745098}
VIT = config(
    *(HALF, HALF),
    **RESCALED,
    feature_extractor_type="ViTFeatureExtractor",
    resample=2,
    size=square(224),
)
DINOV2 = config(
    *(IMAGENET_MEAN, IMAGENET_STD),
    **RESCALED,
    image_processor_type="BitImageProcessor",
    resample=3,
    size={"shortest_edge": 256},
    do_center_crop=True,
    crop_size=square(224),
    do_convert_rgb=True,
)
CLIP = config(
    *(CLIP_MEAN, CLIP_STD),
    feature_extractor_type="CLIPFeatureExtractor",
    resample=3,
    size=224,
    do_center_crop=True,
    crop_size=224,
)
CONVNEXT = config(
    *(IMAGENET_MEAN, IMAGENET_STD),
    feature_extractor_type="ConvNextFeatureExtractor",
    resample=3,
    size=224,
    crop_pct=0.875,
)
SIGLIP = config(
    *(HALF, HALF),
    **RESCALED,
    image_processor_type="SiglipImageProcessor",
    processor_class="SiglipProcessor",
    resample=2,
    size=square(256),
    do_convert_rgb=None,
)
