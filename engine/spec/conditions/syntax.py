"""The syntax of run conditions: from text to a tree whose nodes know their positions, or to problems.

The grammar is a subset of CEL's (https://github.com/google/cel-spec), read by recursive descent: each rule of `GRAMMAR`
is a method of the parser.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from engine.spec.conditions.scope import ALWAYS
from engine.spec.conditions.tokens import ALLOWED_SYNTAX, ConditionToken, find_token_problems, split_tokens
from engine.spec.problem import Problem

GRAMMAR = """\
condition  = and, { "||", and }
and        = comparison, { "&&", comparison }
comparison = operand, { ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" ), operand }
operand    = { "!" }, member
member     = value, { ".", name | "[", condition, "]" }
value      = "true" | "false" | text | [ "-" ], number | name | "(", condition, ")" | list
list       = "[", [ condition, { ",", condition }, [ "," ] ], "]"
"""
MAX_CONDITION_LENGTH = 2_000
MAX_NESTING = 64
"""Largest depth of a condition's tree; consecutive `&&` or `||` count as one level."""
CONNECTIVES = ("&&", "||", "!")
EQUALITIES = ("==", "!=")
ORDERINGS = ("<", "<=", ">", ">=")

_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_ESCAPED_CHARACTERS = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), **{c: c for c in "\\'\"`?"}}


