"""The words of a filter expression: names, values, signs and keywords, each with its column."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

from imagefinder.errors import FilterError

__all__ = ["KEYWORDS", "NUMBER", "LiteralValue", "Token", "tokens"]

LiteralValue: TypeAlias = str | int | float | bool | date | datetime

KEYWORDS = {"and", "or", "not", "in", "contains", "exists"}
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_ALMOST_A_DATE = r"[0-9]{1,4}[-/.][0-9]{1,2}([-/.]|$)"

# What an editor or a web page makes of an ASCII sign.
_LOOK_ALIKES = "“”„‘’«»≥≤≠"  # noqa: RUF001

# Letters of every script with their marks (\w leaves the marks of Indic scripts out), digits, "_",
# "-" and "."; so: whatever is neither a space nor another ASCII sign nor a look-alike of one.
_IN_NAME = rf"[^\x00-,/:-@\[-\^`{{-\x7f\s{_LOOK_ALIKES}]"

_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
  | (?P<wrong>===|!==|&&|\|\||<>|=>|=<|=(?!=)|&|\||!(?!=)|[{_LOOK_ALIKES}])
  | (?P<sign>==|!=|<=|>=|<|>|[()\[\],])
  | (?P<number>[+-]?\.?[0-9](?:{_IN_NAME}|[:+/])*)
  | (?P<name>(?![0-9.\-]){_IN_NAME}+)
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    """,
    re.VERBOSE | re.DOTALL,
)
_INSTEAD = {
    "=": "==", "===": "==", "!==": "!=", "<>": "!=", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=",
    "≠": "!=", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not",
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"} | {c: c for c in "\\\"'/"}


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # name, value, end, a keyword, or the sign itself
    text: str  # as written
    column: int  # from 1
    value: LiteralValue = ""  # of a value; of a name, without back-quotes


class _TokenError(Exception):
    """What is wrong with one token, before its place in the expression is known."""

    def __init__(self, problem: str, offset: int = 0) -> None:
        super().__init__(problem)
        self.offset = offset


def tokens(expression: str) -> Iterator[Token]:
    """Every token and then an `end`. Raises FilterError."""
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        try:
            if found is None or found.lastgroup is None:
                raise _TokenError(_unreadable(expression[at]))
            if found.lastgroup != "space":
                kind, value = _meaning(found.lastgroup, found.group())
                yield Token(kind, found.group(), at + 1, value)
        except _TokenError as error:
            raise FilterError(str(error), expression, at + 1 + error.offset) from None
        at = found.end()
    yield Token("end", "the end", len(expression.rstrip()) + 1)


def _unreadable(sign: str) -> str:
    if sign in "\"'`":
        return f"the {'name' if sign == '`' else 'text'} is not closed, add {sign} at its end"
    return (
        f"{sign!r} has no meaning here; a name with special signs goes in back-quotes: `a{sign}b`"
    )


def _meaning(group: str, text: str) -> tuple[str, LiteralValue]:
    """The kind and value of a token."""
    match group:
        case "wrong":
            better = _INSTEAD.get(text)
            straight = "use straight quotes: \"text\" or 'text'"
            raise _TokenError(f"use {better} instead of {text}" if better else straight)
        case "sign":
            return text, text
        case "number":
            return "value", _number_or_date(text)
        case "text":
            return "value", _unescape(text[1:-1])
        case "quoted":
            if text == "``":
                raise _TokenError("expected a name between the back-quotes")
            return "name", _valid(text[1:-1].replace("``", "`"))
        case _:
            return _word(text)


def _word(text: str) -> tuple[str, LiteralValue]:
    word = text.lower()
    if word in ("true", "false") and text in (word, word.upper(), word.title()):
        return "value", word == "true"
    if word in KEYWORDS and text in (word, word.upper()):
        return word, text
    return "name", _valid(text)


def _number_or_date(text: str) -> LiteralValue:
    if re.fullmatch(NUMBER, text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise _TokenError("the number is too large, the limit is 1.7e308")
        return int(text) if text.lstrip("+-").isdigit() else number
    if re.fullmatch(_DATE, text):
        try:
            # The cameras whose dates this is compared with write no time zone either.
            return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
        except ValueError:
            raise _TokenError(f"there is no date {text}") from None
    if re.match(_ALMOST_A_DATE, text):
        raise _TokenError("a date is written 2024-05-01 or 2024-05-01T10:30, without a time zone")
    raise _TokenError(
        f"{text} is neither a number nor a date; put text in quotes, a name in back-quotes"
    )


def _unescape(body: str) -> str:
    """Reads the escapes of JSON, so that what a program quotes with `json.dumps` comes back."""

    def meaning(found: re.Match[str]) -> str:
        code = found.group(1)
        if len(code) > 1:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            offset = found.start() + 1  # the quote
            raise _TokenError(f"unknown escape \\{code}; write \\\\ for a backslash", offset)
        return _ESCAPES[code]

    text = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", meaning, body, flags=re.DOTALL)
    return _valid(text)


def _valid(text: str) -> str:
    try:  # the pair \ud83d\ude00 is one character; half of one can be stored nowhere
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise _TokenError("this is not valid Unicode text") from None
