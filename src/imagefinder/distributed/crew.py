"""How many workers a cluster takes, and what each computes on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from imagefinder.errors import UsageError


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers, and what each asks the cluster for. `fixed`: no more, even where the cluster grows.

    Workers may take every CPU that the cluster counts: nothing else of a run asks for one, because
    the images' names come from the driver, and a worker reads what it is given itself."""

    workers: int
    cpus: int
    gpus: int = 0
    device: str = "cpu"
    fixed: bool = False

    @property
    def threads(self) -> int:
        """That decode at a time in one worker."""
        return self.cpus


def crew(
    nodes: Sequence[Mapping[str, float]],
    device: str,
    *,
    workers: int | None,
    on_gpu: Callable[[], bool],
) -> Crew:
    """`nodes` are the machines' resources by Ray's names. `on_gpu` tries whether the model computes
    on a graphics card of the cluster, and is asked only where there is one.

    Raises UsageError where `device` is cuda and there is none."""
    carded = [node for node in nodes if node.get("GPU", 0) >= 1 and node.get("CPU", 0) >= 1]
    if device == "cuda" and not carded:
        raise UsageError(
            "cuda: no machine of the cluster has a graphics card, as far as Ray knows;"
            " leave the device at auto, or start such a machine with ray start --num-gpus=1"
        )
    if device == "cuda" or (device == "auto" and carded and on_gpu()):
        # a card waits for what the cores around it decode
        cpus = max(1, min(int(node["CPU"] // node["GPU"]) for node in carded))
        count = sum(int(min(node["GPU"], node["CPU"] // cpus)) for node in carded)
        return Crew(workers or max(1, count), cpus, 1, "cuda", workers is not None)
    count = sum(int(node.get("CPU", 0)) for node in nodes)
    plain = "cpu" if device == "auto" else device
    return Crew(workers or max(1, count), 1, device=plain, fixed=workers is not None)
