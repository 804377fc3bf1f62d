"""What holds for every test."""

import os
import signal

import pytest

from tests.commands import cli
from tests.faint_classes import trees
from tests.milvus_server import milvus_address, milvus_programs, milvus_server, new_server
from tests.ray_cluster import ray_nodes
from tests.ray_runs import many_pictures, no_thread_left, worker_notes

__all__ = [  # fixtures
    "cli",
    "many_pictures",
    "milvus_address",
    "milvus_programs",
    "milvus_server",
    "new_server",
    "no_thread_left",
    "ray_nodes",
    "trees",
    "worker_notes",
]

pytest.register_assert_rewrite(
    "tests.store_contract", "tests.store_distances", "tests.torture_store"
)

# Marks of the tests that need more than Python packages.
NEEDS_MORE = ("browser", "emulated", "milvus", "mlflow", "ray", "torch")


# A shell without job control starts background commands deaf to Ctrl-C, and so what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """In CI, where everything was installed, a test that skips for want of it has failed."""
    report = yield
    complete = os.environ.get("IMAGEFINDER_REQUIRE_ALL") == "1"
    if complete and report.skipped and any(item.get_closest_marker(mark) for mark in NEEDS_MORE):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {call.excinfo and call.excinfo.value}"
    return report
