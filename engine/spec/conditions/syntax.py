"""The syntax of run conditions: from text to a tree whose nodes know their positions, or to problems.

1. Our own scanner splits the text into tokens. It says what to write instead of `=`, `and` or `${…}`, and it knows
   where tokens end, which CEL's positions do not tell.
2. Whole numbers become decimals (`1` becomes `1.0`), because CEL does not compare int with double.
3. CEL parses. Its tree is a serialized `cel.expr.ParsedExpr` message, which is decoded here: the protobuf runtime
   would be a dependency for forty lines of code.
4. The decoder refuses everything that conditions do not have, such as function calls and arithmetic.
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
_ALLOWED = "a condition can contain == != < <= > >= in && || ! ( ), texts, numbers and names"
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
    """A node of the syntax tree; its text is text[start:end]. Nodes compare equal regardless of their positions.

    `kind` is constant, name, select (`.field`), list or call. `value` is the constant, the name, the field or the
    operator (`[]` is the index operator).
    """

    kind: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    value: bool | float | str | None = None
    children: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """Yield the node and all its descendants, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Syntax:
    """A parsed condition: the text for CEL and the tree. If `tree` is None, `problems` says why."""

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
    """Parse a condition."""
    if len(text) > MAX_LENGTH:
        message = f"the condition has {len(text)} characters, but at most {MAX_LENGTH} are allowed"
        return Syntax(text, None, (Problem(0, len(text), "condition-too-big", message),))
    tokens = [_Token(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(text)]
    tokens = [token for token in tokens if token.kind != "blank"]
    if not tokens:
        return Syntax(text, None, (Problem(0, max(1, len(text)), "condition-syntax", "the condition is empty"),))
    if found := tuple(_scan(tokens)):
        return Syntax(text, None, found)
    # Append ".0" to every whole number. `inserted` then holds the end of each number in the text for CEL before its
    # ".0", so that offsets that CEL reports can be mapped back to the text of the user.
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
    # The message is a google.protobuf.Any, whose value (2) is a ParsedExpr: expr 2, source_info 3. Field 4 of
    # source_info maps the id of each node to its offset.
    parsed = fields_of(bytes_at(outer, 2))
    info = fields_of(bytes_at(parsed, 3))
    entries = (fields_of(entry) for entry in info.get(4, []) if isinstance(entry, bytes))
    offsets = {int_at(entry, 1): int_at(entry, 2) for entry in entries}
    found_late: list[Problem] = []
    tree = _node(fields_of(bytes_at(parsed, 2)), offsets, places, found_late)
    return Syntax(cel, None if found_late else tree, tuple(found_late))


def _scan(tokens: list[_Token]) -> Iterator[Problem]:
    """Yield the problems that single tokens show, with what to write instead."""
    for before, token in zip([None, *tokens], tokens, strict=False):
        text, start, size = token.text, token.start, len(token.text)
        instead = _INSTEAD.get(text) or (_INSTEAD.get(text.lower()) if token.kind == "word" else None)
        if token.kind == "template":
            inner = re.sub(r"^(\$\{|\{\{|\{%)|(\}\}|%\}|\})$", "", text).strip()
            yield Problem(
                start,
                size,
                "condition-template",
                f"a condition cannot contain {text}: it is an expression that uses names directly",
                f"write {inner or 'the name'} alone",
            )
        elif token.kind == "quote":
            closing = text in "'\""
            message = (
                f"the quote {text} is never closed" if closing else f"the quote {text} cannot be used in a condition"
            )
            yield Problem(start, size, "condition-syntax", message, "write texts in 'straight quotes'")
            if closing:
                return  # what follows is inside the open text: further problems would be wrong
        elif instead is not None:
            what = "a value" if instead in ("true", "false") else "an operator"
            message = f"{text!r} is not {what} of conditions"
            yield Problem(start, size, "condition-operator", message, f"write {instead}")
        elif token.kind == "other":
            shown = text if text.isprintable() else f"U+{ord(text):04X}"
            yield Problem(start, size, "condition-operator", f"{shown!r} is not allowed in a condition", _ALLOWED)
        elif token.kind == "number":
            if not _NUMBER.fullmatch(text):
                yield Problem(start, size, "condition-syntax", f"{text!r} is not a number", "write 12 or 0.45")
            elif float(text) == float("inf"):
                yield Problem(start, size, "condition-syntax", f"{text!r} is larger than any number can be")
        elif token.kind == "text" and before is not None and before.end == start and before.kind in ("text", "word"):
            yield Problem(start, size, "condition-syntax", f"an operator is missing before {text}", _ALLOWED)


class _Places:
    """Maps CEL's offsets to offsets and tokens in the text of the user."""

    def __init__(self, tokens: list[_Token], inserted: list[int]) -> None:
        self.tokens = tokens
        self.inserted = inserted
        self.starts = [token.start for token in tokens]

    def written(self, offset: int) -> int:
        """Return the offset in the user's text: each ".0" inserted before it moved it by 2."""
        return offset - 2 * bisect_left(self.inserted, offset)

    def index(self, offset: int) -> int:
        """Return the index of the token at an offset of the user's text."""
        return min(bisect_left(self.starts, offset), len(self.tokens) - 1)

    def closed(self, start: int, end: int) -> int:
        """Return the end of text[start:end], extended by the closing parentheses that it lacks."""
        # CEL's tree has no parentheses: the last operand of `a == (b)` ends at b, and the node at the `)` after it.
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
    """Return CEL's syntax error as a problem at the token where it occurred."""
    if "recursion" in error:
        message = "the condition is nested too deeply, or has too many comparisons in a row"
        return Problem(0, len(text), "condition-too-big", message)
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", error)
    if match is None:
        return Problem(0, len(text), "condition-syntax", f"the condition cannot be read: {error.splitlines()[0]}")
    line, column, words = int(match[1]), int(match[2]), match[3]
    # CEL counts lines and columns of the text that it got: turn them into an offset, then into the user's text.
    before = cel.split("\n")[: line - 1]
    offset = places.written(sum(len(part) + 1 for part in before) + column - 1)
    if offset >= places.tokens[-1].end or "<EOF>'" in words:
        end = places.tokens[-1]
        return Problem(end.start, len(end.text), "condition-syntax", f"the condition ends too early, after {end.text}")
    token = places.tokens[places.index(offset)]
    return Problem(token.start, len(token.text), "condition-syntax", f"{token.text} is not expected here", _ALLOWED)


def _node(fields: Fields, offsets: dict[int, int], places: _Places, found: list[Problem]) -> Node:
    """Decode a `cel.expr.Expr` message. What conditions do not allow is added to `found`.

    Its fields: id 2, constant 3, name 4, select 5, call 6, list 7 (syntax.proto of https://github.com/google/cel-spec).
    """
    start = places.written(offsets.get(int_at(fields, 2), 0))
    at = places.index(start)
    token = places.tokens[at]

    def below(messages: list[int | bytes]) -> tuple[Node, ...]:
        return tuple(_node(fields_of(m), offsets, places, found) for m in messages if isinstance(m, bytes))

    def next_end(node_end: int) -> int:
        return places.tokens[places.index(node_end)].end

    if 3 in fields:
        value, end = _constant(fields_of(bytes_at(fields, 3))), token.end
        if token.text == "-":  # a negative number: two tokens, one constant
            end = places.tokens[min(at + 1, len(places.tokens) - 1)].end
        if not isinstance(value, bool | float | str):
            found.append(_refused(start, end - start, f"{token.text} is not allowed in a condition"))
        return Node("constant", start, end, value)
    if 4 in fields:
        return Node("name", start, token.end, text_at(fields_of(bytes_at(fields, 4)), 1))
    if 5 in fields:
        select = fields_of(bytes_at(fields, 5))
        children = below(select.get(1, []))
        if 3 in select:  # test_only: the macro has(a.b)
            found.append(_refused(*_called("has", start, places)))
        return Node("select", children[0].start, next_end(start + 1), text_at(select, 2), children)
    if 7 in fields:
        children = below(fields_of(bytes_at(fields, 7)).get(1, []))
        return Node("list", start, next_end(children[-1].end if children else start + 1), None, children)
    call = fields_of(bytes_at(fields, 6)) if 6 in fields else {}
    function = text_at(call, 2)
    operator = _OPERATORS.get(function)
    if operator is None or 1 in call:  # 1 is the target of a method call: a.f(b)
        found.append(_refused(*_called(function, start, places)))
        return Node("call", start, token.end)
    children = below(call.get(3, []))
    # CEL's offset of an infix operator is that of the operator; the node starts with its left operand.
    start = start if operator == "!" else children[0].start
    end = next_end(children[-1].end) if operator == "[]" else places.closed(start, children[-1].end)
    return Node("call", start, end, operator, children)


def _refused(start: int, length: int, message: str) -> Problem:
    return Problem(start, max(1, length), "condition-operator", message, _ALLOWED)


def _called(function: str, start: int, places: _Places) -> tuple[int, int, str]:
    """Return start, length and message for a call that is not allowed: of an operator (`_+_`) or of a function."""
    at = places.index(start)
    token = places.tokens[at]
    if function.startswith("_") or function.endswith("_"):
        return token.start, len(token.text), f"{token.text!r} is not an operator of conditions"
    name = places.tokens[at - 1] if token.text == "(" and at else token
    return name.start, len(name.text), f"{name.text}(…) is a function call, and conditions cannot call functions"


def _constant(fields: Fields) -> bool | float | str | None:
    """Decode a `cel.expr.Constant`: bool 2, double 5, string 6. Return None for null, bytes and unsigned numbers."""
    if 2 in fields:
        return bool(int_at(fields, 2))
    if 5 in fields:
        (number,) = struct.unpack("<d", bytes_at(fields, 5))
        return float(number)
    return text_at(fields, 6) if 6 in fields else None
