"""Every command registers itself by being imported."""

from imagefinder.cli import (
    downloading,
    gradio,
    indexing,
    migrating,
    models,
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
    "migrating",
    "models",
    "searching",
    "serving",
    "showing",
    "transfer",
    "upkeep",
]
