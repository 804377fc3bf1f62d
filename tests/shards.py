"""Tar archives for tests, as WebDataset's writer lays them out."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.image_server import jpeg

Content = bytes | str | dict[str, object] | int  # an int is a picture of that seed


def tar(members: Mapping[str, Content], *, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """The members in their order."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for name, content in members.items():
            add(archive, name, content)
    return file.getvalue()


def add(archive: tarfile.TarFile, name: str, content: Content, **fields: object) -> None:
    data = bytes_of(content)
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


def bytes_of(content: Content) -> bytes:
    match content:
        case int():
            return jpeg(content)
        case str():
            return content.encode()
        case dict():
            return json.dumps(content).encode()
    return content


def write_shards(folder: Path, count: int, each: int) -> list[str]:
    """`shard-0000.tar` and so on; the paths of their images below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        name = f"shard-{number:04}.tar"
        keys = [f"{number * each + n:06}" for n in range(each)]
        members: dict[str, Content] = {}
        for key in keys:
            members |= {f"{key}.jpg": int(key), f"{key}.json": {"n": int(key)}, f"{key}.cls": "3"}
        (folder / name).write_bytes(tar(members))
        paths += [f"{name}/{key}.jpg" for key in keys]
    return paths
