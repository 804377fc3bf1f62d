"""Models for tests of a cluster. Workers import them, too."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

import numpy as np

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.testing import FAKE, FakeEmbedder
from imagefinder.types import ModelSpec

DEADLY = (255, 0, 255)


@dataclass
class Watched:
    """The fake model, which takes `seconds` an image and notes in a folder which process has worked
    how much. A picture all of the colour DEADLY kills the process."""

    folder: Path
    seconds: float = 0.0
    spec: ModelSpec = field(default=FAKE)
    images: int = 0

    def preprocess(self, image: Pixels) -> Tensor:
        """(3, 4, 4)"""
        if (image == np.array(DEADLY, np.uint8)).all():
            with (self.folder / "deaths").open("a") as deaths:
                deaths.write(f"{os.getpid()}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        self.images += 1
        (self.folder / f"worker-{os.getpid()}").write_text(str(self.images))
        sleep(self.seconds)
        return FakeEmbedder().preprocess(image)

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, 48) unit rows"""
        return FakeEmbedder().embed(tensors)


class OnCard(Watched):
    """One that says that it computes on a graphics card."""

    on_cpu = False


def at_work(folder: Path) -> Iterator[int]:
    """The processes that have worked and live."""
    for file in sorted(folder.glob("worker-*")):
        process = int(file.name.partition("-")[2])
        with suppress(ProcessLookupError):
            os.kill(process, 0)
            yield process


def worked(folder: Path) -> dict[int, int]:
    """How many images each process has looked at."""
    return {
        int(file.name.partition("-")[2]): int(file.read_text() or 0)
        for file in folder.glob("worker-*")
    }
