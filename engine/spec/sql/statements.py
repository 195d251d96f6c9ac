"""SQL statements for a database: their problems, and their variables as typed literals.

A statement is parsed in the dialect of its database, and is bound as a query is (see `engine.spec.sql`): a value can
never change its structure. What sqlglot does not know is sent as it is written, and then has no variables.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, cast

from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar
from engine.spec.sql import find_undeclared_variables, format_literal
from engine.spec.sql.kept_answers import keep_answer
from engine.spec.sql.null_comparisons import require_compared_values
from engine.spec.sql.parsing import (
    MAX_SQL_DEPTH,
    MAX_SQL_LENGTH,
    MAX_SQL_REFERENCES,
    SQL_TOO_AMBIGUOUS,
    SQL_TOO_DEEP,
    TooManyReadings,
    check_depth,
    check_quoted_references,
    load_database_dialect,
    refuse_reference,
    translate_parse_error,
)
from engine.spec.variables.references import VariableReference, find_references

if TYPE_CHECKING:
    from sqlglot import exp

_QUOTED = re.compile(
    r"""'(?:''|[^'])*'|"(?:""|[^"])*"|--[^\n]*|/\*.*?\*/|(?P<dollar>\$\w*\$)(?!\{).*?(?P=dollar)""", re.S
)
_TRANSACTION = ("BEGIN", "START", "COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT", "RELEASE")
_PLACEHOLDER = re.compile(r"_[0-9a-f]{2,}")


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """The facts about a statement; `word` is its first word."""

    word: str
    references: tuple[VariableReference, ...]
    problems: tuple[Problem, ...] = ()


@cache
def read_statement(sql: str, kind: str) -> SqlStatement:
    """Return the facts about a statement for the databases of a kind of connections, postgresql or duckdb."""
    word = _find_first_word(sql)
    if len(sql) > MAX_SQL_LENGTH:
        message = f"the SQL has {len(sql)} characters, but at most {MAX_SQL_LENGTH} are allowed"
        return SqlStatement(word, (), (Problem(0, len(sql), "sql-too-big", message, "shorten the statement"),))
    references, found = _find_outer_references(sql)
    found += _check_form(sql, word, references)
    if not found:
        parsed = keep_answer("statement", json.dumps([sql, kind]), lambda: _find_parse_problem(sql, kind, references))
        found = [Problem(*one) for one in parsed]
    return SqlStatement(word, references, tuple(found))


def find_statement_problems(sql: str, kind: str, variables: Collection[str]) -> list[Problem]:
    """Return every problem of a statement, in order of position."""
    statement = read_statement(sql, kind)
    found = [*statement.problems, *find_undeclared_variables(statement.references, variables)]
    return sorted(found, key=lambda problem: problem.offset)


def bind_statement(sql: str, kind: str, variables: Mapping[str, Scalar | date]) -> str:
    """Return a statement with a typed literal for each `${name}` and `${` for each `$${`.

    Raises
    ------
    ValueError
        The statement has problems, a number is infinite or NaN, days are added to what is not a date, a comparison is
        with null, or a value would change the structure of the statement.
    KeyError
        A variable has no value.
    """
    statement = read_statement(sql, kind)
    if statement.problems:
        raise ValueError(statement.problems[0].message)
    if not statement.references:
        return sql.replace("$${", "${")
    literals = [format_literal(one.add_days(variables[one.parts[0]])) for one in statement.references]
    bound = _replace_references(sql, statement.references, literals).replace("$${", "${")
    expected = _parse_one(_insert_placeholders(sql, statement.references).replace("$${", "${"), kind)
    placeholders = _list_placeholders(expected)
    require_compared_values(((one, statement.references[int(one.name[1:], 16)]) for one in placeholders), variables)
    for placeholder in placeholders:
        literal = _parse_one(f"SELECT {literals[int(placeholder.name[1:], 16)]}", kind).expressions[0]
        placeholder.replace(literal)
    if _parse_one(bound, kind) != expected:
        raise ValueError("the values of the variables would change the structure of the statement")
    return bound


