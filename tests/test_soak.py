"""A service under mixed load, good and bad; `python -m benchmarks soak` is the long form."""

from pathlib import Path

import pytest

from benchmarks import soak

SECONDS = 25.0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_service_under_mixed_load_fails_at_nothing_but_bad_requests(tmp_path: Path) -> None:
    soaked = soak.soak(SECONDS, tmp_path)
    assert soaked.tally.faults == {}
    assert soaked.tally.wrong == 0
    assert soaked.log_errors == []
    assert soaked.wrong_images == 0
    done = {action for action, status in soaked.tally.answers if status != 503}
    assert len(done) >= 20, "some of the load never came"
    # so short that caches still fill; the long form allows 5%
    assert soaked.after < 1.25 * soaked.before
