"""Words: how they become tokens, and the embeddings that they share with pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from imagefinder import errors
from imagefinder.models.onnx.embedder import OnnxEmbedder
from imagefinder.models.onnx.files import OnnxFiles, TextFiles
from imagefinder.models.onnx.load import load_onnx
from imagefinder.models.onnx.text import OnnxTextEmbedder
from imagefinder.protocols import TextEmbedder
from imagefinder.types import Preprocessing
from tests.small_graphs import (
    CLIP_MEAN,
    CLIP_STD,
    CLIP_VOCABULARY,
    FLOAT,
    INT64,
    SIGLIP_VOCABULARY,
    Builder,
    clip_text,
    clip_tokenizer,
    clip_vision,
    matrix,
    siglip_text,
    siglip_tokenizer,
    transformer,
)

INT32 = TensorProto.INT32
COLOURS = ("red", "lime", "blue", "yellow")
START, END = CLIP_VOCABULARY["<|startoftext|>"], CLIP_VOCABULARY["<|endoftext|>"]
RED, BLUE, UNKNOWN = (CLIP_VOCABULARY[word] for word in ("red", "blue", "<unk>"))
IDS = (INT64, ("n", "tokens"))


def normalised(mean: list[float], std: list[float], side: int) -> Preprocessing:
    scaled = [tuple(255 * value for value in values) for values in (mean, std)]
    return Preprocessing(side, side, "squash", "bicubic", *scaled)


def text_files(folder: Path, graph: bytes, tokenizer: str, **more: object) -> TextFiles:
    (folder / "text_model.onnx").write_bytes(graph)
    (folder / "tokenizer.json").write_text(tokenizer)
    return TextFiles(folder / "text_model.onnx", folder / "tokenizer.json", **more)


@pytest.fixture
def clip(tmp_path: Path) -> OnnxFiles:
    text = text_files(tmp_path, clip_text(), clip_tokenizer(), max_tokens=77)
    return OnnxFiles("clip", clip_vision(), "0", normalised(CLIP_MEAN, CLIP_STD, 224), text=text)


@pytest.fixture
def siglip(tmp_path: Path) -> OnnxFiles:
    text = text_files(tmp_path, siglip_text(768), siglip_tokenizer(), max_tokens=64, lowercase=True)
    how = normalised([0.5] * 3, [0.5] * 3, 256)
    return OnnxFiles(
        "siglip", transformer(768, side=256), "0", how, output="pooler_output", text=text
    )


def loaded(files: OnnxFiles) -> OnnxTextEmbedder:
    model = load_onnx(files)
    assert isinstance(model, OnnxTextEmbedder)
    return model


def ids(model: OnnxTextEmbedder, text: str) -> list[int]:
    return model.tokens(text)["input_ids"][0].tolist()


def changed(text: TextFiles, **more: object) -> TextFiles:
    """With another tokenizer file: what is given is done to it."""
    tokenizer = Tokenizer.from_file(str(text.tokenizer))
    if "cut" in more:
        tokenizer.enable_truncation(more.pop("cut"))
    if "pad" in more:
        tokenizer.enable_padding(length=more.pop("pad"), pad_id=7, pad_token="<unk>")
    text.tokenizer.write_text(tokenizer.to_str())
    return replace(text, **more)


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_words_find_pictures_of_their_colour(name: str, request: pytest.FixtureRequest) -> None:
    model = load_onnx(request.getfixturevalue(name))
    assert isinstance(model, TextEmbedder)
    colours = [np.asarray(Image.new("RGB", (40, 30), colour)) for colour in COLOURS]
    pictures = model.embed(np.stack([model.preprocess(pixels) for pixels in colours]))
    texts = model.embed_texts([f"a photo of something {colour.upper()}" for colour in COLOURS])
    assert texts.shape == (4, model.spec.dim)
    assert texts.dtype == np.float32
    unit, others = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (texts, pictures))
    assert (unit @ others.T).argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert (unit @ others.T).diagonal().min() > 0.8


def test_a_text_does_not_depend_on_its_neighbours(clip: OnnxFiles) -> None:
    model = loaded(clip)
    texts = ["red", "", "blue " * 200, "a yellow cat"]
    rows = model.embed_texts(texts)
    for text, row in zip(texts, rows, strict=True):
        assert np.array_equal(model.embed_texts([text])[0], row)
    assert model.embed_texts([]).shape == (0, 512)
    assert np.array_equal(model.with_threads(2).embed_texts(texts), rows)
    assert isinstance(model.with_threads(2), OnnxTextEmbedder)


def test_what_the_graph_is_given(clip: OnnxFiles) -> None:
    tokens = loaded(clip).tokens("Red, or BLUE?")
    expected = [START, RED, UNKNOWN, UNKNOWN, BLUE, UNKNOWN, END]
    assert list(tokens) == ["input_ids", "attention_mask"]
    assert tokens["input_ids"].tolist() == [expected]
    assert tokens["attention_mask"].tolist() == [[1] * 7]
    assert {array.dtype for array in tokens.values()} == {np.dtype(np.int64)}


def test_embeddings_are_those_of_the_graph(clip: OnnxFiles) -> None:
    model = loaded(clip)
    session = ort.InferenceSession(clip_text(), providers=["CPUExecutionProvider"])
    feed = {
        "input_ids": np.array([[START, RED, UNKNOWN, END]]),
        "attention_mask": np.ones((1, 4), np.int64),
    }
    assert np.allclose(model.embed_texts(["red car"]), session.run(["text_embeds"], feed)[0])


def test_a_long_text_is_cut_and_its_marks_stay(clip: OnnxFiles) -> None:
    assert clip.text is not None
    model = loaded(clip)
    assert ids(model, "red " * 200) == [START, *[RED] * 75, END]
    assert ids(loaded(replace(clip, text=replace(clip.text, max_tokens=None))), "red " * 99) == [
        START,
        *[RED] * 99,
        END,
    ]


def test_the_cut_of_the_file_stays_unless_the_model_takes_less(clip: OnnxFiles) -> None:
    assert clip.text is not None
    model = loaded(replace(clip, text=changed(clip.text, cut=10)))
    assert ids(model, "red " * 200) == [START, *[RED] * 8, END]
    model = loaded(replace(clip, text=changed(clip.text, cut=128)))
    assert ids(model, "red " * 200) == [START, *[RED] * 75, END]


def test_an_empty_text_is_its_marks_alone(clip: OnnxFiles) -> None:
    model = loaded(clip)
    assert ids(model, "") == ids(model, "  ") == [START, END]
    assert np.isfinite(model.embed_texts([""])).all()


def test_a_text_without_a_token(clip: OnnxFiles) -> None:
    assert clip.text is not None
    clip.text.tokenizer.write_text(Tokenizer(WordLevel({"a": 0}, unk_token="[U]")).to_str())
    model = loaded(clip)
    with pytest.raises(errors.ModelError, match="clip: the text '' has no tokens"):
        model.embed_texts([""])


def test_half_a_letter(clip: OnnxFiles) -> None:
    with pytest.raises(errors.UsageError, match="half a letter"):
        loaded(clip).embed_texts(["caf\ud800"])


def test_the_padding_of_the_file_stays(siglip: OnnxFiles) -> None:
    model = loaded(siglip)
    red, end = SIGLIP_VOCABULARY["red"], SIGLIP_VOCABULARY["<eos>"]
    assert list(model.tokens("red")) == ["input_ids"]
    assert ids(model, "RED") == [red, end, *[0] * 62]
    assert ids(model, "red " * 100) == [*[red] * 63, end]
    assert ids(loaded(replace(siglip, text=replace(siglip.text, lowercase=False))), "RED") == [
        SIGLIP_VOCABULARY["<unk>"],
        end,
        *[0] * 62,
    ]


def test_a_mask_leaves_padding_out(clip: OnnxFiles) -> None:
    assert clip.text is not None
    row = loaded(clip).embed_texts(["red"])
    padded = loaded(replace(clip, text=changed(clip.text, pad=20)))
    assert padded.tokens("red")["attention_mask"].tolist() == [[1] * 3 + [0] * 17]
    assert ids(padded, "red") == [START, RED, END, *[7] * 17]
    assert np.allclose(padded.embed_texts(["red"]), row, atol=1e-7)


def table_graph(inputs: dict[str, tuple[int, tuple[int | str, ...]]], dim: int = 512) -> bytes:
    """The sum of the rows of a table at every number that it is given."""
    b = Builder()
    axis = b.weight(np.array([1]))
    table = b.weight(matrix(len(CLIP_VOCABULARY), dim))
    rows = [
        b.node("ReduceSum", b.node("Gather", table, name), axis, keepdims=0)
        for name, (type, _) in inputs.items()
        if type in (INT32, INT64)
    ]
    b.node("Sum", *rows, out="y") if rows else b.node("Identity", table, out="y")
    return b.model(inputs, {"y": (FLOAT, ("n", dim))})


def test_other_inputs_are_filled_by_their_names(clip: OnnxFiles, tmp_path: Path) -> None:
    short = (INT32, ("n", "tokens"))
    graph = table_graph({"position_ids": IDS, "token_type_ids": short, "input_ids": short})
    text = text_files(tmp_path, graph, clip_tokenizer())
    tokens = loaded(replace(clip, text=text)).tokens("red red")
    assert tokens["position_ids"].tolist() == [[0, 1, 2, 3]]
    assert tokens["token_type_ids"].tolist() == [[0, 0, 0, 0]]
    assert tokens["input_ids"].tolist() == [[START, RED, RED, END]]
    assert [array.dtype for array in tokens.values()] == [np.int64, np.int32, np.int32]


def test_a_graph_of_one_length_is_given_that_length(clip: OnnxFiles, tmp_path: Path) -> None:
    graph = table_graph({"input_ids": (INT64, (1, 6))})
    text = text_files(tmp_path, graph, clip_tokenizer(), max_tokens=77)
    model = loaded(replace(clip, text=text))
    assert ids(model, "red") == [START, RED, END, 0, 0, 0]
    assert ids(model, "red " * 20) == [START, *[RED] * 4, END]
    changed(text, pad=5)
    assert ids(loaded(replace(clip, text=text)), "red") == [START, RED, END, 7, 7, 7]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({"input_ids": IDS, "pixel_values": (FLOAT, ("n", 3))}, "needs pixel_values, which no"),
        ({"attention_mask": IDS}, "no input input_ids"),
        ({"input_ids": (FLOAT, ("n", 3))}, r"takes tensor\(float\), not int64"),
        ({"input_ids": (INT64, ("tokens",))}, r"does not take \(1, tokens\)"),
        ({"input_ids": (INT64, (8, "tokens"))}, r"does not take \(1, tokens\)"),
    ],
)
def test_a_graph_that_takes_no_words(
    clip: OnnxFiles, tmp_path: Path, inputs: dict, problem: str
) -> None:
    graph = onnx.load_from_string(table_graph({"input_ids": IDS}))
    del graph.graph.input[:]
    for name, facts in inputs.items():
        graph.graph.input.append(onnx.helper.make_tensor_value_info(name, *facts))
    if "input_ids" not in inputs or inputs["input_ids"] != IDS:
        node = onnx.helper.make_node("Shape", [next(iter(inputs))], ["ids"])
        one = onnx.helper.make_node("Unsqueeze", ["ids", "weight_0"], ["input_ids_"])
        graph.graph.node.insert(0, one)
        graph.graph.node.insert(0, node)
        graph.graph.node[2].input[1] = "input_ids_"
    text = text_files(tmp_path, graph.SerializeToString(), clip_tokenizer())
    with pytest.raises(errors.ModelError, match=f"clip, text side: .*{problem}"):
        load_onnx(replace(clip, text=text))


def test_texts_of_another_dimension_than_pictures(clip: OnnxFiles, tmp_path: Path) -> None:
    text = text_files(tmp_path, clip_text(256), clip_tokenizer())
    with pytest.raises(errors.ModelError, match="texts have 256 dimensions and images 512"):
        load_onnx(replace(clip, text=text))


def test_the_text_output_that_is_asked_for(siglip: OnnxFiles) -> None:
    assert siglip.text is not None
    model = loaded(replace(siglip, text=replace(siglip.text, output="last_hidden_state")))
    first = loaded(siglip).embed_texts(["red"])
    assert model.embed_texts(["red"]).shape == first.shape
    assert not np.allclose(model.embed_texts(["red"]), first)
    with pytest.raises(errors.ModelError, match="text side: the graph has no output text_embeds"):
        load_onnx(replace(siglip, text=replace(siglip.text, output="text_embeds")))


def test_a_tokenizer_that_cannot_be_read(clip: OnnxFiles) -> None:
    assert clip.text is not None
    for content in ("{}", "", "not JSON"):
        clip.text.tokenizer.write_text(content)
        with pytest.raises(errors.ModelError, match=r"tokenizer\.json is not a tokenizer\.json"):
            load_onnx(clip)
    clip.text.tokenizer.unlink()
    with pytest.raises(errors.ModelError, match=r"tokenizer\.json"):
        load_onnx(clip)


def test_without_a_text_side_a_model_takes_no_words(clip: OnnxFiles) -> None:
    model = load_onnx(replace(clip, text=None))
    assert type(model) is OnnxEmbedder
    assert not isinstance(model, TextEmbedder)
    assert model.spec == load_onnx(clip).spec
