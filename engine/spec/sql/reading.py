"""From SQL text to its syntax tree, or to what keeps it from having one.

A scan of our own goes first: it knows where texts, names and comments are, so that each `${name}` becomes a placeholder
of the same length (offsets stay) exactly where a value may stand, and the tree must then hold every one of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, cast

from engine.spec.problem import Problem, suggest
from engine.spec.variables import Reference, references

if TYPE_CHECKING:
    from sqlglot import Dialect, exp

MAX_LENGTH = 20_000
MAX_REFERENCES = 200
MAX_DEPTH = 30
"""Levels of the syntax tree. polars' parser reads 46; sqlglot 30.0 reads 34 before Python's stack is full."""

_LEXEME = re.compile(
    r"""(?P<escape>\$\$\{)
    |(?P<text>'(?:''|[^'])*')
    |(?P<name>"(?:""|[^"])*"|`[^`]*`)
    |(?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<unclosed>['"`]|/\*)
    |(?P<dollar>\$\w*\$)
    |(?P<end>;)
    |(?P<word>\w+)
    |(?P<blank>\s+)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query as read. The tree holds a placeholder named `_<index>` for each reference; without it: problems."""

    sql: str
    references: tuple[Reference, ...]
    tree: "exp.Query | None"
    problems: tuple[Problem, ...] = ()


@cache
def _dialect() -> "type[Dialect]":
    from sqlglot.dialects.duckdb import DuckDB

    class PolarsSql(DuckDB):
        """DuckDB's dialect, with names in backticks too."""

        class Tokenizer(DuckDB.Tokenizer):
            IDENTIFIERS = ['"', "`"]  # noqa: RUF012 # sqlglot's own form

    return PolarsSql


def parse(sql: str) -> "exp.Query":
    import sqlglot

    return cast("exp.Query", sqlglot.parse_one(sql, read=_dialect(), error_message_context=MAX_LENGTH))


@lru_cache(maxsize=256)  # a project asks for the same few queries at every turn of a loop; nobody changes the tree
def read(sql: str) -> Query:
    from sqlglot.errors import ParseError, TokenError

    if len(sql) > MAX_LENGTH:
        message = f"the SQL is too long: {len(sql)} characters, {MAX_LENGTH} are allowed"
        return Query(sql, (), None, (Problem(0, len(sql), "sql-too-big", message),))
    lexed, found = _lex(sql)
    if len(lexed) > MAX_REFERENCES:
        message = f"more than {MAX_REFERENCES} references in one query"
        found.append(Problem(lexed[-1].offset, lexed[-1].length, "sql-too-big", message))
    if found:
        return Query(sql, lexed, None, tuple(found))
    try:
        tree = parse(with_placeholders(sql, lexed))
        problem = _depth(sql, tree) or _statement(sql, tree) or _hidden(sql, lexed, tree)
    except ParseError as error:
        problem = _syntax(sql, error.errors[0])
    except TokenError:
        problem = Problem(0, len(sql), "sql-syntax", "the SQL cannot be read")
    except RecursionError:
        problem = Problem(0, len(sql), "sql-too-big", _TOO_DEEP)
    return Query(sql, lexed, tree if problem is None else None, () if problem is None else (problem,))


def _lex(sql: str) -> tuple[tuple[Reference, ...], list[Problem]]:
    """Return the references that are to become literals, and what is wrong before anything is parsed."""
    by_offset = {reference.offset: reference for reference in references(sql)}
    free: list[Reference] = []
    found: list[Problem] = []
    at, first, ended = 0, True, False
    depth = deepest = 0
    while at < len(sql):
        if at in by_offset and not first:
            free.append(by_offset[at])
            at += by_offset[at].length
            continue
        lexeme = _LEXEME.match(sql, at)
        assert lexeme is not None  # noqa: S101 # the last alternative takes any character
        kind, text, at = lexeme.lastgroup, lexeme.group(), lexeme.end()
        if kind in ("blank", "comment"):
            continue
        start, size = lexeme.start(), len(text)
        if ended:
            found.append(Problem(start, size, "sql-statement", "a query is one SELECT, and more follows after the ;"))
            break
        if first and text.upper() not in ("SELECT", "WITH", "("):
            shown = by_offset[start].text if start in by_offset else text
            meant = suggest(text.upper(), ["SELECT", "WITH"])
            help_ = f'did you mean "{meant}"?' if meant else "a query only reads"
            message = f"a query starts with SELECT or WITH, not with {shown}"
            found.append(Problem(start, len(shown), "sql-statement", message, help_))
            break
        first, ended = False, kind == "end"
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        deepest = max(deepest, depth)
        if kind in ("text", "name"):
            found += _quoted(text, start, [r for r in by_offset.values() if start <= r.offset < at])
        elif kind == "unclosed":
            message = "the comment is never closed" if text == "/*" else f"the quote {text} is never closed"
            found.append(Problem(start, size, "sql-syntax", message))
            break
        elif kind == "escape":
            help_ = "inside a text it stands for ${; a reference is ${name}"
            found.append(Problem(start, size, "sql-syntax", "$${ outside a text", help_))
        elif kind == "dollar":
            found.append(
                Problem(start, size, "sql-syntax", "$…$ quotes nothing here", "write texts in 'single quotes'")
            )
    if first and not found:
        found.append(Problem(0, max(1, len(sql)), "sql-syntax", "the SQL is empty"))
    if deepest > MAX_DEPTH:  # before sqlglot reads it: whether it finds a mistake or no end of Python's stack, varies
        return tuple(free), [Problem(0, len(sql), "sql-too-big", _TOO_DEEP)]
    for reference in free:
        if not reference.parts:
            message = f"{reference.text} is no reference"
            found.append(Problem(reference.offset, reference.length, "sql-variable", message, "write ${name}"))
    return tuple(free), found


def _quoted(text: str, start: int, inside: list[Reference]) -> Iterator[Problem]:
    for reference in inside:
        alone = reference.length == len(text) - 2
        if text[0] == "'":
            message = f"{reference.text} inside a text: it becomes a whole literal, with quotes of its own"
            help_ = f"write {reference.text} without quotes" if alone else f"write '…' || {reference.text} || '…'"
        else:
            message = f"{reference.text} inside a name: a variable is a value, never a table or column"
            help_ = "write the name itself"
        yield Problem(reference.offset, reference.length, "sql-variable", message, help_)


def with_placeholders(sql: str, free: tuple[Reference, ...]) -> str:
    """Return the SQL with each reference a placeholder of the same length, so that offsets stay."""
    for index, reference in enumerate(free):
        name = f"$_{index:0{reference.length - 2}x}"
        sql = sql[: reference.offset] + name + sql[reference.offset + reference.length :]
    return sql


def placeholders(tree: "exp.Query") -> list["exp.Placeholder"]:
    from sqlglot import exp

    return list(tree.find_all(exp.Placeholder))


def index_of(placeholder: "exp.Placeholder") -> int:
    return int(placeholder.name[1:], 16)


_TOO_DEEP = f"the SQL is too deeply nested: {MAX_DEPTH} levels are allowed"


def _depth(sql: str, tree: "exp.Expr") -> Problem | None:
    """Find SQL that is nested deeper than all of its readers can follow."""
    from sqlglot import exp

    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_DEPTH:
            return Problem(0, len(sql), "sql-too-big", _TOO_DEEP)
        for child in node.iter_expressions():
            # a chain such as a + b + c leans to the left; every reader takes it in a loop, so it is one level
            chained = child is node.this and isinstance(node, exp.Binary | exp.SetOperation)
            pending.append((child, depth if chained else depth + 1))
    return None


def _statement(sql: str, tree: "exp.Expr") -> Problem | None:
    from sqlglot import exp

    writes = tree.find(exp.DML, exp.DDL, exp.Command, exp.Into, exp.Create, exp.Drop)
    if not isinstance(tree, exp.Query):
        writes = tree
    if writes is not None and not isinstance(writes, exp.Query):
        word = writes.key.upper()
        return Problem(*find(sql, word), "sql-statement", f"a query only reads: {word} has no place in it")
    empty = next((select for select in tree.find_all(exp.Select) if not select.expressions), None)
    if empty is not None:
        return Problem(*find(sql, "SELECT"), "sql-syntax", "a SELECT names no column", "write SELECT *")
    return None


def find(sql: str, word: str) -> tuple[int, int]:
    match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sql, re.IGNORECASE)
    return (match.start(), len(word)) if match else (0, len(sql))


def _hidden(sql: str, free: tuple[Reference, ...], tree: "exp.Expr") -> Problem | None:
    """Find what is no reference of ours, or a reference that SQL reads as part of something else."""
    from sqlglot import exp

    found = list(tree.find_all(exp.Placeholder, exp.Parameter))
    foreign = next((p for p in found if not re.fullmatch(r"_[0-9a-f]{2,}", p.name)), None)
    if foreign is not None:
        shown = foreign.sql(_dialect())
        return Problem(*find(sql, shown), "sql-variable", f"{shown} is no variable", "write ${name}")
    ours = {int(p.name[1:], 16) for p in found}
    for index, reference in enumerate(free):
        if index not in ours:
            message = f"{reference.text} stands where no value can"
            return Problem(reference.offset, reference.length, "sql-variable", message)
    return None


def _syntax(sql: str, error: Mapping[str, Any]) -> Problem:
    token = str(error["highlight"])
    start = min(len(str(error["start_context"])), max(0, len(sql) - 1))
    shown = next((r.text for r in references(sql) if r.offset == start), token)
    size = max(1, len(shown))
    if "missing" in error["description"]:
        return Problem(start, size, "sql-syntax", f"something is missing after {shown}")
    if match := re.match(r"Expecting (\S+)", error["description"]):
        return Problem(start, size, "sql-syntax", f"a {match[1]} is missing after {shown}")
    return Problem(start, size, "sql-syntax", f"{shown} is not expected here")
