"""SQL of query datasets: what it reads, what is wrong with it, and variables as typed literals.

sqlglot reads it (imported by the first query, not before), in DuckDB's dialect: of those that it knows the nearest to
polars' SQLContext. What runs is the text as written, since sqlglot's rewriting loses what polars means by some of it;
only `${name}` is replaced by a literal, and the result's syntax tree must be the old one with literals in place of
references. Pasting values alone was refused: a quote in a value could change the query.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from engine.spec.problem import Problem, did_you_mean
from engine.spec.resources.resource import Scalar
from engine.spec.sql.reading import Query, find, index_of, parse, placeholders, read, with_placeholders
from engine.spec.variables import Reference

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["bind", "canonical", "columns", "outline", "problems", "tables", "variables"]


def tables(sql: str) -> set[str]:
    """Return the datasets that the query reads; names of CTEs and aliases are none. Empty where it cannot be read."""
    tree = read(sql).tree
    return {table.name for table in _tables(tree)} if tree is not None else set()


def columns(sql: str) -> list[str] | None:
    """Return the names of the output columns where the SQL itself shows them, else None (`SELECT *`, `COUNT(*)`)."""
    from sqlglot import exp

    query: Any = read(sql).tree
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    named = all(isinstance(e, exp.Alias | exp.Column) and not e.is_star for e in query.expressions)
    return [e.output_name for e in query.expressions] if named else None


def problems(sql: str, datasets: Collection[str], variables: Collection[str]) -> list[Problem]:
    """Return everything that is wrong with a query, in order of position."""
    query = read(sql)
    found = [*query.problems, *_undeclared(query.references, variables)]
    if query.tree is not None:
        found += _wrong_tables(query.sql, query.tree, datasets)
        found += _wrong_places(query)
    return sorted(found, key=lambda problem: problem.offset)


def bind(sql: str, variables: Mapping[str, Scalar | date]) -> str:
    """Return the query for polars' SQLContext, every `${name}` a typed literal and `$${` a `${`.

    A text becomes `'…'`, a date `DATE '…'`, a number itself, true and false TRUE and FALSE, null NULL.

    Raises
    ------
    ValueError
        The query has problems, or a value has no literal (infinite numbers).
    KeyError
        A variable is not given.
    """
    query = read(sql)
    if query.tree is None or (wrong := list(_wrong_places(query))):
        raise ValueError((query.problems or wrong)[0].message)
    literals = [_literal(variables[reference.parts[0]]) for reference in query.references]
    bound, at = "", 0
    for reference, literal in zip(query.references, literals, strict=True):
        bound += sql[at : reference.offset].replace("$${", "${") + literal
        at = reference.offset + reference.length
    bound += sql[at:].replace("$${", "${")
    expected = parse(with_placeholders(sql, query.references).replace("$${", "${"))
    for placeholder in placeholders(expected):
        placeholder.replace(parse(f"SELECT {literals[index_of(placeholder)]}").expressions[0])
    if parse(bound) != expected:
        raise ValueError("the values of the variables would change the query itself")
    return bound


def canonical(bound: str) -> str:
    """Return the one spelling of a bound query: blanks, comments and the case of keywords do not matter."""
    return str(parse(bound).sql(comments=False))


@lru_cache(maxsize=256)
def outline(sql: str) -> str:
    """Return the one spelling of a query before its variables have values, for people: `… WHERE d < ${end}`."""
    query = read(sql)
    if query.tree is None:
        return sql
    names = {one.name: query.references[index_of(one)].text for one in placeholders(query.tree)}
    return re.sub(r":(_[0-9a-f]+)", lambda found: names.get(found[1], found[0]), query.tree.sql(comments=False))


def variables(sql: str) -> set[str]:
    """Return the variables that the query asks for."""
    return {reference.parts[0] for reference in read(sql).references}


def _undeclared(free: tuple[Reference, ...], variables: Collection[str]) -> Iterator[Problem]:
    for reference in free:
        name = ".".join(reference.parts)
        if not reference.parts or (len(reference.parts) == 1 and name in variables):
            continue
        if reference.parts[:1] == ("secret",):
            message, help_ = "a secret never stands in SQL", "connections take secrets"
        else:
            message = f"{name!r} is no declared variable"
            help_ = did_you_mean(name, variables, "declared variables are")
        yield Problem(reference.offset, reference.length, "sql-unknown-variable", message, help_)


def _tables(tree: "exp.Query") -> Iterator["exp.Table"]:
    """Yield what is read and is no CTE in scope there."""
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        if table.db or not isinstance(table.this, exp.Identifier) or table.name not in _ctes(table):
            yield table


def _ctes(table: "exp.Table") -> set[str]:
    """Return the names of the CTEs that a table may mean: of its own query all, inside a CTE those before it."""
    from sqlglot import exp

    names: set[str] = set()
    inside: exp.Expr = table
    while (outer := inside.parent) is not None:
        if isinstance(outer, exp.With):
            before = outer.expressions[: next(i for i, cte in enumerate(outer.expressions) if cte is inside)]
            names |= {cte.alias for cte in before}
        elif isinstance(inside, exp.With):
            pass
        elif (with_ := outer.args.get("with_")) is not None:
            names |= {cte.alias for cte in with_.expressions}
        inside = outer
    return names


def _wrong_tables(sql: str, tree: "exp.Query", datasets: Collection[str]) -> Iterator[Problem]:
    from sqlglot import exp

    for table in _tables(tree):
        start, size = _place(sql, table)
        shown = sql[start : start + size]
        if isinstance(table.this, exp.Placeholder):
            continue
        if not isinstance(table.this, exp.Identifier):
            message = f"{shown} reads what is no declared dataset"
            yield Problem(start, size, "sql-file", message, "declare a dataset for it and read that")
        elif shown.startswith("'"):
            message = f"{shown} reads a file: a query reads declared datasets only"
            yield Problem(start, size, "sql-file", message, "declare a dataset with this path and read that")
        elif table.db:
            message = f"{table.db}.{table.name}: datasets have no schema before their name"
            yield Problem(
                start, size, "sql-unknown-dataset", message, did_you_mean(table.name, datasets, "datasets are")
            )
        elif table.name not in datasets:
            message = f"{table.name!r} is no declared dataset"
            yield Problem(
                start, size, "sql-unknown-dataset", message, did_you_mean(table.name, datasets, "datasets are")
            )


def _place(sql: str, table: "exp.Table") -> tuple[int, int]:
    """Return offset and length of a table's name, or of the function that stands for it."""
    meta = next((node.meta for node in table.walk() if "start" in node.meta), None)
    if meta is not None:
        return meta["start"], meta["end"] + 1 - meta["start"]
    return find(sql, table.this.name or table.this.key)


