"""Small networks of transformers with random weights, saved as such models are: as folders."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from imagefinder.arrays import Embeddings, Pixels
from imagefinder.decode import decode
from imagefinder.protocols import Embedder

DEMO = Path(__file__).resolve().parents[1] / "src" / "imagefinder" / "demo" / "images"

SIDE = 32  # pixels
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": SIDE,
    "patch_size": 8,
}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
WORDS = ["<pad>", "<s>", "</s>", "<unk>", *(f"word{i}" for i in range(60))]
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SQUASH = {"size": {"height": SIDE, "width": SIDE}, "resample": 2, **HALF}
CUT = {
    "size": {"shortest_edge": 36},
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_center_crop": True,
    "resample": 3,
    **HALF,
}


def vit() -> transformers.PreTrainedModel:
    return transformers.ViTModel(transformers.ViTConfig(**VISION))


def vit_classifier() -> transformers.PreTrainedModel:
    """As most are: without a pooler, and with a head that no one asks for."""
    return transformers.ViTForImageClassification(transformers.ViTConfig(**VISION))


def dinov2() -> transformers.PreTrainedModel:
    return transformers.Dinov2Model(transformers.Dinov2Config(**VISION))


def beit() -> transformers.PreTrainedModel:
    return transformers.BeitModel(transformers.BeitConfig(**VISION))


def masked() -> transformers.PreTrainedModel:
    """It hides other parts of a picture each time."""
    return transformers.ViTMAEModel(transformers.ViTMAEConfig(**VISION))


def resnet() -> transformers.PreTrainedModel:
    return transformers.ResNetModel(transformers.ResNetConfig(**STAGES))


def bit() -> transformers.PreTrainedModel:
    """Few groups: of two values each, a group's norm would be a sign, which rounding flips."""
    return transformers.BitModel(transformers.BitConfig(**STAGES, num_groups=2))


def convnext() -> transformers.PreTrainedModel:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    return transformers.ConvNextModel(config)


def swin() -> transformers.PreTrainedModel:
    config = transformers.SwinConfig(
        image_size=SIDE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return transformers.SwinModel(config)


def segformer() -> transformers.PreTrainedModel:
    """It has neither a pooler nor a class token."""
    config = transformers.SegformerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
    return transformers.SegformerModel(config)


def clip() -> transformers.PreTrainedModel:
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=24)
    return transformers.CLIPModel(config)


def chinese_clip() -> transformers.PreTrainedModel:
    """Each token of a text sees all others, so that what pads it must be hidden."""
    config = transformers.ChineseCLIPConfig(
        text_config=TEXT, vision_config=VISION, projection_dim=24
    )
    return transformers.ChineseCLIPModel(config)


def clip_vision() -> transformers.PreTrainedModel:
    config = transformers.CLIPVisionConfig(**VISION, projection_dim=24)
    return transformers.CLIPVisionModelWithProjection(config)


def siglip() -> transformers.PreTrainedModel:
    config = transformers.SiglipConfig(text_config=TEXT, vision_config=VISION)
    return transformers.SiglipModel(config)


NETWORKS: Mapping[
    str, tuple[Callable[[], transformers.PreTrainedModel], str, dict[str, object]]
] = {
    "vit": (vit, "ViTImageProcessor", SQUASH),
    "vit-classifier": (vit_classifier, "ViTFeatureExtractor", SQUASH),
    "dinov2": (dinov2, "BitImageProcessor", CUT),
    "beit": (beit, "BeitImageProcessor", SQUASH),
    "masked": (masked, "ViTImageProcessor", SQUASH),
    "resnet": (resnet, "ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}, **HALF}),
    "bit": (bit, "BitImageProcessor", {**CUT, "size": 72, "crop_size": 64}),
    "convnext": (convnext, "ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}, **HALF}),
    "swin": (swin, "ViTImageProcessor", SQUASH),
    "segformer": (segformer, "SegformerImageProcessor", SQUASH),
    "clip": (clip, "CLIPImageProcessor", CUT),
    "chinese-clip": (chinese_clip, "ChineseCLIPImageProcessor", CUT),
    "clip-vision": (clip_vision, "CLIPImageProcessor", CUT),
    "siglip": (siglip, "SiglipImageProcessor", SQUASH),
}
WITH_TEXT = ("clip", "siglip", "chinese-clip")


def save_network(kind: str, folder: Path) -> Path:
    """A folder as `save_pretrained` leaves it."""
    make, processor, config = NETWORKS[kind]
    torch.manual_seed(0)
    network = make().eval()
    spread(network)
    network.save_pretrained(folder)
    older = processor.endswith("FeatureExtractor")
    said = {"feature_extractor_type" if older else "image_processor_type": processor, **config}
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    if kind in WITH_TEXT:
        save_tokenizer(folder)
    return folder


def spread(network: torch.nn.Module) -> None:
    """Weights as new ones are make almost the same of every picture; these do not."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1 and "scale" not in name:
                weight.mul_(0).add_(torch.randn_like(weight), alpha=1.5 * weight[0].numel() ** -0.5)


def save_tokenizer(folder: Path) -> None:
    """Words are tokens, between a begin and an end; it pads nothing and cuts nothing."""
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"pad_token": "<pad>", "model_max_length": 16}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def five_pictures() -> list[Pixels]:
    """Of the demo set."""
    files = [path for path in sorted(DEMO.iterdir()) if path.is_file()][::51]
    return [decode(file.read_bytes()).pixels for file in files[:5]]


def embedded(embedder: Embedder, pictures: list[Pixels]) -> Embeddings:
    """All in one batch."""
    return embedder.embed(np.stack([embedder.preprocess(pixels) for pixels in pictures]))


def cosines(some: Embeddings, others: Embeddings) -> np.ndarray:
    """Of rows of the same number."""
    return (some * others).sum(1) / np.linalg.norm(some, axis=1) / np.linalg.norm(others, axis=1)
