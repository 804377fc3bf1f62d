"""A network with other weights, as the folder that it might have come in."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from imagefinder.errors import ModelError
from imagefinder.models.description import FINE_TUNED, Description
from imagefinder.models.torch.files import NetworkFiles
from imagefinder.models.torch.network import Network, first_line, quiet

POOLER = "pooler."


def save_network(network: Network, files: NetworkFiles, folder: Path) -> None:
    """Write the network, which came of `files` and is on the CPU, into a folder that is there.

    There is no tokenizer among what is written, so that the model has no text side: what was
    learned of pictures need not hold for words. Raises ModelError."""
    module = network.pictures.network
    weights = module.state_dict()
    if network.output != "pooler_output":  # a random one must not pass for a trained one later
        weights = {name: each for name, each in weights.items() if not name.startswith(POOLER)}
    try:
        with quiet():
            module.save_pretrained(folder, state_dict=weights)
        shutil.copyfile(files.processor, folder / files.processor.name)
    except OSError as error:
        raise ModelError(
            f"{folder.parent}: the model cannot be written ({error.strerror or error}); make room,"
            " or write it elsewhere: --output DIR"
        ) from error
    except Exception as error:  # transformers raises whatever happens inside
        raise ModelError(
            f"{files.reference}: transformers cannot save it: {first_line(error)}"
        ) from error


def save_description(folder: Path, description: Description) -> None:
    """How it came about, beside the model."""
    text = json.dumps(asdict(description), indent=2, ensure_ascii=False)
    (folder / FINE_TUNED).write_text(f"{text}\n", encoding="utf-8")