def _wrong_places(query: Query) -> Iterator[Problem]:
    from sqlglot import exp

    assert query.tree is not None  # noqa: S101 # callers have looked
    for placeholder in placeholders(query.tree):
        reference, parent = query.references[index_of(placeholder)], placeholder.parent
        message = help_ = ""
        if isinstance(parent, exp.Table | exp.Column | exp.Dot | exp.Identifier):
            message, help_ = "a variable is a value, never a table or column", "write the name itself"
        elif placeholder.arg_key == "alias" or isinstance(parent, exp.Aliases | exp.TableAlias):
            message, help_ = (
                "a variable stands here alone, after nothing but an operator",
                "a date needs no DATE before it",
            )
        elif isinstance(parent, exp.Ordered | exp.Group):
            message, help_ = "a variable is a value: sorting or grouping by it does nothing", "write the column itself"
        elif isinstance(parent, exp.In) and placeholder.arg_key == "field":
            message, help_ = "IN takes a list in parentheses", f"write IN ({reference.text})"
        if message:
            yield Problem(reference.offset, reference.length, "sql-variable", f"{reference.text}: {message}", help_)


def _literal(value: Scalar | date) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if not isfinite(value):
        raise ValueError(f"{value} has no literal in SQL")
    # Without an exponent polars reads a decimal of fixed precision; without parentheses `a -${x}` opens a comment.
    literal = repr(value) if isinstance(value, int) or "e" in repr(value) else f"{value!r}e0"
    return f"({literal})" if literal.startswith("-") else literal
