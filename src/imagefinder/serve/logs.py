"""Log lines: JSON for machines or plain text for people, one a record, without secrets."""

import json
import logging
import math
import re
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

from imagefinder.serve.scrub import printable, shorten
from imagefinder.sources.address import redact_within

Style = Literal["json", "text"]

LONGEST = 1000  # characters of a text, and of a line of a traceback
MOST_LINES = 100  # of a traceback: its end

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)

# What every record has; the rest came in by `extra`. `color_message` is uvicorn's second text.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_BEARER = re.compile(r"(\bbearer\s+|\bx-api-key['\"]?[:=\s]\s*['\"]?)[^\s'\",]+", re.IGNORECASE)


def set_up_logging(style: Style, stream: TextIO, level: int = logging.INFO) -> None:
    """One handler for everything, uvicorn's own loggers too; a second call replaces the first.

    uvicorn has to be run with `log_config=None`, or it puts its own handlers back.
    """
    handler = _Handler(stream)
    handler.setFormatter(JsonLines() if style == "json" else Lines())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    for name in ("imagefinder", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(level)
    # Its lines hold the query string; ours do not. It asks whether anyone would hear it.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, event, the fields, and the exception as text."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _safe(record.getMessage()),
            **_fields(record),
        }
        if trace := _trace(record):
            line["exception"] = "\n".join(trace)
        return json.dumps(line)


class Lines(logging.Formatter):
    """Time, level, message and the fields; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        fields = [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        message = printable(_safe(record.getMessage()))
        line = " ".join([_time(record), f"{record.levelname:<7}", message, *fields])
        return "\n    ".join([line, *map(printable_indented, _trace(record))])


def printable_indented(line: str) -> str:
    """A line of a traceback, with the white space that it begins with."""
    text = line.lstrip(" ")
    return " " * (len(line) - len(text)) + printable(text)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to tell it from the handlers of others."""


def _time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {
        name: _plain(value)
        for name, value in vars(record).items()
        if name not in _OWN and value is not None
    }
    if "request_id" not in fields and (request_id := current_request_id.get()):
        fields["request_id"] = request_id
    return fields


def _plain(value: object) -> object:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return value
    return _safe(str(value))


def _shown(value: object) -> str:
    """Quoted where a space, a quote or an equals sign would make two of one field."""
    text = printable(str(value))
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text, ensure_ascii=False)


def _trace(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[1] is None:
        return []
    text = "".join(traceback.format_exception(record.exc_info[1]))
    return [_safe(line) for line in text.splitlines()[-MOST_LINES:]]


def _safe(text: str) -> str:
    """Cut first: looking for URLs in a long text takes long."""
    return _BEARER.sub(r"\1[hidden]", redact_within(shorten(text, LONGEST)))
