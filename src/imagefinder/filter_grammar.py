"""The grammar of filter expressions: text to a tree, with errors that point at the column.

Written by hand and not with a parser library: half of it is the messages, which depend on what
stands around the mistake, and a grammar tool answers with the set of tokens it expected.

    either    = every ("or" every)*
    every     = negated ("and" negated)*
    negated   = "not" negated | primary
    primary   = "(" either ")" | "exists" "(" field ")" | condition
    condition = field operator value | field ["not"] ("in" list | "contains" value)
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from imagefinder.errors import FilterError
from imagefinder.filter_tokens import KEYWORDS, NUMBER, LiteralValue, Token, tokens

__all__ = [
    "And",
    "Compare",
    "Contains",
    "Exists",
    "LiteralValue",
    "Node",
    "Not",
    "OneOf",
    "Operator",
    "Or",
    "parse",
]

MAX_LENGTH = 10_000  # characters
MAX_DEPTH = 50  # brackets and nots inside each other; far below Python's recursion limit

Operator: TypeAlias = Literal["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Compare:
    """`field op value`. A `date` that is no `datetime` stands for the whole day."""

    field: str
    op: Operator
    value: LiteralValue


@dataclass(frozen=True, slots=True)
class OneOf:
    """`field in [values]`: equal to any of them."""

    field: str
    values: tuple[LiteralValue, ...]


@dataclass(frozen=True, slots=True)
class Contains:
    """`field contains value`: a part of a text, or an element of a list."""

    field: str
    value: LiteralValue


@dataclass(frozen=True, slots=True)
class Exists:
    """`exists(field)`: there is a value."""

    field: str


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: "Node"


Node: TypeAlias = Compare | OneOf | Contains | Exists | And | Or | Not

_OPERATORS: tuple[Operator, ...] = ("==", "!=", "<", "<=", ">", ">=")


def parse(expression: str) -> Node:
    """The tree of an expression. Raises FilterError."""
    if len(expression) > MAX_LENGTH:
        limits = f"{len(expression):,} characters, the limit is {MAX_LENGTH:,}"
        raise FilterError(f"{limits}; use fewer conditions", expression[:60] + "...", 1)
    return _Parser(expression).whole()


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = list(tokens(expression))
        self.at = 0
        self.depth = 0

    def whole(self) -> Node:
        if self.now.kind == "end":
            raise self.error("the filter is empty; leave it out to search everything")
        node = self.either()
        if self.now.kind == ")":
            raise self.error("there is no ( for this )")
        if self.now.kind != "end":
            raise self.error(f"expected and, or, or the end, found {self.now.text}")
        return node

    def either(self) -> Node:
        parts = [self.every()]
        while self.accept("or"):
            parts.append(self.every())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def every(self) -> Node:
        parts = [self.negated()]
        while self.accept("and"):
            parts.append(self.negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def negated(self) -> Node:
        if self.accept("not"):
            return Not(self.nested(self.negated))
        return self.primary()

    def primary(self) -> Node:
        opening = self.now
        if self.accept("("):
            node = self.nested(self.either)
            self.expect(")", f"expected and, or, or ) for the ( in column {opening.column}")
            return node
        if self.accept("exists"):
            self.expect("(", "expected ( after exists: exists(field)")
            field = self.field("expected a field name: exists(field)")
            self.expect(")", "expected ) after the field name: exists(field)")
            return Exists(field)
        return self.condition()

    def condition(self) -> Node:
        field = self.field(f"expected a condition such as width >= 800, found {self.now.text}")
        sign = self.step()
        if sign.kind == "not" and self.now.kind in ("in", "contains"):
            return Not(self.inclusion(field, self.step()))
        if sign.kind in ("in", "contains"):
            return self.inclusion(field, sign)
        for op in _OPERATORS:
            if op == sign.kind:
                return Compare(field, op, self.value(field, sign))
        self.at -= 1
        raise self.error(
            f"expected ==, !=, <, <=, >, >=, in or contains after {field}, found {sign.text}; "
            f"whether it has a value is exists({field})"
        )

    def inclusion(self, field: str, sign: Token) -> Node:
        if sign.kind == "contains":
            return Contains(field, self.value(field, sign))
        self.expect("[", 'expected a list after in, such as ["gif", "png"]')
        values: list[LiteralValue] = []
        while not self.accept("]"):
            values.append(self.value(field, sign))
            if self.now.kind != "]":
                self.expect(",", f"expected , or ] in the list, found {self.now.text}")
        return OneOf(field, tuple(values))

    def field(self, problem: str) -> str:
        if self.now.kind == "value" and self.at + 1 < len(self.tokens):
            after = self.tokens[self.at + 1].kind
            if after in _OPERATORS or after in ("in", "contains"):
                problem = 'the field comes first, such as width >= 800 or tags contains "cat"'
        if self.now.kind in KEYWORDS:
            problem += f"; a field called {self.now.text} is written `{self.now.text}`"
        if self.now.kind != "name":
            raise self.error(problem)
        return str(self.step().value)

    def value(self, field: str, sign: Token) -> LiteralValue:
        token = self.now
        if token.kind == "name":
            if token.text.lower() in ("null", "none", "nil"):
                raise self.error(
                    f"whether there is a value is exists({field}), or not exists({field})"
                )
            raise self.error(f'put text in quotes: "{token.value}"')
        if token.kind == "[":
            raise self.error(f"a list goes with in: {field} in [...]")
        if token.kind != "value":
            raise self.error(f"expected a value after {sign.text}")
        problem = _mismatch(field, sign.kind, token.value)
        if problem is not None:
            raise self.error(problem)
        return self.step().value

    def nested(self, rule: Callable[[], Node]) -> Node:
        if self.depth == MAX_DEPTH:
            self.at -= 1  # what opens the next level is to blame
            raise self.error(
                f"nested too deep, the limit is {MAX_DEPTH} brackets and nots in each other"
            )
        self.depth += 1
        node = rule()
        self.depth -= 1
        return node

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def step(self) -> Token:
        """The current token, and on to the next; the end is never passed twice."""
        token = self.now
        self.at += 1
        if token.kind == "end":
            self.tokens.append(token)
        return token

    def accept(self, kind: str) -> bool:
        if self.now.kind != kind:
            return False
        self.at += 1
        return True

    def expect(self, kind: str, problem: str) -> None:
        if not self.accept(kind):
            raise self.error(problem)

    def error(self, problem: str) -> FilterError:
        return FilterError(problem, self.expression, self.now.column)


# --- what is known of a record's own fields before any record is seen ---

_NUMBER_FIELDS = {"width", "height", "size", "latitude", "longitude"}
_TEXT_FIELDS = {"id", "uri", "format", "camera"}
_FORMAT_NAMES = {"jpg": "jpeg", "tif": "tiff", "heic": "heif"}
_ORDERS = ("<", "<=", ">", ">=")


def _mismatch(field: str, op: str, value: LiteralValue) -> str | None:
    """Why this comparison could never be true of any image; None where it could."""
    if field == "date" and (op == "contains" or not isinstance(value, date)):
        return "'date' is compared with a date without quotes, such as date >= 2024-05-01"
    if field in _NUMBER_FIELDS and (
        op == "contains" or not _is_number(value, text=op not in _ORDERS)
    ):
        return f"'{field}' is compared with a number, such as {field} >= 100"
    if field == "format" and op in ("==", "!=", "in"):
        name = _FORMAT_NAMES.get(str(value).lower(), str(value).lower())
        return None if name == value else f'this format is called "{name}" here'
    if op in _ORDERS and isinstance(value, bool):
        return "true and false are compared with == or !="
    if op in _ORDERS and field in _TEXT_FIELDS and not isinstance(value, str):
        return f"'{field}' is text; put the value in quotes"
    return None


def _is_number(value: LiteralValue, *, text: bool) -> bool:
    """Whether `value` is a number, or with `text` also "800" in quotes, which == understands."""
    if isinstance(value, str):
        return text and re.fullmatch(NUMBER, value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)
