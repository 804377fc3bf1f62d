"""Networks of transformers, and what of their answers is the embedding."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
import transformers
from transformers.utils import logging as transformers_logging

from imagefinder.errors import ModelError
from imagefinder.models.torch.files import NetworkFiles
from imagefinder.types import Preprocessing

CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")  # how the parameter is called
BERT_POOLER = "pooler.dense.weight"  # made for a classifier that is seldom there, and often random

LOUD = ("transformers", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")  # loggers

QUIET = Lock()

# What can be the embedding, and how it becomes (n, dim). Some leave it (n, dim, 1, 1).
OUTPUTS: Mapping[str, Callable[[Any], torch.Tensor]] = {
    "image_embeds": lambda answer: answer.image_embeds,
    "image features": lambda answer: answer.pooler_output,
    "pooler_output": lambda answer: answer.pooler_output.flatten(1),
    "last_hidden_state (class token)": lambda answer: answer.last_hidden_state[:, 0],
    "last_hidden_state (mean)": lambda answer: mean(answer.last_hidden_state),
}


@dataclass(frozen=True, slots=True)
class Network:
    """A network in 32 bits on the CPU. `pictures` turns pixels (n, 3, height, width) into rows
    (n, dim), `words` tokens and their mask (n, tokens) where there is a text side."""

    pictures: torch.nn.Module
    output: str  # one of OUTPUTS
    dim: int
    words: torch.nn.Module | None = None


def load_network(files: NetworkFiles, how: Preprocessing) -> Network:
    """Raises ModelError for what cannot be loaded, lacks weights or gives no embeddings."""
    with quiet():
        module, missing = load_module(files)
        both = hasattr(module, "get_image_features")
        pooler = set() if both else {key for key in missing if key.startswith("pooler.")}
        if lost := sorted(missing - pooler):
            raise ModelError(
                f"{files.reference}: {len(lost)} of its weights are missing, such as {lost[0]};"
                " copy the model again, or use another"
            )
        output, dim = probe(module, files.reference, how, trained_pooler=not pooler)
    words = Words(module) if both and files.tokenizer else None
    return Network(Pictures(module, output), output, dim, words)


def load_module(files: NetworkFiles) -> tuple[torch.nn.Module, set[str]]:
    """The network, and the names of the weights that its files lack and that are random now."""
    try:
        config = transformers.AutoConfig.from_pretrained(
            files.config.parent, local_files_only=True, trust_remote_code=False
        )
        module, told = class_for(config).from_pretrained(
            files.weights[0].parent,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=".safetensors" in files.weights[0].suffixes,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises whatever happens inside
        raise ModelError(
            f"{files.reference}: transformers cannot load it: {first_line(error)};"
            " imagefinder takes the vision models that transformers has code for"
        ) from error
    return module.eval().requires_grad_(False), set(told["missing_keys"])


def class_for(config: Any) -> Any:
    """The class without a head; with one where it projects into a space that texts share."""
    for name in config.architectures or ():
        if name.endswith("VisionModelWithProjection"):
            return getattr(transformers, name)
    return transformers.AutoModel


class Pictures(torch.nn.Module):  # type: ignore[misc]
    """Pixels -> embeddings."""

    def __init__(self, network: torch.nn.Module, output: str) -> None:
        super().__init__()
        self.network, self.take = network, OUTPUTS[output]

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.take(answer_to(self.network, pixel_values))


class Words(torch.nn.Module):  # type: ignore[misc]
    """Tokens -> embeddings. Without a mask, no token is one that only fills."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        answer = self.network.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return answer.pooler_output


def answer_to(network: torch.nn.Module, pixel_values: torch.Tensor) -> Any:
    """All that the network says of pictures."""
    if hasattr(network, "get_image_features"):
        return network.get_image_features(pixel_values=pixel_values)
    return network(pixel_values=pixel_values)


def output_of(network: torch.nn.Module, answer: Any, *, trained_pooler: bool) -> str:
    """Which of the answers is the embedding: a name of OUTPUTS."""
    if hasattr(network, "get_image_features"):
        return "image features"
    if getattr(answer, "image_embeds", None) is not None:
        return "image_embeds"
    trained_pooler = trained_pooler and not has_parameter(network, BERT_POOLER)
    if trained_pooler and getattr(answer, "pooler_output", None) is not None:
        return "pooler_output"
    if answer.last_hidden_state.ndim == 3 and has_parameter(network, *CLASS_TOKENS):
        return "last_hidden_state (class token)"
    return "last_hidden_state (mean)"


def mean(states: torch.Tensor) -> torch.Tensor:
    """Over the picture, of (n, dim, height, width) or (n, parts, dim)."""
    return states.mean(dim=(2, 3)) if states.ndim == 4 else states.mean(dim=1)


def has_parameter(network: torch.nn.Module, *names: str) -> bool:
    """Whether a weight is called one of these."""
    return any(each.endswith(names) for each, _ in network.named_parameters())


def probe(
    network: torch.nn.Module, reference: str, how: Preprocessing, *, trained_pooler: bool
) -> tuple[str, int]:
    """The output and its dimensions, from what the network makes of one picture twice. Raises
    ModelError."""
    side = torch.linspace(-1, 1, how.height * how.width).reshape(1, 1, how.height, how.width)
    try:
        with torch.inference_mode():
            answer = answer_to(network, side.expand(2, 3, -1, -1).contiguous())
            output = output_of(network, answer, trained_pooler=trained_pooler)
            rows = OUTPUTS[output](answer)
    except Exception as error:  # whatever the network does with a picture
        raise ModelError(
            f"{reference}: the network makes no embedding of a picture of {how.height} x"
            f" {how.width}: {first_line(error)}; it must be a vision model, with its own"
            " preprocessor_config.json"
        ) from error
    if rows.ndim != 2 or not torch.isfinite(rows).all():
        raise ModelError(
            f"{reference}: what the network makes of a picture is no embedding ({output},"
            f" {tuple(rows.shape)}); use another model"
        )
    if not torch.allclose(rows[0], rows[1], rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{reference}: the network makes something else of the same picture each time;"
            " use another model, or switch its masking off in config.json (mask_ratio)"
        )
    return output, int(rows.shape[1])


@contextmanager
def in_our_words(whose: str, device: torch.device, *, when_full: str) -> Iterator[None]:
    """Around what PyTorch computes: ModelError where it fails. `whose` begins what is said."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(f"{whose}the memory of {device} does not suffice{when_full}") from error
    except RuntimeError as error:
        raise ModelError(
            f"{whose}PyTorch fails on {device}: {first_line(error)}; try --device cpu"
        ) from error


def first_line(error: BaseException) -> str:
    """What went wrong, without the advice for programmers below it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:;")


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing on the screen and no warnings: what matters of them becomes a ModelError. What is
    changed for that is the whole process's, so one at a time."""
    with QUIET:
        bars = transformers_logging.is_progress_bar_enabled()
        levels = {name: logging.getLogger(name).level for name in LOUD}
        transformers_logging.disable_progress_bar()
        for name in levels:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if bars:
                transformers_logging.enable_progress_bar()
