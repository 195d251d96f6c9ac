"""The syntax of run conditions: from text to a small tree whose nodes know their place, or to problems.

CEL is the parser; its tree comes as the bytes of a `cel.expr.ParsedExpr` message, decoded here by hand: the protobuf
runtime would be a dependency for forty lines. Our own scan goes first, because it can say what to write instead of
`=`, `and` or `${…}`, and because it knows where tokens end, which CEL's positions do not.

Every number is a decimal here: `1` becomes `1.0` before CEL reads it, since CEL does not compare int with double.
"""

import re
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.spec.conditions.wire import Fields, bytes_at, fields_of, int_at, text_at
from engine.spec.problem import Problem

MAX_LENGTH = 2_000
CONNECTIVES = ("&&", "||", "!")
EQUALITIES = ("==", "!=")
ORDERINGS = ("<", "<=", ">", ">=")

_OPERATORS = {
    **{f"_{op}_": op for op in ("&&", "||", *EQUALITIES, *ORDERINGS)},
    "!_": "!",
    "@in": "in",
    "_[_]": "[]",
}
_ALLOWED = "a condition has == != < <= > >= in && || ! ( ), texts, numbers and names"
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f]+)
    |(?P<template>\$\{[^}]*\}?|\{\{.*?(?:\}\}|$)|\{%.*?(?:%\}|$))
    |(?P<text>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    |(?P<number>(?:\d+|\.\d+)(?:[eE][+-]\d|[\w.])*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>&&|\|\||===|==|!==|!=|<=|>=|<>|=<|=>|:=|[<>!()\[\],.=&|-])
    |(?P<quote>['"`\u2018\u2019\u201C\u201D\xAB\xBB])
    |(?P<other>.)""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INSTEAD = {
    "=": "==",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=<": "<=",
    "=>": ">=",
    ":=": "==",
    "&": "&&",
    "|": "||",
    "and": "&&",
    "or": "||",
    "not": "!",
    "True": "true",
    "False": "false",
    "TRUE": "true",
    "FALSE": "false",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition: text[start:end].

    `kind` is constant, name, select (`.field`), list or call; `value` the constant, the name, the field or the
    operator (`[]` is the index).
    """

    kind: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    value: bool | float | str | None = None
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """Yield the node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Syntax:
    """A condition as read: the text that CEL takes, and the tree; without one there are problems."""

    cel: str
    tree: Node | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse(text: str) -> Syntax:
    """Read a condition."""
    if len(text) > MAX_LENGTH:
        message = f"the condition is too long: {len(text)} characters, {MAX_LENGTH} are allowed"
        return Syntax(text, None, (Problem(0, len(text), "condition-too-big", message),))
    tokens = [_Token(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(text)]
    tokens = [token for token in tokens if token.kind != "blank"]
    if not tokens:
        return Syntax(text, None, (Problem(0, max(1, len(text)), "condition-syntax", "the condition is empty"),))
    if found := tuple(_scan(tokens)):
        return Syntax(text, None, found)
    whole = [t for t in tokens if t.kind == "number" and t.text.isdigit()]
    cel, last = "", 0
    for token in whole:
        cel, last = cel + text[last : token.end] + ".0", token.end
    cel += text[last:]
    places = _Places(tokens, [t.end + 2 * i for i, t in enumerate(whole)])
    try:
        outer = fields_of(_compile(cel))
    except RuntimeError as error:
        return Syntax(cel, None, (_syntax_problem(str(error), text, cel, places),))
    parsed = fields_of(bytes_at(outer, 2))
    info = fields_of(bytes_at(parsed, 3))
    entries = (fields_of(entry) for entry in info.get(4, []) if isinstance(entry, bytes))
    offsets = {int_at(entry, 1): int_at(entry, 2) for entry in entries}
    found_late: list[Problem] = []
    tree = _node(fields_of(bytes_at(parsed, 2)), offsets, places, found_late)
    return Syntax(cel, None if found_late else tree, tuple(found_late))


def _scan(tokens: list[_Token]) -> Iterator[Problem]:
    for before, token in zip([None, *tokens], tokens, strict=False):
        text, start, size = token.text, token.start, len(token.text)
        instead = _INSTEAD.get(text) or (_INSTEAD.get(text.lower()) if token.kind == "word" else None)
        if token.kind == "template":
            inner = re.sub(r"^(\$\{|\{\{|\{%)|(\}\}|%\}|\})$", "", text).strip()
            yield Problem(
                start,
                size,
                "condition-template",
                f"{text} in a condition: a condition is a bare expression, nothing is filled in",
                f"write {inner or 'the name'} alone",
            )
        elif token.kind == "quote":
            closing = text in "'\""
            message = f"the quote {text} is never closed" if closing else f"{text} is no quote that conditions know"
            yield Problem(start, size, "condition-syntax", message, "texts stand in 'straight quotes'")
            if closing:
                return
        elif instead is not None:
            message = f"{text!r} is not an operator of conditions"
            yield Problem(start, size, "condition-operator", message, f"write {instead}")
        elif token.kind == "other":
            shown = text if text.isprintable() else f"U+{ord(text):04X}"
            yield Problem(start, size, "condition-operator", f"{shown!r} has no place in a condition", _ALLOWED)
        elif token.kind == "number":
            if not _NUMBER.fullmatch(text):
                yield Problem(start, size, "condition-syntax", f"{text!r} is not a number", "write 12 or 0.45")
            elif float(text) == float("inf"):
                yield Problem(start, size, "condition-syntax", f"{text!r} is too large a number")
        elif token.kind == "text" and before is not None and before.end == start and before.kind in ("text", "word"):
            yield Problem(start, size, "condition-syntax", f"an operator is missing before {text}", _ALLOWED)


class _Places:
    """From CEL's offsets to places in the text as written."""

    def __init__(self, tokens: list[_Token], inserted: list[int]) -> None:
        self.tokens = tokens
        self.inserted = inserted
        self.starts = [token.start for token in tokens]

    def written(self, offset: int) -> int:
        return offset - 2 * bisect_left(self.inserted, offset)

    def index(self, offset: int) -> int:
        """Return which token stands at an offset of the text as written."""
        return min(bisect_left(self.starts, offset), len(self.tokens) - 1)

    def closed(self, start: int, end: int) -> int:
        """Return the end of text[start:end] once the parentheses that it opens are closed."""
        inside = [token.text for token in self.tokens if start <= token.start < end]
        last = self.index(end) + inside.count("(") - inside.count(")") - 1
        return self.tokens[last].end if inside.count("(") > inside.count(")") else end


def _compile(cel_text: str) -> bytes:
    from cel_expr_python import cel  # 50 ms, and most commands have no condition to read

    try:
        serialized: bytes = cel.NewEnv().compile(cel_text, disable_check=True).serialize()
    except TypeError as error:  # what pybind raises for lone surrogates
        raise RuntimeError("the text is not valid Unicode") from error
    return serialized


def _syntax_problem(error: str, text: str, cel: str, places: _Places) -> Problem:
    if "recursion" in error:
        message = "the condition is too deeply nested, or compares too often in one go"
        return Problem(0, len(text), "condition-too-big", message)
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", error)
    if match is None:
        return Problem(0, len(text), "condition-syntax", f"the condition cannot be read: {error.splitlines()[0]}")
    line, column, words = int(match[1]), int(match[2]), match[3]
    before = cel.split("\n")[: line - 1]
    offset = places.written(sum(len(part) + 1 for part in before) + column - 1)
    if offset >= places.tokens[-1].end or "<EOF>'" in words:
        end = places.tokens[-1]
        return Problem(end.start, len(end.text), "condition-syntax", f"the condition ends too early, after {end.text}")
    token = places.tokens[places.index(offset)]
    return Problem(token.start, len(token.text), "condition-syntax", f"{token.text} is not expected here", _ALLOWED)


def _node(fields: Fields, offsets: dict[int, int], places: _Places, found: list[Problem]) -> Node:
    """Decode a `cel.expr.Expr`: id 2, constant 3, name 4, select 5, call 6, list 7; anything else is refused."""
    start = places.written(offsets.get(int_at(fields, 2), 0))
    at = places.index(start)
    token = places.tokens[at]

    def below(messages: list[int | bytes]) -> tuple[Node, ...]:
        return tuple(_node(fields_of(m), offsets, places, found) for m in messages if isinstance(m, bytes))

    def next_end(node_end: int) -> int:
        return places.tokens[places.index(node_end)].end

    if 3 in fields:
        value, end = _constant(fields_of(bytes_at(fields, 3))), token.end
        if token.text == "-":
            end = places.tokens[min(at + 1, len(places.tokens) - 1)].end
        if not isinstance(value, bool | float | str):
            found.append(_refused(start, end - start, f"{token.text} has no place in a condition"))
        return Node("constant", start, end, value)
    if 4 in fields:
        return Node("name", start, token.end, text_at(fields_of(bytes_at(fields, 4)), 1))
    if 5 in fields:
        select = fields_of(bytes_at(fields, 5))
        children = below(select.get(1, []))
        if 3 in select:
            found.append(_refused(*_called("has", start, places)))
        return Node("select", children[0].start, next_end(start + 1), text_at(select, 2), children)
    if 7 in fields:
        children = below(fields_of(bytes_at(fields, 7)).get(1, []))
        return Node("list", start, next_end(children[-1].end if children else start + 1), None, children)
    call = fields_of(bytes_at(fields, 6)) if 6 in fields else {}
    function = text_at(call, 2)
    operator = _OPERATORS.get(function)
    if operator is None or 1 in call:
        found.append(_refused(*_called(function, start, places)))
        return Node("call", start, token.end)
    children = below(call.get(3, []))
    start = start if operator == "!" else children[0].start
    end = next_end(children[-1].end) if operator == "[]" else places.closed(start, children[-1].end)
    return Node("call", start, end, operator, children)


def _refused(start: int, length: int, message: str) -> Problem:
    return Problem(start, max(1, length), "condition-operator", message, _ALLOWED)


def _called(function: str, start: int, places: _Places) -> tuple[int, int, str]:
    at = places.index(start)
    token = places.tokens[at]
    if function.startswith("_") or function.endswith("_"):
        return token.start, len(token.text), f"{token.text!r} is not an operator of conditions"
    name = places.tokens[at - 1] if token.text == "(" and at else token
    return name.start, len(name.text), f"{name.text}(…) is a function, and conditions have none"


def _constant(fields: Fields) -> bool | float | str | None:
    """Decode a `cel.expr.Constant`; None for null and what conditions do not have (bytes, unsigned)."""
    if 2 in fields:
        return bool(int_at(fields, 2))
    if 5 in fields:
        (number,) = struct.unpack("<d", bytes_at(fields, 5))
        return float(number)
    return text_at(fields, 6) if 6 in fields else None
