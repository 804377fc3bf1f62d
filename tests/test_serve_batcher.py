"""Images of several requests embedded together: by whom, with whom, and what a failure takes along.

Nothing here sleeps: the model waits for the test before it works on a batch, where it is told to.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from imagefinder.arrays import Embeddings, Pixels, Tensor, Tensors
from imagefinder.errors import ModelError
from imagefinder.serve.batcher import Batcher
from imagefinder.serve.jobs import GivenUp, Job, working_on
from imagefinder.testing import FAKE

SOON = 10.0  # seconds; what takes as long as that never comes
POISON, FATAL = 13.0, 666.0

Make = Callable[..., Batcher]
Embed = Callable[..., "Future[Embeddings]"]


class Model:
    """Embeds a number as (number, its square). `batches` are those that it began."""

    spec = FAKE

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.threads: set[int] = set()
        self.held = False
        self.leave = threading.Semaphore(0)  # each batch takes one, while `held`

    def preprocess(self, image: Pixels) -> Tensor:
        raise NotImplementedError

    def embed(self, tensors: Tensors) -> Embeddings:
        numbers = tensors[:, 0]
        self.batches.append(numbers.tolist())
        self.threads.add(threading.get_ident())
        if self.held:
            assert self.leave.acquire(timeout=SOON)
        if POISON in numbers:
            raise RuntimeError("poison")
        if FATAL in numbers:
            raise SystemExit
        return np.stack([numbers, numbers**2], axis=1)

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(60) as pool:
        yield pool


@pytest.fixture
def batcher_of(model: Model) -> Iterator[Make]:
    made: list[Batcher] = []

    def make(**options: object) -> Batcher:
        made.append(Batcher(model, **{"threads": 1, "max_wait": 0.0, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for batcher in made:
        batcher.close()


@pytest.fixture
def embed(callers: ThreadPoolExecutor) -> Embed:
    """Asks for embeddings on a thread of its own."""

    def submit(batcher: Batcher, *numbers: float, job: Job | None = None) -> "Future[Embeddings]":
        def call() -> Embeddings:
            if job is None:
                return batcher.embed(tensors(numbers))
            with working_on(job):
                return batcher.embed(tensors(numbers))

        return callers.submit(call)

    return submit


def tensors(numbers: Sequence[float]) -> Tensors:
    return np.array(numbers, dtype=np.float32)[:, None]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def busy(batcher: Batcher, model: Model, embed: Embed, *, threads: int) -> None:
    """So many threads have a batch of one, and wait for the test."""
    model.held = True
    for number in range(threads):
        embed(batcher, -1.0 - number)
        until(lambda so_many=number + 1: len(model.batches) == so_many)


def assert_embedded(answer: "Future[Embeddings]", *numbers: float) -> None:
    expected = [[number, number**2] for number in numbers]
    assert answer.result(SOON).tolist() == expected


def test_a_lone_request_does_not_wait_for_others(batcher_of: Make, embed: Embed) -> None:
    assert_embedded(embed(batcher_of(max_wait=1000.0), 7.0), 7.0)


def test_what_comes_while_the_model_works_is_embedded_together(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    sizes: list[int] = []
    batcher = batcher_of(on_batch=sizes.append)
    busy(batcher, model, embed, threads=1)
    answers = {number: embed(batcher, number) for number in (1.0, 2.0, 3.0)}
    answers[4.0] = embed(batcher, 4.0, 5.0)
    until(lambda: batcher.depth == 5)
    model.leave.release(2)
    for number in (1.0, 2.0, 3.0):
        assert_embedded(answers[number], number)
    assert_embedded(answers[4.0], 4.0, 5.0)
    assert model.sizes == sizes == [1, 5]


def test_what_waits_is_shared_out_among_the_threads(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    batcher = batcher_of(threads=2)
    busy(batcher, model, embed, threads=2)
    answers = [embed(batcher, float(number)) for number in range(5)]
    until(lambda: batcher.depth == 5)
    for left in (2, 1, 0):
        model.leave.release()
        until(lambda left=left: batcher.depth == left)
    model.leave.release(10)
    for number, answer in enumerate(answers):
        assert_embedded(answer, float(number))
    assert model.sizes == [1, 1, 3, 1, 1]
    assert len(model.threads) == 2


def test_a_batch_has_no_more_than_its_limit(batcher_of: Make, model: Model, embed: Embed) -> None:
    batcher = batcher_of(max_batch=4)
    busy(batcher, model, embed, threads=1)
    answer = embed(batcher, *map(float, range(9)))
    until(lambda: batcher.depth == 9)
    model.leave.release(10)
    assert_embedded(answer, *map(float, range(9)))
    assert model.sizes == [1, 4, 4, 1]


def test_a_request_that_is_on_its_way_is_waited_for(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    batcher, coming = batcher_of(max_wait=1000.0), Job()
    batcher.expect(coming)
    first = embed(batcher, 1.0)
    until(lambda: batcher.depth == 1)
    second = embed(batcher, 2.0, job=coming)
    assert_embedded(first, 1.0)
    assert_embedded(second, 2.0)
    assert model.batches == [[1.0, 2.0]]


def test_one_that_does_not_come_after_all_is_waited_for_no_longer(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    batcher, coming = batcher_of(max_wait=1000.0), Job()
    batcher.expect(coming)
    answer = embed(batcher, 1.0)
    until(lambda: batcher.depth == 1)
    batcher.unexpect(coming)
    batcher.unexpect(coming)  # the second time says nothing new
    assert_embedded(answer, 1.0)
    assert batcher._coming == 0


def test_nobody_is_waited_for_longer_than_the_limit(batcher_of: Make, embed: Embed) -> None:
    batcher = batcher_of(max_wait=0.01)
    batcher.expect(Job())
    assert_embedded(embed(batcher, 1.0), 1.0)


def test_a_full_batch_waits_for_nobody(batcher_of: Make, model: Model, embed: Embed) -> None:
    batcher = batcher_of(max_batch=2, max_wait=1000.0)
    batcher.expect(Job())
    assert_embedded(embed(batcher, 1.0, 2.0), 1.0, 2.0)
    assert model.sizes == [2]


def test_a_poison_image_fails_alone(batcher_of: Make, model: Model, embed: Embed) -> None:
    batcher = batcher_of()
    busy(batcher, model, embed, threads=1)
    answers = {number: embed(batcher, number) for number in (1.0, POISON, 3.0)}
    until(lambda: batcher.depth == 3)
    model.leave.release(10)
    assert_embedded(answers[1.0], 1.0)
    assert_embedded(answers[3.0], 3.0)
    with pytest.raises(ModelError, match="the model failed: poison"):
        answers[POISON].result(SOON)
    assert model.sizes == [1, 3, 1, 1, 1]
    assert batcher.restarts == 0


def test_what_was_asked_for_together_with_a_poison_image_is_given_up(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    """The caller has its error; nobody waits for the rest."""
    batcher = batcher_of(max_batch=1)
    busy(batcher, model, embed, threads=1)
    answer = embed(batcher, POISON, 1.0, 2.0)
    until(lambda: batcher.depth == 3)
    model.leave.release()  # the busy one's: now the poison is in work
    until(lambda: model.batches[-1] == [POISON])
    model.leave.release()
    until(lambda: model.batches[-1] == [1.0])  # it had begun before the caller knew
    with pytest.raises(ModelError):
        answer.result(SOON)
    model.leave.release(10)
    until(lambda: batcher.depth == 0)
    assert_embedded(embed(batcher, 4.0), 4.0)
    assert [2.0] not in model.batches


@pytest.mark.parametrize("rows", [1, 3])
def test_a_model_that_gives_another_number_of_embeddings(
    batcher_of: Make, model: Model, embed: Embed, rows: int
) -> None:
    """Whose they are cannot be told: no request gets another's."""
    batcher = batcher_of()
    busy(batcher, model, embed, threads=1)
    answers = [embed(batcher, 1.0), embed(batcher, 2.0)]
    until(lambda: batcher.depth == 2)
    right = model.embed
    model.embed = lambda batch: (  # type: ignore[method-assign]
        right(batch) if len(batch) == 1 else np.full((rows, 2), 99.0)
    )
    model.leave.release(10)
    assert_embedded(answers[0], 1.0)
    assert_embedded(answers[1], 2.0)


