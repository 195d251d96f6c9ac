"""The syntax of run conditions: from text to a tree whose nodes know their positions, or to problems.

1. A scanner of this module splits the text into tokens. It suggests what to write instead of `=`, `and` or `${…}`, and
it knows
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

from engine.spec.conditions.wire_format import MessageFields, decode_fields, get_bytes, get_int, get_text
from engine.spec.problem import Problem

MAX_CONDITION_LENGTH = 2_000
CONNECTIVES = ("&&", "||", "!")
EQUALITIES = ("==", "!=")
ORDERINGS = ("<", "<=", ">", ">=")

_CEL_OPERATORS = {
    **{f"_{op}_": op for op in ("&&", "||", *EQUALITIES, *ORDERINGS)},
    "!_": "!",
    "@in": "in",
    "_[_]": "[]",
}
_ALLOWED_SYNTAX = "a condition can contain == != < <= > >= in && || ! ( ), texts, numbers and names"
_CONDITION_TOKEN = re.compile(
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
_DECIMAL_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_REPLACEMENTS = {
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
class ConditionNode:
    """A node of the syntax tree; its text is text[start:end]. Nodes compare equal regardless of their positions.

    `kind` is constant, name, select (`.field`), list or call. `value` is the constant, the name, the field or the
    operator (`[]` is the index operator).
    """

    kind: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    value: bool | float | str | None = None
    children: tuple["ConditionNode", ...] = ()

    def walk(self) -> Iterator["ConditionNode"]:
        """Yield the node and all its descendants, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class ConditionSyntax:
    """A parsed condition: the text for CEL and the tree. If `tree` is None, `problems` has the reasons."""

    cel: str
    tree: ConditionNode | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _ConditionToken:
    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse_condition(text: str) -> ConditionSyntax:
    """Parse a condition."""
    if len(text) > MAX_CONDITION_LENGTH:
        message = f"the condition has {len(text)} characters, but at most {MAX_CONDITION_LENGTH} are allowed"
        return ConditionSyntax(text, None, (Problem(0, len(text), "condition-too-big", message),))
    tokens = [_ConditionToken(m.lastgroup or "", m.group(), m.start()) for m in _CONDITION_TOKEN.finditer(text)]
    tokens = [token for token in tokens if token.kind != "blank"]
    if not tokens:
        return ConditionSyntax(
            text, None, (Problem(0, max(1, len(text)), "condition-syntax", "the condition is empty"),)
        )
    if found := tuple(_scan_tokens(tokens)):
        return ConditionSyntax(text, None, found)
    # Append ".0" to every whole number. `inserted` then holds the end of each number in the text for CEL before its
    # ".0", so that offsets that CEL reports can be mapped back to the text of the user.
    whole = [t for t in tokens if t.kind == "number" and t.text.isdigit()]
    cel, last = "", 0
    for token in whole:
        cel, last = cel + text[last : token.end] + ".0", token.end
    cel += text[last:]
    places = _PositionMap(tokens, [t.end + 2 * i for i, t in enumerate(whole)])
    try:
        outer = decode_fields(_compile_cel(cel))
    except RuntimeError as error:
        return ConditionSyntax(cel, None, (_translate_cel_error(str(error), text, cel, places),))
    # The message is a google.protobuf.Any, whose value (2) is a ParsedExpr: expr 2, source_info 3. Field 4 of
    # source_info maps the id of each node to its offset.
    parsed = decode_fields(get_bytes(outer, 2))
    info = decode_fields(get_bytes(parsed, 3))
    entries = (decode_fields(entry) for entry in info.get(4, []) if isinstance(entry, bytes))
    offsets = {get_int(entry, 1): get_int(entry, 2) for entry in entries}
    found_late: list[Problem] = []
    tree = _decode_node(decode_fields(get_bytes(parsed, 2)), offsets, places, found_late)
    return ConditionSyntax(cel, None if found_late else tree, tuple(found_late))


def _scan_tokens(tokens: list[_ConditionToken]) -> Iterator[Problem]:
    """Yield the problems that single tokens show, with what to write instead."""
    for before, token in zip([None, *tokens], tokens, strict=False):
        text, start, size = token.text, token.start, len(token.text)
        instead = _REPLACEMENTS.get(text) or (_REPLACEMENTS.get(text.lower()) if token.kind == "word" else None)
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
            yield Problem(
                start, size, "condition-operator", f"{shown!r} is not allowed in a condition", _ALLOWED_SYNTAX
            )
        elif token.kind == "number":
            if not _DECIMAL_NUMBER.fullmatch(text):
                yield Problem(start, size, "condition-syntax", f"{text!r} is not a number", "write 12 or 0.45")
            elif float(text) == float("inf"):
                yield Problem(start, size, "condition-syntax", f"{text!r} is larger than any number can be")
        elif token.kind == "text" and before is not None and before.end == start and before.kind in ("text", "word"):
            yield Problem(start, size, "condition-syntax", f"an operator is missing before {text}", _ALLOWED_SYNTAX)


class _PositionMap:
    """Maps CEL's offsets to offsets and tokens in the text of the user."""

    def __init__(self, tokens: list[_ConditionToken], inserted: list[int]) -> None:
        self.tokens = tokens
        self.inserted = inserted
        self.starts = [token.start for token in tokens]

    def to_source_offset(self, offset: int) -> int:
        """Return the offset in the user's text: each ".0" inserted before it moved it by 2."""
        return offset - 2 * bisect_left(self.inserted, offset)

    def find_token_index(self, offset: int) -> int:
        """Return the index of the token at an offset of the user's text."""
        return min(bisect_left(self.starts, offset), len(self.tokens) - 1)

    def find_closing_end(self, start: int, end: int) -> int:
        """Return the end of text[start:end], extended by the closing parentheses that it lacks."""
        # CEL's tree has no parentheses: the last operand of `a == (b)` ends at b, and the node at the `)` after it.
        inside = [token.text for token in self.tokens if start <= token.start < end]
        last = self.find_token_index(end) + inside.count("(") - inside.count(")") - 1
        return self.tokens[last].end if inside.count("(") > inside.count(")") else end


