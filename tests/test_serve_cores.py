"""The cores are shared out: never more threads than there are, the oldest request first."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from imagefinder.serve.cores import Cores
from imagefinder.serve.jobs import GivenUp, Job, working_on


def test_never_more_compute_than_there_are_cores() -> None:
    cores, lock = Cores(3), threading.Lock()
    inside = most = 0

    def compute(_: int) -> None:
        nonlocal inside, most
        with cores:
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.001)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(compute, range(100)))
    assert (inside, most) == (0, 3)


def test_whose_request_began_first_goes_first() -> None:
    cores, order = Cores(1), []
    cores.acquire(0.0)

    def compute(begun: float) -> None:
        cores.acquire(begun)
        order.append(begun)
        cores.release()

    threads = []
    for begun in (3.0, 1.0, 4.0, 1.5, 2.0):
        threads.append(threading.Thread(target=compute, args=(begun,)))
        threads[-1].start()
        while len(cores._waiting) < len(threads):
            time.sleep(0.001)
    cores.release()
    for thread in threads:
        thread.join()
    assert order == [1.0, 1.5, 2.0, 3.0, 4.0]


def test_the_time_until_there_is_a_core_is_waiting() -> None:
    cores, job = Cores(1), Job()
    cores.acquire(0.0)
    threading.Timer(0.05, cores.release).start()
    with working_on(job), cores:
        assert job.stage == "decode"
    assert job.seconds["wait"] >= 0.05
    assert job.seconds["decode"] < 0.05


def test_who_is_given_up_while_waiting_takes_no_core() -> None:
    cores, job = Cores(1), Job()
    cores.acquire(0.0)

    def give_up() -> None:
        while not cores._waiting:
            time.sleep(0.001)
        job.gone.set()
        cores.release()

    threading.Thread(target=give_up).start()
    with pytest.raises(GivenUp), working_on(job), cores:
        pytest.fail("nobody wants the answer")
    with cores:  # it is free
        pass