def test_a_thread_that_ends_is_replaced(
    batcher_of: Make,
    model: Model,
    embed: Embed,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batcher = batcher_of()
    with pytest.raises(ModelError, match="the model failed: SystemExit"):
        embed(batcher, FATAL).result(SOON)
    assert_embedded(embed(batcher, 1.0), 1.0)
    assert batcher.restarts == 1
    assert len(model.threads) == 2
    assert "an embedding thread ended; another takes its place" in caplog.text
    assert batcher.check()


def test_a_thread_that_hangs_is_replaced(
    batcher_of: Make,
    model: Model,
    embed: Embed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 1000.0
    monkeypatch.setattr("imagefinder.serve.batcher.monotonic", lambda: now)
    before = embedding_threads()
    batcher = batcher_of(timeout=30.0)
    own = embedding_threads() - before
    model.held = True
    hanging = embed(batcher, 1.0)
    until(lambda: model.batches == [[1.0]])
    assert batcher.check()
    now += 30.1
    behind = embed(batcher, 2.0)
    until(lambda: batcher.depth == 1)
    model.held = False
    assert not batcher.check()
    with pytest.raises(ModelError, match="no embedding after 30 s"):
        hanging.result(SOON)
    assert_embedded(behind, 2.0)
    assert (batcher.restarts, batcher.check()) == (1, True)
    assert "an embedding thread hangs; another takes its place" in caplog.text
    model.leave.release()  # it comes back, finds its place taken, and ends
    until(lambda: not own & embedding_threads())
    assert_embedded(embed(batcher, 3.0), 3.0)
    assert batcher.restarts == 1


def embedding_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "embed"}


def test_an_image_that_nobody_wants_any_more_is_not_embedded(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    batcher, gone, here = batcher_of(), Job(), Job()
    busy(batcher, model, embed, threads=1)
    answers = [embed(batcher, 1.0, job=gone), embed(batcher, 2.0, job=here)]
    until(lambda: batcher.depth == 2)
    gone.gone.set()
    model.leave.release(10)
    with pytest.raises(GivenUp):
        answers[0].result(SOON)
    assert_embedded(answers[1], 2.0)
    assert model.batches[1:] == [[2.0]]


def test_a_job_that_nobody_waits_for_does_not_even_queue(batcher_of: Make, model: Model) -> None:
    batcher, job = batcher_of(), Job()
    with working_on(job):
        job.gone.set()
        with pytest.raises(GivenUp):
            batcher.embed(tensors([1.0]))
    assert (batcher.depth, model.batches) == (0, [])


def test_a_job_knows_where_its_time_went(batcher_of: Make, embed: Embed) -> None:
    job = Job()
    assert_embedded(embed(batcher_of(), 1.0, 2.0, job=job), 1.0, 2.0)
    assert list(job.seconds) == ["wait", "decode", "queue", "embed", "search"]


def test_time_that_is_up_leaves_nothing_behind(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    batcher, job = batcher_of(timeout=0.05), Job()
    busy(batcher, model, embed, threads=1)
    batcher.expect(job)
    with pytest.raises(ModelError, match=r"no embedding after 0\.05 s"):
        embed(batcher, 1.0, 2.0, job=job).result(SOON)
    model.leave.release(10)
    until(lambda: batcher.depth == 0)
    assert_embedded(embed(batcher, 3.0), 3.0)
    assert model.batches[1:] == [[3.0]]
    assert batcher._coming == 0


def test_closing_embeds_what_waits_and_ends_the_threads(
    batcher_of: Make, model: Model, embed: Embed
) -> None:
    before = embedding_threads()
    batcher = batcher_of(threads=3)
    own = embedding_threads() - before
    busy(batcher, model, embed, threads=3)
    answer = embed(batcher, 1.0, 2.0)
    until(lambda: batcher.depth == 2)
    batcher.close()
    with pytest.raises(ModelError, match="shutting down"):
        batcher.embed(tensors([4.0]))
    model.leave.release(10)
    assert_embedded(answer, 1.0, 2.0)
    until(lambda: not own & embedding_threads())


def test_every_request_gets_its_own_embeddings(batcher_of: Make, embed: Embed) -> None:
    chance = Random(0)
    batcher = batcher_of(threads=4, max_batch=7, max_wait=0.001)
    calls = [
        [float(chance.randrange(14)) for _ in range(chance.choice([1, 1, 1, 3]))]
        for _ in range(200)
    ]
    jobs = [Job() for _ in calls]
    for job in jobs[::2]:
        batcher.expect(job)
    answers = [embed(batcher, *call, job=job) for call, job in zip(calls, jobs, strict=True)]
    for call, answer in zip(calls, answers, strict=True):
        if POISON in call:
            with pytest.raises(ModelError):
                answer.result(SOON)
        else:
            assert_embedded(answer, *call)
    assert (batcher.depth, batcher._coming, batcher.restarts) == (0, 0, 0)
