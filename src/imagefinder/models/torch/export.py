"""PyTorch's networks -> ONNX graphs."""

from pathlib import Path

import torch
from onnx_ir.passes.common import NameFixPass
from torch.export import Dim

from imagefinder.errors import ModelError
from imagefinder.models.torch.network import Network, first_line, quiet
from imagefinder.models.torch.texts import Texts
from imagefinder.types import Preprocessing

OUTPUT = "embedding"


def export_pictures(network: Network, how: Preprocessing, path: Path, name: str) -> None:
    """The graph of pixels (any number of pictures). Raises ModelError."""
    pixels = torch.zeros(2, 3, how.height, how.width)
    export(network.pictures, {"pixel_values": pixels}, [{0: Dim("batch")}], path, name)


def export_words(words: torch.nn.Module, texts: Texts, path: Path, name: str) -> None:
    """The graph of tokens, for any number of texts. Always padded to one length they have no mask;
    else they are of any length, with one."""
    if texts.habit.padded:
        ids = torch.full((2, texts.length), texts.pad)
        export(words, {"input_ids": ids}, [{0: Dim("batch")}], path, name)
        return
    axes = {0: Dim("batch"), 1: Dim("tokens", max=texts.length)}
    ids = torch.full((2, min(7, texts.length)), texts.pad)
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    export(words, given, [axes, axes], path, name)


def export(
    module: torch.nn.Module,
    given: dict[str, torch.Tensor],
    axes: list[dict[int, Dim]],
    path: Path,
    name: str,
) -> None:
    """Weights of more than 2 GB, which a graph cannot hold, go to a file beside it."""
    try:
        with quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(given.values()),
                input_names=list(given),
                output_names=[OUTPUT],
                dynamic_shapes=tuple(axes),
                dynamo=True,
                verbose=False,
            )
            NameFixPass()(program.model)  # else a value within may be called as the output is
            program.save(path)
    except OSError:
        raise
    except Exception as error:  # whatever the exporter meets in the network
        raise ModelError(
            f"{name}: PyTorch cannot turn it into a graph: {first_line(error.__cause__ or error)};"
            " use the model with the extra torch, as it is"
        ) from error
