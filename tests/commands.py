"""Commands run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from imagefinder.cli.main import run

Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: exit code, stdout, stderr."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call
