"""What the driver of a distributed run keeps account of, without a cluster."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

from imagefinder import DecodeLimits
from imagefinder.distributed.account import accounted
from imagefinder.distributed.bench import Afar
from imagefinder.distributed.cluster import connected
from imagefinder.distributed.crew import Crew, crew
from imagefinder.distributed.foreman import ForemanActor
from imagefinder.distributed.recipe import Answer, Recipe, Trouble, check_travels, packed, unpacked
from imagefinder.distributed.run import block_size
from imagefinder.errors import (
    FetchError,
    ImageFinderError,
    StoreError,
    UsageError,
)
from imagefinder.ingest.triage import Failed, Todo
from imagefinder.sources import Fetcher
from imagefinder.testing import FakeEmbedder
from imagefinder.types import ImageRef

WAVE = [packed(Todo(ImageRef(f"{number}.png", f"{number}.png", ""), None)) for number in range(100)]


class Rounds:
    """A cluster whose workers die of some images, and answer some blocks in another way."""

    def __init__(self, deadly: set[int], other: Mapping[int, Answer] | None = None) -> None:
        self.deadly, self.other, self.sizes = deadly, dict(other or {}), list[int]()

    def __call__(self, parcels: Mapping[int, bytes], size: int) -> Generator[Answer, None, None]:
        self.sizes.append(size)
        places = list(parcels)
        for start in range(0, len(places), size):
            block = tuple(places[start : start + size])
            assert all(parcels[place] == WAVE[place] for place in block)
            if block[0] in self.other:
                yield self.other.pop(block[0])
            elif self.deadly & set(block):
                yield Answer(start, back=block)
            else:
                yield Answer(start, done=block)


def answers(rounds: Rounds, stopped: Callable[[], bool] = lambda: False) -> list[Answer]:
    return list(accounted(rounds, WAVE, size=64, workers=2, stopped=stopped))


def done(given: list[Answer]) -> list[int]:
    return sorted(place for answer in given for place in answer.done)


def test_what_kills_its_workers_is_found_and_nothing_else_is_lost() -> None:
    rounds = Rounds({3, 70, 71})
    given = answers(rounds)
    assert done(given) == list(range(100))
    failed = [outcome for answer in given for outcome in answer.outcomes]
    assert [one.ref.id for one in failed] == ["3.png", "70.png", "71.png"]
    assert all(isinstance(one, Failed) and not one.final and "died" in one.reason for one in failed)
    assert rounds.sizes == [64, 8, 1]


def test_without_deaths_one_round_is_all() -> None:
    rounds = Rounds(set())
    assert done(answers(rounds)) == list(range(100))
    assert rounds.sizes == [64]


def test_an_answer_that_went_with_its_machine_is_asked_for_again() -> None:
    rounds = Rounds(set(), {0: Answer(0)})
    assert done(answers(rounds)) == list(range(100))
    assert rounds.sizes == [64, 64]


def test_a_cluster_that_loses_everything_ends_the_run() -> None:
    class Silent(Rounds):
        def __call__(
            self, parcels: Mapping[int, bytes], size: int
        ) -> Generator[Answer, None, None]:
            yield from ()

    with pytest.raises(ImageFinderError, match="loses"):
        answers(Silent(set()))


def test_a_block_that_is_answered_twice_counts_once() -> None:
    class Twice(Rounds):
        def __call__(
            self, parcels: Mapping[int, bytes], size: int
        ) -> Generator[Answer, None, None]:
            for answer in super().__call__(parcels, size):
                yield answer
                yield answer

    assert done(answers(Twice(set()))) == list(range(100))


def test_workers_that_die_of_everything_end_the_run() -> None:
    with pytest.raises(ImageFinderError, match="whatever they are given"):
        list(accounted(Rounds(set(range(100))), WAVE, size=1, workers=2, stopped=lambda: False))


def test_trouble_is_raised_after_the_others_have_finished() -> None:
    rounds = Rounds(set(), {0: Answer(0, trouble=Trouble("StoreError", "w: no store"))})
    seen = list[Answer]()
    with pytest.raises(StoreError, match="w: no store"):
        seen.extend(accounted(rounds, WAVE, size=64, workers=2, stopped=lambda: False))
    assert done(seen) == list(range(64, 100))


def test_a_run_that_is_to_stop_begins_no_round() -> None:
    rounds = Rounds({3})
    assert done(answers(rounds, stopped=lambda: len(rounds.sizes) > 0)) == list(range(64, 100))
    assert rounds.sizes == [64]


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble("StoreError", "gone"), StoreError),
        (Trouble("MissingExtraError", "needs"), ImageFinderError),
        (Trouble("KeyError", "'x'", "Traceback ..."), RuntimeError),
    ],
)
def test_trouble_travels(trouble: Trouble, kind: type[Exception]) -> None:
    error = trouble.error()
    assert type(error) is kind
    assert trouble.message in str(error)
    assert trouble.trace in str(error.__cause__)


def test_the_foreman_gives_a_block_two_workers_at_most() -> None:
    foreman = ForemanActor()
    assert [foreman.begin("first", 0) for _ in range(3)] == ["work", "work", "hand back"]
    assert foreman.begin("first", 64) == "work"
    assert foreman.begun("first") == {0, 64}
    assert foreman.begin("second", 0) == "work"
    assert foreman.begun("first") == set()
    assert foreman.begun("second") == {0}
    assert foreman.begin("", -1) == "work"
    foreman.stop()
    assert foreman.begin("second", 1) == foreman.begin("", -1) == "stop"


@pytest.mark.parametrize(
    ("nodes", "device", "found"),
    [
        ([{"CPU": 1}], "auto", Crew(1, 1)),
        ([{"CPU": 2}, {"CPU": 3}, {}], "auto", Crew(5, 1)),
        ([{}], "auto", Crew(1, 1)),  # machines come as they are asked for
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], "auto", Crew(2, 4, 1, "cuda")),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], "cpu", Crew(12, 1)),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4, "GPU": 4}], "cuda", Crew(6, 1, 1, "cuda")),
        ([{"CPU": 2}], "openvino", Crew(2, 1, device="openvino")),
    ],
)
def test_a_crew_fits_its_cluster(
    nodes: list[Mapping[str, float]], device: str, found: Crew
) -> None:
    assert crew(nodes, device, workers=None, on_gpu=lambda: True) == found


def test_a_card_that_the_model_does_not_use_is_left_alone() -> None:
    nodes = [{"CPU": 8.0, "GPU": 2.0}]
    assert crew(nodes, "auto", workers=None, on_gpu=lambda: False) == Crew(8, 1)
    assert crew(nodes, "auto", workers=3, on_gpu=lambda: False) == Crew(3, 1, fixed=True)
    with pytest.raises(UsageError, match="no machine of the cluster has a graphics card"):
        crew([{"CPU": 8.0}], "cuda", workers=None, on_gpu=lambda: True)


def test_every_worker_gets_some_blocks() -> None:
    assert block_size(1, Crew(8, 1)) == 1
    assert block_size(320, Crew(2, 1)) == 10
    assert block_size(200_000, Crew(2, 1)) == 64
    assert block_size(200_000, Crew(1, 8, 1, "cuda")) == 512


def test_a_secret_address_and_metadata_reach_the_worker() -> None:
    ref = ImageRef("a", "a", "a", metadata={"tags": ["x", 1, True, 0.5]})
    assert unpacked(packed(Todo(ref, None))).ref == ref


def test_a_path_that_another_machine_does_not_see_says_so(tmp_path: Path) -> None:
    ref = ImageRef("a.png", "a.png", str(tmp_path / "a.png"), 1, 1)
    with pytest.raises(FetchError, match="does not see this path; use shared storage"):
        Afar(Fetcher(), elsewhere=True).read(ref)
    with pytest.raises(FetchError, match=r"^no such file$"):
        Afar(Fetcher(), elsewhere=False).read(ref)


def test_a_model_that_cannot_travel_is_refused() -> None:
    class Mine(FakeEmbedder):
        pass

    recipe = Recipe("fake", "fake", "x", DecodeLimits(), "node", own=Mine())
    with pytest.raises(UsageError, match="cannot be sent to workers"):
        check_travels(recipe)


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "10.0.0.1", ":6379", "host:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="host:port of its head"), connected(address):
        pass