def _compile_cel(cel_text: str) -> bytes:
    from cel_expr_python import cel  # 50 ms, and most commands have no condition to read

    try:
        serialized: bytes = cel.NewEnv().compile(cel_text, disable_check=True).serialize()
    except TypeError as error:  # what pybind raises for lone surrogates
        raise RuntimeError("the text is not valid Unicode") from error
    return serialized


def _translate_cel_error(error: str, text: str, cel: str, places: _PositionMap) -> Problem:
    """Return CEL's syntax error as a problem at the token where it occurred."""
    if "recursion" in error:
        message = "the condition is nested too deeply, or has too many comparisons in a row"
        help_ = "shorten it, or set a variable in an earlier step and compare that"
        return Problem(0, len(text), "condition-too-big", message, help_)
    match = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)", error)
    if match is None:
        return Problem(0, len(text), "condition-syntax", f"the condition cannot be read: {error.splitlines()[0]}")
    line, column, words = int(match[1]), int(match[2]), match[3]
    # CEL counts lines and columns of the text that it got: turn them into an offset, then into the user's text.
    before = cel.split("\n")[: line - 1]
    offset = places.to_source_offset(sum(len(part) + 1 for part in before) + column - 1)
    if offset >= places.tokens[-1].end or "<EOF>'" in words:
        end = places.tokens[-1]
        return Problem(end.start, len(end.text), "condition-syntax", f"the condition ends too early, after {end.text}")
    token = places.tokens[places.find_token_index(offset)]
    return Problem(
        token.start, len(token.text), "condition-syntax", f"{token.text} is not expected here", _ALLOWED_SYNTAX
    )


def _decode_node(
    fields: MessageFields, offsets: dict[int, int], places: _PositionMap, found: list[Problem]
) -> ConditionNode:
    """Decode a `cel.expr.Expr` message. What conditions do not allow is added to `found`.

    Its fields: id 2, constant 3, name 4, select 5, call 6, list 7 (syntax.proto of https://github.com/google/cel-spec).
    """
    start = places.to_source_offset(offsets.get(get_int(fields, 2), 0))
    at = places.find_token_index(start)
    token = places.tokens[at]

    def below(messages: list[int | bytes]) -> tuple[ConditionNode, ...]:
        return tuple(_decode_node(decode_fields(m), offsets, places, found) for m in messages if isinstance(m, bytes))

    def next_end(node_end: int) -> int:
        return places.tokens[places.find_token_index(node_end)].end

    if 3 in fields:
        value, end = _decode_constant(decode_fields(get_bytes(fields, 3))), token.end
        if token.text == "-":  # a negative number: two tokens, one constant
            end = places.tokens[min(at + 1, len(places.tokens) - 1)].end
        if not isinstance(value, bool | float | str):
            found.append(_refuse_syntax(start, end - start, f"{token.text} is not allowed in a condition"))
        return ConditionNode("constant", start, end, value)
    if 4 in fields:
        return ConditionNode("name", start, token.end, get_text(decode_fields(get_bytes(fields, 4)), 1))
    if 5 in fields:
        select = decode_fields(get_bytes(fields, 5))
        children = below(select.get(1, []))
        if 3 in select:  # test_only: the macro has(a.b)
            found.append(_refuse_syntax(*_describe_call("has", start, places)))
        return ConditionNode("select", children[0].start, next_end(start + 1), get_text(select, 2), children)
    if 7 in fields:
        children = below(decode_fields(get_bytes(fields, 7)).get(1, []))
        return ConditionNode("list", start, next_end(children[-1].end if children else start + 1), None, children)
    call = decode_fields(get_bytes(fields, 6)) if 6 in fields else {}
    function = get_text(call, 2)
    operator = _CEL_OPERATORS.get(function)
    if operator is None or 1 in call:  # 1 is the target of a method call: a.f(b)
        found.append(_refuse_syntax(*_describe_call(function, start, places)))
        return ConditionNode("call", start, token.end)
    children = below(call.get(3, []))
    # CEL's offset of an infix operator is that of the operator; the node starts with its left operand.
    start = start if operator == "!" else children[0].start
    end = next_end(children[-1].end) if operator == "[]" else places.find_closing_end(start, children[-1].end)
    return ConditionNode("call", start, end, operator, children)


def _refuse_syntax(start: int, length: int, message: str) -> Problem:
    return Problem(start, max(1, length), "condition-operator", message, _ALLOWED_SYNTAX)


def _describe_call(function: str, start: int, places: _PositionMap) -> tuple[int, int, str]:
    """Return start, length and message for a call that is not allowed: of an operator (`_+_`) or of a function."""
    at = places.find_token_index(start)
    token = places.tokens[at]
    if function.startswith("_") or function.endswith("_"):
        return token.start, len(token.text), f"{token.text!r} is not an operator of conditions"
    name = places.tokens[at - 1] if token.text == "(" and at else token
    return name.start, len(name.text), f"{name.text}(…) is a function call, and conditions cannot call functions"


def _decode_constant(fields: MessageFields) -> bool | float | str | None:
    """Decode a `cel.expr.Constant`: bool 2, double 5, string 6. Return None for null, bytes and unsigned numbers."""
    if 2 in fields:
        return bool(get_int(fields, 2))
    if 5 in fields:
        (number,) = struct.unpack("<d", get_bytes(fields, 5))
        return float(number)
    return get_text(fields, 6) if 6 in fields else None
