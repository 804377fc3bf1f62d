"""What the environment sets, read once and seen by the command line (and the service) alone."""

import os
from dataclasses import dataclass, field

from imagefinder.home import DEFAULT_COLLECTION


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults of the options that a user would not want to repeat."""

    collection: str = DEFAULT_COLLECTION  # IMAGEFINDER_COLLECTION
    api_key: str | None = field(default=None, repr=False)  # IMAGEFINDER_API_KEY: of a service
    milvus_token: str | None = field(default=None, repr=False)  # IMAGEFINDER_MILVUS_TOKEN


def read_settings() -> Settings:
    """The settings of this environment."""
    return Settings(
        collection=os.environ.get("IMAGEFINDER_COLLECTION") or DEFAULT_COLLECTION,
        api_key=os.environ.get("IMAGEFINDER_API_KEY") or None,
        milvus_token=os.environ.get("IMAGEFINDER_MILVUS_TOKEN") or None,
    )
