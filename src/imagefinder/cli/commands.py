"""Every command registers itself by being imported."""

from imagefinder.cli import (
    adapting,
    dataset,
    downloading,
    evaluating,
    gradio,
    indexing,
    migrating,
    models,
    searching,
    serving,
    showing,
    tracking,
    transfer,
    upkeep,
)

__all__ = [
    "adapting",
    "dataset",
    "downloading",
    "evaluating",
    "gradio",
    "indexing",
    "migrating",
    "models",
    "searching",
    "serving",
    "showing",
    "tracking",
    "transfer",
    "upkeep",
]
