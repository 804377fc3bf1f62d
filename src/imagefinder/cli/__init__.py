"""The command line: the only place that prints, and the only one that exits."""

from imagefinder.cli.main import main

__all__ = ["main"]