@dataclass(frozen=True, slots=True)
class ConditionNode:
    """A node of the syntax tree; its text is text[start:end]. Nodes compare equal regardless of their positions.

    `kind` is constant, name, select (`.field`), list or call. `value` is the constant, the name, the field or the
    operator (`[]` is the index operator). `&&` and `||` have two or more children.
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


class ConditionSyntax(NamedTuple):
    """A parsed condition. If `tree` is None, `problems` has the reasons."""

    tree: ConditionNode | None
    problems: tuple[Problem, ...] = ()


def parse_condition(text: str) -> ConditionSyntax:
    """Parse a condition."""
    if len(text) > MAX_CONDITION_LENGTH:
        message = f"the condition has {len(text)} characters, but at most {MAX_CONDITION_LENGTH} are allowed"
        return ConditionSyntax(None, (Problem(0, len(text), "condition-too-big", message),))
    tokens = split_tokens(text)
    if not tokens:
        return ConditionSyntax(None, (Problem(0, max(1, len(text)), "condition-syntax", "the condition is empty"),))
    if found := tuple(find_token_problems(tokens)):
        return ConditionSyntax(None, found)
    try:
        return ConditionSyntax(_ConditionParser(tokens).parse())
    except _SyntaxProblem as stopped:
        return ConditionSyntax(None, (stopped.problem,))


class _SyntaxProblem(Exception):  # noqa: N818 # it ends the parsing, and is returned as a problem
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _ConditionParser:
    """Reads tokens from left to right; `at` is the index of the next one. The methods are the rules of the grammar."""

    def __init__(self, tokens: list[ConditionToken]) -> None:
        self.tokens = [*tokens, ConditionToken("end", "", tokens[-1].end)]
        self.at = 0
        self.nesting = 0

    def parse(self) -> ConditionNode:
        tree = self.condition()
        if self.next.kind != "end":
            self.refuse_next()
        return tree

    @property
    def next(self) -> ConditionToken:
        return self.tokens[self.at]

    def accept(self, *signs: str) -> str | None:
        """Return the next token's text and go past it if it is one of these signs."""
        token = self.next
        if not token.is_sign(*signs):
            return None
        self.at += 1
        return token.text

    def expect(self, sign: str) -> None:
        if self.accept(sign) is None:
            self.refuse_next()

    def make_node(
        self, kind: str, first: int, value: bool | float | str | None = None, *children: ConditionNode
    ) -> ConditionNode:
        """Return a node from the token with the index `first` to the last one that was read."""
        return ConditionNode(kind, self.tokens[first].start, self.tokens[self.at - 1].end, value, children)

    def condition(self) -> ConditionNode:
        self.enter()
        tree = self.connected("||", lambda: self.connected("&&", self.comparison))
        self.nesting -= 1
        return tree

    def connected(self, connective: str, operand: Callable[[], ConditionNode]) -> ConditionNode:
        first = self.at
        operands = [operand()]
        while self.accept(connective):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else self.make_node("call", first, connective, *operands)

    def comparison(self) -> ConditionNode:
        first, outside = self.at, self.nesting
        left = self.operand()
        while operator := self.accept(*EQUALITIES, *ORDERINGS, "in"):
            self.enter()
            left = self.make_call(first, operator, left, self.operand())
        self.nesting = outside
        return left

    def make_call(self, first: int, operator: str, *children: ConditionNode) -> ConditionNode:
        return self.make_node("call", first, operator, *children)

    def operand(self) -> ConditionNode:
        first = self.at
        if not self.accept("!"):
            return self.member()
        self.enter()
        node = self.make_call(first, "!", self.operand())
        self.nesting -= 1
        return node

    def member(self) -> ConditionNode:
        first, outside = self.at, self.nesting
        node = self.value()
        while sign := self.accept(".", "["):
            self.enter()
            if sign == ".":
                node = self.make_node("select", first, self.name(), node)
            else:
                key = self.condition()
                self.expect("]")
                node = self.make_call(first, "[]", node, key)
        self.nesting = outside
        return node

    def value(self) -> ConditionNode:
        first, token = self.at, self.next
        if token.kind == "text":
            self.at += 1
            return self.make_node("constant", first, _read_text(token))
        if token.kind == "number" or (token.is_sign("-") and self.tokens[first + 1].kind == "number"):
            negative = self.accept("-") is not None
            number = float(self.next.text)
            self.at += 1
            return self.make_node("constant", first, -number if negative else number)
        if self.accept("("):
            tree = self.condition()
            self.expect(")")
            return tree
        if self.accept("["):
            return self.make_node("list", first, None, *self.items())
        if truth := self.accept("true", "false"):
            return self.make_node("constant", first, truth == "true")
        name = self.name()
        return self.make_node("name", first, name)

    def items(self) -> Iterator[ConditionNode]:
        """Yield the items of a list, to its closing bracket."""
        while not self.accept("]"):
            yield self.condition()
            if not self.next.is_sign("]"):
                self.expect(",")

    def name(self) -> str:
        token = self.next
        if token.kind != "word" or token.text == "in":
            self.refuse_next()
        if token.text == "null":
            self.refuse(token, "null is not allowed in a condition")
        self.at += 1
        if self.next.is_sign("("):
            if token.text == ALWAYS:
                message = "always is a keyword, not a function"
                raise _SyntaxProblem(Problem(token.start, len(ALWAYS), "condition-operator", message, "write always"))
            self.refuse(token, f"{token.text}(…) is a function call, and conditions cannot call functions")
        return token.text

    def enter(self) -> None:
        """Count a level of the tree."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            message = "the condition is nested too deeply, or has too many comparisons in a row"
            help_ = "shorten it, or set a variable in an earlier step and compare that"
            raise _SyntaxProblem(Problem(0, self.tokens[-1].end, "condition-too-big", message, help_))

    def refuse_next(self) -> NoReturn:
        """Refuse the next token, which the grammar does not allow here."""
        token = self.next
        if token.kind == "end":
            last = self.tokens[self.at - 1]
            message = f"the condition ends too early, after {last.text}"
            raise _SyntaxProblem(Problem(last.start, len(last.text), "condition-syntax", message))
        if token.is_sign("-"):
            self.refuse(token, "'-' is not an operator of conditions")
        message = f"{token.text} is not expected here"
        help_ = "write a list in brackets: in ['WARNING', 'FAILED']" if token.is_sign(",") else ALLOWED_SYNTAX
        raise _SyntaxProblem(Problem(token.start, len(token.text), "condition-syntax", message, help_))

    def refuse(self, token: ConditionToken, message: str) -> NoReturn:
        """Refuse a token of other languages that conditions do not have."""
        raise _SyntaxProblem(Problem(token.start, len(token.text), "condition-operator", message, ALLOWED_SYNTAX))


def _read_text(token: ConditionToken) -> str:
    """Return the value of a text in quotes, with the escapes of CEL read."""

    def read_escape(found: re.Match[str]) -> str:
        *hexadecimal, octal, character = found.groups()
        digits = next((code for code in hexadecimal if code), None)
        code = int(digits, 16) if digits else int(octal, 8) if octal else None
        if code is None and character in _ESCAPED_CHARACTERS:
            return _ESCAPED_CHARACTERS[character]
        if code is None or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            message, help_ = f"{found[0]} is not a valid escape sequence", r"write \\ for a backslash"
            start = token.start + 1 + found.start()
            raise _SyntaxProblem(Problem(start, len(found[0]), "condition-syntax", message, help_))
        return chr(code)

    return _ESCAPE.sub(read_escape, token.text[1:-1])
