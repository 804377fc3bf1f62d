"""Every command registers itself by being imported."""

from imagefinder.cli import (
    downloading,
    gradio,
    indexing,
    searching,
    serving,
    showing,
    transfer,
    upkeep,
)

__all__ = [
    "downloading",
    "gradio",
    "indexing",
    "searching",
    "serving",
    "showing",
    "transfer",
    "upkeep",
]
