"""SQL of query datasets: what it reads, what is wrong with it, and variables as typed literals.

Everything goes through sqlglot's syntax tree (imported when a spec has SQL, not before). Pasting values into the text
was refused: a quote in a value could change the query. The dialect is that of polars' SQLContext, read as PostgreSQL.
"""

from collections.abc import Collection, Mapping
from datetime import date

from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar


def tables(sql: str) -> set[str]:
    """Return the datasets that the query reads; names of CTEs and aliases are none. Empty where it cannot be read."""
    raise NotImplementedError


def columns(sql: str) -> list[str] | None:
    """Return the names of the output columns where the SQL itself shows them, else None (`SELECT *`)."""
    raise NotImplementedError


def problems(sql: str, datasets: Collection[str], variables: Collection[str]) -> list[Problem]:
    """Return everything that is wrong with a query, in order of position."""
    raise NotImplementedError


def bind(sql: str, variables: Mapping[str, Scalar | date]) -> str:
    """Return the query for polars' SQLContext, every `${name}` a typed literal."""
    raise NotImplementedError


def canonical(bound: str) -> str:
    """Return the one spelling of a bound query: blanks, comments and the case of keywords do not matter."""
    raise NotImplementedError
