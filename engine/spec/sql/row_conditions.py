"""Checks and binds SQL conditions on the columns of single rows, such as `age < 25 AND country = 'IT'`.

A condition becomes the only column of a query, so it is read, checked and bound to variables like any query.
"""

import re
from collections.abc import Collection, Mapping
from datetime import date

from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar
from engine.spec.sql import bind_variables, find_sql_problems, list_columns, list_tables
from engine.spec.sql.kept_answers import keep_answer
from engine.spec.sql.parsing import insert_placeholders, list_references, parse_sql

ROWS = "rows"
"""The name of the table whose rows a condition is about."""

_HEAD, _TAIL = "SELECT (\n", f"\n) AS holds FROM {ROWS}"
_WITHOUT_PARENTHESES = {"USER", "SESSION_USER", "CURRENT_CATALOG", "LOCALTIME", "GROUP", "ORDER", "BY"}
"""Functions that are called without parentheses, and words that are keywords together with others."""
_HELP = "write what would stand after WHERE, on the columns of the rows: age < 25 AND country = 'IT'"


def find_row_condition_problems(condition: str, variables: Collection[str]) -> list[Problem]:
    """Return every problem of a condition, in order of position."""
    query = _write_query(condition)
    found = find_sql_problems(query, [ROWS], variables)
    foreign = any(one.code == "sql-unknown-dataset" for one in found)
    if foreign or (not found and not _is_one_condition(query)):
        message = "this is not one condition on the columns of a row"
        return [Problem(0, max(1, len(condition)), "sql-syntax", message, _HELP)]
    length = max(1, len(condition))
    moved = []
    for one in found:
        start = min(max(0, one.offset - len(_HEAD)), length - 1)
        moved.append(one._replace(offset=start, length=max(1, min(one.length, length - start))))
    return moved


def list_row_condition_columns(condition: str) -> list[str]:
    """Return the columns that a condition without problems names, each once."""
    return list(keep_answer("columns of a condition", condition, lambda: _find_columns(condition)))


def _find_columns(condition: str) -> list[str]:
    query = _write_query(condition)
    return list_bound_columns(insert_placeholders(query, list_references(query)).replace("$${", "${"))


def list_bound_columns(query: str) -> list[str]:
    """Return the columns that the query of a condition names, as `bind_row_condition` returns it, each once."""
    from sqlglot import exp

    return list(dict.fromkeys(column.name for column in parse_sql(query).find_all(exp.Column)))


def bind_row_condition(condition: str, values: Mapping[str, Scalar | date]) -> str:
    """Return a query over the table `rows` whose column `holds` is true where a condition holds."""
    return bind_variables(_write_query(condition), values)


def write_row_condition(column: str, relation: str, value: float | str | bool | None) -> str:
    """Return a condition on one column: `age <= 25`, `"first name" = 'Ann'`, `NOT vip`, `age IS NULL`.

    Parameters
    ----------
    relation
        `<=`, `>`, `=`, or `missing`.
    value
        A number, a text, or a boolean, which is its own condition; None if the relation is `missing`.
    """
    name = column if _is_plain(column) else '"' + column.replace('"', '""').replace("${", "$${") + '"'
    if relation == "missing":
        return f"{name} IS NULL"
    if isinstance(value, bool):
        return name if value else f"NOT {name}"
    if isinstance(value, str):
        text = value.replace("'", "''").replace("${", "$${")
        return f"{name} {relation} '{text}'"
    whole = value is not None and float(value).is_integer() and abs(value) < 1e15
    return f"{name} {relation} {int(value) if whole else value!r}"  # type: ignore[arg-type]  # not None if whole


def _is_plain(column: str) -> bool:
    """Return whether a column needs no quotes: a word that no dialect of SQL uses itself."""
    from sqlglot import exp
    from sqlglot.tokens import Tokenizer

    word = column.upper()
    used = word in Tokenizer.KEYWORDS or word in exp.FUNCTION_BY_NAME or word in _WITHOUT_PARENTHESES
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column) is not None and not used


def _write_query(condition: str) -> str:
    return f"{_HEAD}{condition}{_TAIL}"


def _is_one_condition(query: str) -> bool:
    if list_columns(query) != ["holds"] or list_tables(query) != {ROWS}:
        return False
    return not keep_answer("a condition's inner query", query, lambda: _has_query(query))


def _has_query(query: str) -> bool:
    """Return whether a query holds another one, or counts rows: a condition is about one row."""
    from sqlglot import exp

    tree = parse_sql(insert_placeholders(query, list_references(query)).replace("$${", "${"))
    inner = [one for one in tree.find_all(exp.Select) if one is not tree]
    return bool(inner) or tree.find(exp.AggFunc, exp.Window, exp.Join, exp.Star) is not None
