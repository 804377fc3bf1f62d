"""Rows of the catalogue out of a TOML file, every mistake in it named."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from imagefinder.errors import ModelError
from imagefinder.models.row import HubFile, ModelRow, Pooling, TextRow
from imagefinder.types import Preprocessing

_T = TypeVar("_T")
Triple: TypeAlias = tuple[float, float, float]

NAME = re.compile(r"[^\W_][\w.-]*")
RESIZES = ("squash", "crop")
RESAMPLES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
POOLINGS: dict[str, Pooling] = {"cls": "cls", "mean": "mean"}


def read_rows(file: Path) -> dict[str, ModelRow]:
    """The rows of a file, in its order. Raises ModelError that names the row and the key."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: the models in it cannot be read: {error}") from error
    return {name: read_row(name, Table(tables[name], f"{file}: [{name}]")) for name in tables}


def read_row(name: str, table: "Table") -> ModelRow:
    """One model."""
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{table.where}: a model's name has letters, digits, '-', '_' and '.' only"
        )
    size = table.take("size", whole)
    place = table.take("repository", text, ""), table.take("revision", text, "main")
    packaged = table.take("package_file", text, "")
    processor = table.take("processor", text, "")
    row = ModelRow(
        name=name,
        dim=table.take("dim", whole),
        size=size,
        licence=table.take("licence", text, "not stated"),
        graph=None if packaged else on_hub(table, "file", *place),
        package_file=packaged,
        bytes=table.take("bytes", whole, 0),
        processor=HubFile(place[0], processor, place[1]) if processor else None,
        preprocessing=None if processor else preprocessing(table, size),
        features=table.take("features", boolean, False),
        output=table.take("output", text, None),
        pooling=table.take("pooling", lambda value: POOLINGS[one_of(*POOLINGS)(value)], None),
        text=table.take(
            "text", lambda value: text_row(Table(value, f"{table.where}.text"), place), None
        ),
        variants=table.take("variants", texts, {}),
        calibration=table.take("calibration", pair, None),
        sha256=table.take("sha256", text, ""),
        tried=table.take("tried", boolean, False),
    )
    table.finish()
    return row


def text_row(table: "Table", place: tuple[str, str]) -> TextRow:
    """The text side; its files are in the row's repository where it names no other."""
    place = table.take("repository", text, place[0]), table.take("revision", text, place[1])
    row = TextRow(
        graph=on_hub(table, "file", *place),
        tokenizer=on_hub(table, "tokenizer", *place),
        max_tokens=table.take("max_tokens", whole),
        lowercase=table.take("lowercase", boolean, False),
        output=table.take("output", text, None),
    )
    table.finish()
    return row


def preprocessing(table: "Table", size: int) -> Preprocessing:
    """For a model whose repository has no file of it."""
    return Preprocessing(
        height=size,
        width=size,
        resize=table.take("resize", one_of(*RESIZES)),
        resample=table.take("resample", one_of(*RESAMPLES)),
        mean=table.take("mean", triple),
        std=table.take("std", triple),
        shortest=table.take("shortest", whole, None),
    )


def on_hub(table: "Table", key: str, repository: str, revision: str) -> HubFile:
    """The file that a key names."""
    path = table.take(key, text)
    if not repository:
        raise ModelError(f"{table.where}: repository is missing; write ORG/NAME of the model hub")
    return HubFile(repository, path, revision)


class Table:
    """A table whose keys are taken out one by one, so that a misspelt one is left over."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise ModelError(f"{where}: a model is a table; write its facts below [NAME]")
        self.where, self._values = where, dict(values)

    def take(self, key: str, read: Callable[[object], _T], *default: _T) -> _T:
        """The value of a key. Raises ModelError where it is missing and has no default, and where
        `read` raises ValueError, which says what it must be."""
        if key not in self._values:
            if default:
                return default[0]
            raise ModelError(f"{self.where}: {key} is missing")
        try:
            return read(self._values.pop(key))
        except ValueError as error:
            raise ModelError(f"{self.where}: {key} must be {error}") from None

    def finish(self) -> None:
        """Raises ModelError for a key that means nothing."""
        if self._values:
            raise ModelError(f"{self.where}: there is no key {', '.join(self._values)}")


def whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("a whole number")


def text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("text in quotes")


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def texts(value: object) -> Mapping[str, str]:
    if isinstance(value, dict):
        return {name: text(each) for name, each in value.items()}
    raise ValueError('a table of text, as { fp16 = "model_fp16.onnx" }')


def pair(value: object) -> tuple[float, float]:
    slope, offset = numbers(value, 2)
    return slope, offset


def triple(value: object) -> Triple:
    red, green, blue = numbers(value, 3)
    return red, green, blue


def numbers(value: object, count: int) -> list[float]:
    given = value if isinstance(value, list) else []
    if len(given) == count and all(isinstance(each, (int, float)) for each in given):
        return [float(each) for each in given]
    raise ValueError(f"a list of {count} numbers")


def one_of(*words: str) -> Callable[[object], str]:
    """A reader for one of these."""

    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return read
