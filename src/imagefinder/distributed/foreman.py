"""Whom workers ask before they begin: is the run to stop, and has this block killed others?"""

from typing import Any, Literal, TypeAlias

Say: TypeAlias = Literal["work", "stop", "hand back"]

DEATHS = 2  # of workers on the same block: then its images are looked at one by one


class Foreman:
    """On the driver's machine, an actor; travels to workers."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor  # a handle, of no type that Ray declares

    def begin(self, round: str, block: int) -> Say:
        """What to do with a block, by the place in the wave of its first image."""
        import ray

        try:
            said: Say = ray.get(self._actor.begin.remote(round, block))
        except ray.exceptions.RayActorError:  # the driver is gone, and so are we in a moment
            return "stop"
        return said

    def begun(self, round: str) -> set[int]:
        """The blocks that workers have begun, and perhaps not answered yet."""
        import ray

        blocks: set[int] = ray.get(self._actor.begun.remote(round))
        return blocks

    def stops(self) -> bool:
        """Whether the run is to stop."""
        return self.begin("", -1) == "stop"

    def stop(self) -> None:
        """From now on workers begin nothing."""
        self._actor.stop.remote()


class ForemanActor:
    """What the actor is of."""

    def __init__(self) -> None:
        self._stopped = False
        self._round, self._begun = "", dict[int, int]()

    def begin(self, round: str, block: int) -> Say:
        """A block that was begun before, and is begun again, has lost its worker."""
        if self._stopped:
            return "stop"
        if block < 0:
            return "work"
        if round != self._round:
            self._round, self._begun = round, {}
        begun = self._begun[block] = self._begun.get(block, 0) + 1
        return "work" if begun <= DEATHS else "hand back"

    def begun(self, round: str) -> set[int]:
        """Of this round."""
        return set(self._begun) if round == self._round else set()

    def stop(self) -> None:
        """For good."""
        self._stopped = True


def employed() -> Foreman:
    """A new one, on this machine."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    actor: Any = ray.remote(num_cpus=0)(ForemanActor)
    beside = NodeAffinitySchedulingStrategy(here, soft=False)
    return Foreman(actor.options(scheduling_strategy=beside).remote())
