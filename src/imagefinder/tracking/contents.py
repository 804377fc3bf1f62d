"""What a registered model holds, written down beside it.

artifacts/registered/
    registered.json   this
    collection.tar    a backup of the collection; none where it is on a cluster or a service
    models/           the folders of models that the collection needs
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from imagefinder.errors import CollectionFormatError, UsageError

FOLDER, FILE, BACKUP, MODELS = "registered", "registered.json", "collection.tar", "models"
FORMAT = 1
BACKED_UP = "collection:"  # begins the place of a model that is in the backup


@dataclass(frozen=True, slots=True)
class Contents:
    """`title` is what the collection is called; `address` is where it is, without secrets, unless
    it is in the backup. `models` says where the model that was found as KEY is: below the folder,
    or, after `collection:`, below the collection that the backup makes."""

    title: str
    images: int
    space: str
    fingerprint: str
    version: str
    address: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Into a folder."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        (folder / FILE).write_text(text, encoding="utf-8")


def read_contents(folder: Path, name: str) -> Contents:
    """What the folder of a registered model says. `name` is for messages.

    Raises UsageError where this is no collection of ours, CollectionFormatError."""
    try:
        said = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if said.pop("format") > FORMAT:
            raise CollectionFormatError(f"{name}: a newer version of imagefinder registered it")
        contents = Contents(**said)
        for place in contents.models.values():
            check(place)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{name}: this registered model is no collection; one is registered by:"
            " imagefinder track register NAME -c COLLECTION"
        ) from error
    return contents


def check(place: str) -> None:
    """Raises ValueError for a place outside."""
    path = PurePosixPath(place.removeprefix(BACKED_UP))
    if path.is_absolute() or ".." in path.parts or "\\" in place:
        raise ValueError(place)
