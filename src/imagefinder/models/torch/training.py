"""Networks that learn from labelled pictures: loss, draws and steps."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import TypeAlias

import numpy as np
import torch

from imagefinder.arrays import Embeddings, Tensors
from imagefinder.errors import UsageError
from imagefinder.models.torch.augment import augmented
from imagefinder.models.torch.embedder import device_for, dtype_for
from imagefinder.models.torch.network import Network, in_our_words

# (n, 3, height, width) preprocessed pictures, and the number of the class of each
Batch: TypeAlias = tuple[Tensors, Sequence[int]]
Weights: TypeAlias = Mapping[str, torch.Tensor]

TEMPERATURE = 0.1  # as in the paper
FEWEST_OF_CLASS = 4  # pictures in a batch, where the batch is large enough
STEEPEST = 1.0  # length of a gradient; the first ones of a new loss may be wild

DRAWING = Lock()


def supervised_contrastive(rows: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """How far the rows (n, dim), of any length, are from lying near those of their class and away
    from the others: the loss L_out of Khosla et al., "Supervised Contrastive Learning", 2020, the
    mean over the rows that have another one of their class."""
    from pytorch_metric_learning.losses import SupConLoss

    return SupConLoss(temperature=TEMPERATURE)(rows, classes)


def draw_epoch(classes: Sequence[int], batch: int, seed: int) -> Iterator[list[int]]:
    """Places among the classes, about as many as there are, in batches of `batch` at most that have
    several of each class that they have any of; the same for the same seed."""
    from pytorch_metric_learning.samplers import MPerClassSampler

    counts = Counter(classes)
    several = min(len(counts), max(2, batch // FEWEST_OF_CLASS))
    of_each = max(2, min(batch // several, max(counts.values())))
    size = several * of_each
    with drawing(seed):
        sampler = MPerClassSampler(
            classes, of_each, batch_size=size, length_before_new_iter=max(size, len(classes))
        )
        places = [int(place) for place in sampler]
    for start in range(0, len(places), size):
        yield places[start : start + size]


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """The sampler draws from numbers of its library, which are these meanwhile."""
    from pytorch_metric_learning.utils import common_functions

    with DRAWING:
        before = common_functions.NUMPY_RANDOM
        common_functions.NUMPY_RANDOM = np.random.default_rng(seed)
        try:
            yield
        finally:
            common_functions.NUMPY_RANDOM = before


class Trainer:
    """A network while it learns. Its weights are in 32 bits; where a card has bfloat16, it computes
    with that. On the CPU the same seed gives the same weights.

    Raises UsageError for a device that there is not."""

    def __init__(self, network: Network, *, learning_rate: float, seed: int, device: str) -> None:
        self.device = device_for(device)
        self._dtype = dtype_for("auto", self.device)
        self._rate, self._seed, self._epochs = learning_rate, seed, 0
        with self._translated():
            self._pictures = network.pictures.to(self.device).requires_grad_(True)
            self._optimiser = torch.optim.AdamW(self._pictures.parameters(), lr=learning_rate)

    def learn(self, batches: Iterable[Batch]) -> int:
        """One epoch; how many pictures it saw. Raises ModelError, and UsageError where learning
        fails by the learning rate."""
        self._epochs += 1
        seed = [self._seed, self._epochs]
        first, second = np.random.SeedSequence(seed).generate_state(2).tolist()
        numbers = torch.Generator().manual_seed(first)
        self._pictures.train()
        for module in self._pictures.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()  # what it knows of many pictures is better than of one batch
        seen = 0
        with self._translated(), self._dice(second):
            for tensors, classes in batches:
                self._step(augmented(torch.from_numpy(tensors), numbers), classes)
                seen += len(tensors)
        return seen

    def _step(self, pixels: torch.Tensor, classes: Sequence[int]) -> None:
        rows = self._rows_of(pixels)
        loss = supervised_contrastive(rows, torch.tensor(classes, device=self.device))
        if not torch.isfinite(loss):
            raise self._diverged()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._pictures.parameters(), STEEPEST)
        self._optimiser.step()

    def embed(self, tensors: Tensors) -> Embeddings:
        """(n, dim) of preprocessed pictures, by the weights of now. Raises as `learn`."""
        self._pictures.eval()
        with self._translated(), torch.inference_mode():
            rows: Embeddings = self._rows_of(torch.from_numpy(tensors)).cpu().numpy()
        if not np.isfinite(rows).all() or not rows.any(axis=1).all():
            raise self._diverged()
        return rows

    def _rows_of(self, pixels: torch.Tensor) -> torch.Tensor:
        less = self._dtype != torch.float32
        with torch.autocast(self.device.type, dtype=self._dtype if less else None, enabled=less):
            rows = self._pictures(pixels.to(self.device))
        return rows.float()

    def weights(self) -> Weights:
        """A copy of them, on the CPU."""
        return {
            name: each.detach().to("cpu", copy=True)
            for name, each in self._pictures.state_dict().items()
        }

    def restore(self, weights: Weights) -> None:
        """Put the `weights` back, and the network on the CPU, as it came."""
        self._pictures.load_state_dict(weights)
        self._pictures.to("cpu").requires_grad_(False).eval()

    @contextmanager
    def _dice(self, seed: int) -> Iterator[None]:
        """What drops out is drawn from PyTorch's own numbers, which go on as before afterwards."""
        cards = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cards):
            torch.manual_seed(seed)
            yield

    def _diverged(self) -> UsageError:
        return UsageError(
            f"the network is lost at a learning rate of {self._rate:g}: what it says of pictures"
            " are no numbers any more; take a smaller one: --learning-rate"
        )

    def _translated(self) -> AbstractContextManager[None]:
        when_full = " for learning; take fewer images at once (--batch), or a smaller model"
        return in_our_words("", self.device, when_full=when_full)
