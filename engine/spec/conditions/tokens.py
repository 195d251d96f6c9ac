"""The tokens of run conditions, and replacements for tokens of other languages."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from engine.spec.problem import Problem

ALLOWED_SYNTAX = "a condition can contain == != < <= > >= in && || ! ( ), texts, numbers and names"

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


class ConditionToken(NamedTuple):
    """A part of a condition's text. `kind` is text, number, word, sign, or one of the kinds that are refused."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def is_sign(self, *signs: str) -> bool:
        return self.kind != "text" and self.text in signs


def split_tokens(text: str) -> list[ConditionToken]:
    """Return the tokens of a condition, without the blanks between them."""
    found = _CONDITION_TOKEN.finditer(text)
    return [ConditionToken(m.lastgroup or "", m.group(), m.start()) for m in found if m.lastgroup != "blank"]


def find_token_problems(tokens: Sequence[ConditionToken]) -> Iterator[Problem]:
    """Yield the problems of single tokens, with replacements."""
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
            yield Problem(start, size, "condition-operator", f"{shown!r} is not allowed in a condition", ALLOWED_SYNTAX)
        elif token.kind == "number":
            if not _DECIMAL_NUMBER.fullmatch(text):
                yield Problem(start, size, "condition-syntax", f"{text!r} is not a number", "write 12 or 0.45")
            elif float(text) == float("inf"):
                yield Problem(start, size, "condition-syntax", f"{text!r} is too large for a number")
        elif token.kind == "text" and before is not None and before.end == start and before.kind in ("text", "word"):
            yield Problem(start, size, "condition-syntax", f"an operator is missing before {text}", ALLOWED_SYNTAX)
