"""SQL of query datasets: what it reads, its problems, and its variables as typed literals.

sqlglot parses the SQL in DuckDB's dialect, the nearest to polars' SQLContext among the dialects that it has; it is
imported by the first query. The text that runs is the user's text, because sqlglot's generated SQL can mean something
else in polars. Only each `${name}` is replaced by a literal. The syntax tree of the result must then equal the tree of
the original with literals in place of references: a value can never change the structure of a query. Plain text
substitution was rejected because it has no such proof.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from engine.formatting.hints import did_you_mean
from engine.spec.moment import MOMENT_NAMES
from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar
from engine.spec.sql.parsing import (
    SqlQuery,
    decode_placeholder_index,
    find_placeholders,
    find_word,
    insert_placeholders,
    parse_sql,
    read_query,
)
from engine.spec.variable_references import VariableReference, suggest_variable

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = [
    "bind_variables",
    "find_sql_problems",
    "has_order",
    "list_columns",
    "list_sql_variables",
    "list_tables",
    "normalize_sql",
    "outline_sql",
]


def list_tables(sql: str) -> set[str]:
    """Return the names of the datasets that the query reads; empty if it cannot be parsed.

    Names of CTEs and aliases are not datasets.
    """
    tree = read_query(sql).tree
    return {table.name for table in _find_dataset_tables(tree)} if tree is not None else set()


def list_columns(sql: str) -> list[str] | None:
    """Return the names of the output columns; None if the SQL does not show them (`SELECT *`, `COUNT(*)`)."""
    from sqlglot import exp

    # A UNION has the column names of its first SELECT.
    query: Any = read_query(sql).tree
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    named = all(isinstance(e, exp.Alias | exp.Column) and not e.is_star for e in query.expressions)
    return [e.output_name for e in query.expressions] if named else None


def has_order(sql: str) -> bool:
    """Tell whether the query gives its rows an order: whether it, not only a part of it, has ORDER BY."""
    tree = read_query(sql).tree
    return tree is not None and tree.args.get("order") is not None


def find_sql_problems(sql: str, datasets: Collection[str], variables: Collection[str]) -> list[Problem]:
    """Return every problem of a query, in order of position."""
    query = read_query(sql)
    found = [*query.problems, *find_undeclared_variables(query.references, variables)]
    if query.tree is not None:
        found += _check_tables(query.sql, query.tree, datasets)
        found += _check_reference_places(query)
    return sorted(found, key=lambda problem: problem.offset)


def bind_variables(sql: str, variables: Mapping[str, Scalar | date]) -> str:
    """Return the query for polars' SQLContext, with a typed literal for each `${name}` and `${` for each `$${`.

    A text becomes `'…'`, a date `DATE '…'`, true and false TRUE and FALSE, null NULL; a number is written as it is.

    Raises
    ------
    ValueError
        The query has problems, a number is infinite or NaN, days are added to what is no date, or the values would
        change the query's structure.
    KeyError
        A variable has no value.
    """
    query = read_query(sql)
    if query.tree is None or (wrong := list(_check_reference_places(query))):
        raise ValueError((query.problems or wrong)[0].message)
    literals = [format_literal(one.add_days(variables[one.parts[0]])) for one in query.references]
    # Replace the references in the text itself: everything else stays as the user wrote it.
    bound, at = "", 0
    for reference, literal in zip(query.references, literals, strict=True):
        bound += sql[at : reference.offset].replace("$${", "${") + literal
        at = reference.offset + reference.length
    bound += sql[at:].replace("$${", "${")
    # Do the same in the syntax tree: every placeholder becomes the parsed literal. If the bound text does not parse to
    # this tree, a value has changed more than its own place, and the query is refused.
    expected = parse_sql(insert_placeholders(sql, query.references).replace("$${", "${"))
    for placeholder in find_placeholders(expected):
        placeholder.replace(parse_sql(f"SELECT {literals[decode_placeholder_index(placeholder)]}").expressions[0])
    if parse_sql(bound) != expected:
        raise ValueError("the values of the variables would change the structure of the query")
    return bound


def normalize_sql(bound: str) -> str:
    """Return the normal form of a bound query: blanks, comments and the case of keywords make no difference."""
    return str(parse_sql(bound).sql(comments=False))


@lru_cache(maxsize=256)
def outline_sql(sql: str) -> str:
    """Return the normal form of a query with its references instead of values, for people: `… WHERE d < ${end}`."""
    query = read_query(sql)
    if query.tree is None:
        return sql
    names = {one.name: query.references[decode_placeholder_index(one)].text for one in find_placeholders(query.tree)}
    return re.sub(r":(_[0-9a-f]+)", lambda found: names.get(found[1], found[0]), query.tree.sql(comments=False))


def list_sql_variables(sql: str) -> set[str]:
    """Return the names of the variables that the query uses."""
    return {reference.parts[0] for reference in read_query(sql).references}


def find_undeclared_variables(
    references: tuple[VariableReference, ...], variables: Collection[str]
) -> Iterator[Problem]:
    for reference in references:
        name = ".".join(reference.parts)
        if not reference.parts or (len(reference.parts) == 1 and (name in variables or name in MOMENT_NAMES)):
            continue
        if reference.parts[:1] == ("secret",):
            message, help_ = (
                "a secret cannot be used in SQL",
                "secrets can only be used in the url of a channel or connection, or in headers",
            )
        else:
            message = f"{name!r} is not a declared variable"
            help_ = suggest_variable(name, variables)
        yield Problem(reference.offset, reference.length, "sql-unknown-variable", message, help_)


def _find_dataset_tables(tree: "exp.Query") -> Iterator["exp.Table"]:
    """Yield each table that is not a CTE visible at its place, so must be a dataset."""
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        if table.db or not isinstance(table.this, exp.Identifier) or table.name not in _list_visible_ctes(table):
            yield table


def _list_visible_ctes(table: "exp.Table") -> set[str]:
    """Return the names of the CTEs that are visible at a table.

    In a query these are all CTEs of its WITH and of the queries around it; in a CTE only those before it.
    """
    from sqlglot import exp

    names: set[str] = set()
    inside: exp.Expr = table
    # Walk from the table up to the root; `inside` is the child of `outer` on that path.
    while (outer := inside.parent) is not None:
        if isinstance(outer, exp.With):  # the table is in a CTE of this WITH: it sees the CTEs before that one
            before = outer.expressions[: next(i for i, cte in enumerate(outer.expressions) if cte is inside)]
            names |= {cte.alias for cte in before}
        elif isinstance(inside, exp.With):  # the query of this WITH: its visible CTEs are already added
            pass
        elif (with_ := outer.args.get("with_")) is not None:
            names |= {cte.alias for cte in with_.expressions}
        inside = outer
    return names


def _check_tables(sql: str, tree: "exp.Query", datasets: Collection[str]) -> Iterator[Problem]:
    from sqlglot import exp

    for table in _find_dataset_tables(tree):
        start, size = _locate_table(sql, table)
        shown = sql[start : start + size]
        if isinstance(table.this, exp.Placeholder):
            continue
        if not isinstance(table.this, exp.Identifier):
            message = f"{shown} is not a declared dataset, and a query can only read declared datasets"
            yield Problem(start, size, "sql-file", message, "declare a dataset for it and read that dataset")
        elif shown.startswith("'"):
            message = f"{shown} is a file, and a query can only read declared datasets"
            yield Problem(start, size, "sql-file", message, "declare a dataset with this path and read that dataset")
        elif table.db:
            message = f"{table.db}.{table.name} has a schema name, but a dataset has none"
            yield Problem(
                start, size, "sql-unknown-dataset", message, did_you_mean(table.name, datasets, "the datasets are")
            )
        elif table.name not in datasets:
            message = f"{table.name!r} is not a declared dataset"
            yield Problem(
                start, size, "sql-unknown-dataset", message, did_you_mean(table.name, datasets, "the datasets are")
            )


def _locate_table(sql: str, table: "exp.Table") -> tuple[int, int]:
    """Return offset and length of a table's name, or of the table function in its place."""
    meta = next((node.meta for node in table.walk() if "start" in node.meta), None)
    if meta is not None:
        return meta["start"], meta["end"] + 1 - meta["start"]
    return find_word(sql, table.this.name or table.this.key)


