"""A whole network trained on labelled images, until it is no better on a part of them."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefinder.adapt.choose import AS_IT_IS, Tried
from imagefinder.adapt.examples import Examples
from imagefinder.adapt.pictures import Pictures
from imagefinder.ahead import chunks
from imagefinder.errors import SourceError, UsageError

if TYPE_CHECKING:
    from imagefinder.models.torch.network import Network
    from imagefinder.models.torch.training import Batch, Trainer, Weights

PATIENCE = 3  # epochs that may bring nothing, one after the other
FEWEST = 4  # images in a batch: two classes, and of each another one


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a network is trained. There are `epochs` at most, of about as many images as there are to
    learn from, with `batch` of them in a step; `device` is auto, cpu, cuda (cuda:1, ...) or mps.

    Raises UsageError."""

    epochs: int = 10
    learning_rate: float = 1e-5
    batch: int = 64
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"--epochs {self.epochs}: there must be one at least")
        if not 0 < self.learning_rate < 1:  # so that NaN fails, too
            raise UsageError(f"--learning-rate {self.learning_rate}: it lies between 0 and 1")
        if self.batch < FEWEST:
            raise UsageError(f"--batch {self.batch}: there must be {FEWEST} images at least")


@dataclass(frozen=True, slots=True)
class Course:
    """What to learn from and what says when it is enough, without copies across."""

    pictures: Pictures
    train: Examples
    validation: Examples
    seed: int

    def run(
        self, network: "Network", tuning: Tuning, on_progress: Callable[[int, int | None], None]
    ) -> list[Tried[Any]]:
        """Train the network, which has the best weights afterwards; what it was worth after each
        epoch, and as it is, the best first. Raises ModelError, SourceError, UsageError."""
        from imagefinder.models.torch.training import Trainer

        rate, device = tuning.learning_rate, tuning.device
        trainer = Trainer(network, learning_rate=rate, seed=self.seed, device=device)
        tried: list[Tried[Any]] = [Tried(AS_IT_IS, None, (self._quality(trainer),))]
        kept: Weights | None = None
        best = 0  # the epoch, of all of them
        for epoch in range(1, tuning.epochs + 1):
            with closing(self._batches(epoch, tuning.batch)) as batches:
                if not trainer.learn(batches):
                    raise SourceError(
                        "none of the images to learn from can be read, such as"
                        f" {self.pictures.why_not()}"
                    )
            tried.append(Tried(epoch_name(epoch), None, (self._quality(trainer),)))
            # whatever it is worth, something learned is compared in the end
            if epoch == 1 or tried[-1].mean > max(one.mean for one in tried[1:-1]):
                kept = trainer.weights()
            if tried[-1].mean > tried[best].mean:
                best = epoch
            on_progress(epoch, tuning.epochs)
            if epoch - best >= PATIENCE:
                break
        assert kept is not None  # there is one epoch at least
        trainer.restore(kept)
        return sorted(tried, key=lambda one: -one.mean)

    def _quality(self, trainer: "Trainer") -> float:
        return self.pictures.embedded(self.validation, trainer.embed).quality(self.seed)

    def _batches(self, epoch: int, size: int) -> "Generator[Batch, None, None]":
        from imagefinder.models.torch.training import draw_epoch

        there = [id for id in self.train.ids if id not in self.pictures.skipped]
        if not there:
            return
        names = {name: number for number, name in enumerate(sorted(set(self.train.classes)))}
        number_of = {id: names[name] for id, name in self.train.class_of.items()}
        seed = int(np.random.SeedSequence([self.seed, epoch]).generate_state(1)[0])
        drawn: list[Sequence[int]] = list(draw_epoch([number_of[id] for id in there], size, seed))
        ids = (there[place] for places in drawn for place in places)
        with closing(self.pictures.tensors(ids)) as tensors:
            for some in chunks(tensors, len(drawn[0])):
                pixels = np.stack([tensor for _, tensor in some])
                yield pixels, [number_of[id] for id, _ in some]


def epoch_name(epoch: int) -> str:
    """Of what it has learned by then."""
    return f"fine-tuning, {epoch} epoch{'' if epoch == 1 else 's'}"