def _find_first_word(sql: str) -> str:
    found = re.match(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*(\w+)", sql, re.DOTALL)
    return found[1].upper() if found else ""


def _find_outer_references(sql: str) -> tuple[tuple[VariableReference, ...], list[Problem]]:
    """Return the references outside of comments, texts and quoted names, and the problems of those inside."""
    quoted = [match.span() for match in _QUOTED.finditer(sql)]
    outer, found = [], list[Problem]()
    for reference in find_references(sql):
        literal = next(((start, end) for start, end in quoted if start <= reference.offset < end), None)
        if literal is None:
            outer.append(reference)
            if not reference.parts:
                found.append(refuse_reference(reference))
        elif sql[literal[0]] in "'\"":
            found += check_quoted_references(sql[slice(*literal)], [reference])
        elif sql[literal[0]] == "$":
            message = f"{reference.text} is inside a quoted text, where variables are not inserted"
            found.append(Problem(reference.offset, reference.length, "sql-variable", message, "write the value itself"))
    return tuple(outer), found


def _check_form(sql: str, word: str, references: tuple[VariableReference, ...]) -> Iterator[Problem]:
    if not word:
        yield Problem(0, max(1, len(sql)), "sql-syntax", "the SQL is empty", "remove it, or write a statement")
    elif word in _TRANSACTION:
        message = f"{word} cannot be used: all statements of a step are one transaction"
        yield Problem(sql.upper().find(word), len(word), "sql-statement", message, "remove it, or write two steps")
    if len(references) > MAX_SQL_REFERENCES:
        message = f"the statement has more than {MAX_SQL_REFERENCES} references to variables"
        yield Problem(references[-1].offset, references[-1].length, "sql-too-big", message, "shorten the statement")
    depth = deepest = 0
    for sign in re.findall(r"[()\[\]{}]", _QUOTED.sub("", sql)):
        depth += 1 if sign in "([{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_SQL_DEPTH:
        yield Problem(0, len(sql), "sql-too-big", SQL_TOO_DEEP)


def _find_parse_problem(sql: str, kind: str, references: tuple[VariableReference, ...]) -> list[Problem]:
    """Return why a statement cannot be parsed or bound; nothing if it can."""
    from sqlglot.errors import ParseError, TokenError

    try:
        trees = _parse_all(_insert_placeholders(sql, references), kind)
        problem = _check_trees(sql, trees, references) or check_depth(sql, trees[0])
    except ParseError as error:
        problem = translate_parse_error(sql, error.errors[0])
    except TokenError:
        problem = Problem(0, len(sql), "sql-syntax", "the SQL cannot be read")
    except TooManyReadings:
        problem = Problem(0, len(sql), "sql-too-big", SQL_TOO_AMBIGUOUS)
    except RecursionError:
        problem = Problem(0, len(sql), "sql-too-big", SQL_TOO_DEEP)
    return [] if problem is None else [problem]


def _check_trees(sql: str, trees: "list[exp.Expr]", references: tuple[VariableReference, ...]) -> Problem | None:
    from sqlglot import exp

    if len(trees) > 1:
        message = "this is more than one statement"
        return Problem(0, len(sql), "sql-statement", message, "write each as its own entry of the list")
    if references and isinstance(trees[0], exp.Command):
        message = f"{references[0].text} is in a statement that cannot be parsed, so its value cannot be inserted"
        return Problem(references[0].offset, references[0].length, "sql-variable", message, "write the value itself")
    found = {int(one.name[1:], 16): one for one in _list_placeholders(trees[0])}
    for index, reference in enumerate(references):
        parent = found[index].parent if index in found else None
        if parent is None or isinstance(parent, exp.Table | exp.Column | exp.Dot | exp.Identifier | exp.Aliases):
            message = f"{reference.text} is at a place where SQL does not allow a value"
            return Problem(reference.offset, reference.length, "sql-variable", message, "write the name itself")
    return None


def _list_placeholders(tree: "exp.Expr") -> "list[exp.Placeholder]":
    from sqlglot import exp

    return [one for one in tree.find_all(exp.Placeholder) if _PLACEHOLDER.fullmatch(one.name)]


def _insert_placeholders(sql: str, references: tuple[VariableReference, ...]) -> str:
    """Return the SQL with a placeholder of the same length for each reference, so that offsets stay valid."""
    names = [f":_{index:0{one.length - 2}x}" for index, one in enumerate(references)]
    return _replace_references(sql, references, names)


def _replace_references(sql: str, references: tuple[VariableReference, ...], texts: list[str]) -> str:
    made, at = "", 0
    for reference, text in zip(references, texts, strict=True):
        made += sql[at : reference.offset] + text
        at = reference.offset + reference.length
    return made + sql[at:]


def _parse_one(sql: str, kind: str) -> "exp.Expr":
    return _parse_all(sql, kind)[0]


def _parse_all(sql: str, kind: str) -> "list[exp.Expr]":
    import sqlglot

    with _silent_parser():
        found = sqlglot.parse(sql, read=load_database_dialect(kind), error_message_context=MAX_SQL_LENGTH)
    return cast("list[exp.Expr]", [tree for tree in found if tree is not None])


@contextmanager
def _silent_parser() -> Iterator[None]:
    """Keep sqlglot from logging unknown statements, which are sent unchanged."""
    import logging

    log = logging.getLogger("sqlglot")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