def _check_reference_places(query: SqlQuery) -> Iterator[Problem]:
    """Yield a problem for each reference at a place where SQL needs a name or a list instead of a value."""
    from sqlglot import exp

    assert query.tree is not None  # noqa: S101 # callers have checked
    for placeholder in find_placeholders(query.tree):
        reference, parent = query.references[decode_placeholder_index(placeholder)], placeholder.parent
        message = help_ = ""
        if isinstance(parent, exp.Table | exp.Column | exp.Dot | exp.Identifier):
            message, help_ = (
                "a variable is a value and cannot be the name of a table or column",
                "write the name itself",
            )
        elif placeholder.arg_key == "alias" or isinstance(parent, exp.Aliases | exp.TableAlias):
            message, help_ = (
                "a variable is a value, but at this place SQL reads it as an alias",
                "write the name itself; before a variable that is a date, leave DATE out",
            )
        elif isinstance(parent, exp.Ordered | exp.Group):
            message, help_ = (
                "a variable is a value, and sorting or grouping by it has no effect",
                "write the column itself",
            )
        elif isinstance(parent, exp.In) and placeholder.arg_key == "field":
            message, help_ = "IN needs a list in parentheses", f"write IN ({reference.text})"
        if message:
            yield Problem(reference.offset, reference.length, "sql-variable", f"{reference.text}: {message}", help_)


def format_literal(value: Scalar | date) -> str:
    """Return the SQL literal of a variable's value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if not isfinite(value):
        raise ValueError(f"{value} cannot be written in SQL: a number must be finite")
    # The exponent makes polars read a float instead of a decimal of fixed precision. The parentheses keep `a -${x}`
    # with a negative value from becoming `a --1`, a comment.
    literal = repr(value) if isinstance(value, int) or "e" in repr(value) else f"{value!r}e0"
    return f"({literal})" if literal.startswith("-") else literal
