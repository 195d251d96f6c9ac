"""SQL of query datasets: its inputs, its problems, and its variables as typed literals.

sqlglot parses the SQL in DuckDB's dialect, the nearest to polars' SQLContext among the dialects that it has; it is
imported by the first query. The text that runs is the user's text, because sqlglot's generated SQL can mean something
else in polars. Only each `${name}` is replaced by a literal. The syntax tree of the result must then equal the tree of
the original with literals in place of references: a value can never change the structure of a query. Plain text
substitution was rejected because it has no such proof.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from math import isfinite

from engine.connections.table_names import split_table_name
from engine.formatting.hints import did_you_mean
from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar
from engine.spec.sql.kept_answers import keep_answer
from engine.spec.sql.null_comparisons import require_compared_values
from engine.spec.sql.parsing import (
    decode_placeholder_index,
    find_placeholders,
    insert_placeholders,
    list_references,
    parse_sql,
)
from engine.spec.sql.query_facts import TableReference, describe_query
from engine.spec.sql.wide_functions import widen_functions
from engine.spec.variables.moment import MOMENT_NAMES
from engine.spec.variables.references import VariableReference, suggest_variable

__all__ = [
    "bind_variables",
    "computes_values",
    "find_sql_problems",
    "has_order",
    "list_columns",
    "list_operands",
    "list_sql_variables",
    "list_tables",
    "normalize_sql",
    "outline_sql",
    "reads_stored_table",
    "widen_functions",
]


def list_tables(sql: str) -> set[str]:
    """Return the names of the datasets that the query reads; empty if it cannot be parsed.

    Names of CTEs and aliases are not datasets.
    """
    return {table.name for table in describe_query(sql).tables}


def reads_stored_table(sql: str, table: str) -> bool:
    """Return whether a query for a database reads a table of it; `table` is `name` or `schema.name`.

    Databases differ in the case of names, so case is ignored; so is a schema that only one of the names has. The result
    is False if the query cannot be parsed.
    """
    schema, name = split_table_name(table) or (None, table)
    return any(
        one.name.lower() == name.lower() and (not one.schema or not schema or one.schema.lower() == schema.lower())
        for one in describe_query(sql).tables
    )


def list_columns(sql: str) -> list[str] | None:
    """Return the names of the output columns; None if the SQL does not show them (`SELECT *`, `COUNT(*)`)."""
    columns = describe_query(sql).columns
    return None if columns is None else list(columns)


def has_order(sql: str) -> bool:
    """Return whether the query gives its rows an order: whether it, not only a part of it, has ORDER BY."""
    return describe_query(sql).is_ordered


def computes_values(sql: str) -> bool:
    """Return whether the query adds, subtracts or multiplies, or sums a column."""
    return describe_query(sql).computes


def list_operands(sql: str) -> tuple[str, ...]:
    """Return the names of the columns that the query adds, subtracts or multiplies, or compares with these."""
    return describe_query(sql).operands


def find_sql_problems(sql: str, datasets: Collection[str], variables: Collection[str]) -> list[Problem]:
    """Return every problem of a query, in order of position."""
    query = describe_query(sql)
    found = [*query.problems, *find_undeclared_variables(list_references(sql), variables)]
    found += [*_check_tables(sql, query.tables, datasets), *query.misplaced]
    return sorted(found, key=lambda problem: problem.offset)


def bind_variables(sql: str, variables: Mapping[str, Scalar | date]) -> str:
    """Return the query for polars' SQLContext, with a typed literal for each `${name}` and `${` for each `$${`.

    A text becomes `'…'`, a date `DATE '…'`, true and false TRUE and FALSE, null NULL; a number is written as it is.

    Raises
    ------
    ValueError
        The query has problems, a number is infinite or NaN, days are added to what is not a date, a comparison is with
        null, or the values would change the query's structure.
    KeyError
        A variable has no value.
    """
    query = describe_query(sql)
    if wrong := (*query.problems, *query.misplaced):
        raise ValueError(wrong[0].message)
    references = list_references(sql)
    literals = [format_literal(one.add_days(variables[one.parts[0]])) for one in references]
    if any(variables[one.parts[0]] is None for one in references):
        placeholders = find_placeholders(parse_sql(insert_placeholders(sql, references).replace("$${", "${")))
        require_compared_values(((one, references[decode_placeholder_index(one)]) for one in placeholders), variables)
    # Replace the references in the text itself: everything else stays as the user wrote it.
    bound, at = "", 0
    for reference, literal in zip(references, literals, strict=True):
        bound += sql[at : reference.offset].replace("$${", "${") + literal
        at = reference.offset + reference.length
    bound += sql[at:].replace("$${", "${")
    if not keep_answer("binding", json.dumps([sql, literals]), lambda: _keeps_structure(sql, literals, bound)):
        raise ValueError("the values of the variables would change the structure of the query")
    return bound


def _keeps_structure(sql: str, literals: Sequence[str], bound: str) -> bool:
    """Return whether values change only their own places in a query.

    In the syntax tree every placeholder becomes the parsed literal. If the bound text does not parse to this tree, a
    value has changed more.
    """
    expected = parse_sql(insert_placeholders(sql, list_references(sql)).replace("$${", "${"))
    for placeholder in find_placeholders(expected):
        placeholder.replace(parse_sql(f"SELECT {literals[decode_placeholder_index(placeholder)]}").expressions[0])
    return parse_sql(bound) == expected


def normalize_sql(bound: str) -> str:
    """Return the normal form of a bound query: blanks, comments and the case of keywords make no difference."""
    return str(keep_answer("normal form", bound, lambda: str(parse_sql(bound).sql(comments=False))))


def outline_sql(sql: str) -> str:
    """Return the normal form of a query with its references instead of values, for people: `… WHERE d < ${end}`."""
    return describe_query(sql).outline


def list_sql_variables(sql: str) -> set[str]:
    """Return the names of the variables that the query uses."""
    return {reference.parts[0] for reference in list_references(sql)}


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


def _check_tables(sql: str, tables: Iterable[TableReference], datasets: Collection[str]) -> Iterator[Problem]:
    for table in tables:
        place = table.offset, table.length
        shown = sql[table.offset : table.offset + table.length]
        if table.is_variable:
            continue
        if not table.name:
            message = f"{shown} is not a declared dataset, and a query can only read declared datasets"
            yield Problem(*place, "sql-file", message, "declare a dataset for it and read that dataset")
        elif shown.startswith("'"):
            message = f"{shown} is a file, and a query can only read declared datasets"
            yield Problem(*place, "sql-file", message, "declare a dataset with this path and read that dataset")
        elif table.schema:
            message = f"{table.schema}.{table.name} has a schema name, but a dataset has none"
            help_ = did_you_mean(table.name, datasets, "the datasets are")
            yield Problem(*place, "sql-unknown-dataset", message, help_)
        elif table.name not in datasets:
            message = f"{table.name!r} is not a declared dataset"
            help_ = did_you_mean(table.name, datasets, "the datasets are")
            yield Problem(*place, "sql-unknown-dataset", message, help_)


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
