"""Analyses the syntax tree of a query: its tables, its columns, and its problems."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from engine.spec.problem import Problem
from engine.spec.sql.kept_answers import keep_answer
from engine.spec.sql.parsing import SqlQuery, decode_placeholder_index, find_placeholders, find_word, read_query

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class TableReference:
    """A table that a query reads and that is not a CTE of it, so must be a dataset.

    Attributes
    ----------
    name, schema
        Its name, and the name of a schema before it; the name is empty for anything else, such as a function.
    offset, length
        Its place in the SQL.
    is_variable
        Whether a variable is in its place.
    """

    name: str
    schema: str
    offset: int
    length: int
    is_variable: bool


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """The facts about a query; only the problems if it cannot be parsed.

    Attributes
    ----------
    problems
        Why it cannot be parsed or does not only read.
    misplaced
        A problem for each reference at a place where SQL needs a name or a list instead of a value.
    tables
        The tables that it reads.
    columns
        The names of its output columns; None if the SQL does not show them (`SELECT *`, `COUNT(*)`).
    is_ordered
        Whether it gives its rows an order: whether it, not only a part of it, has ORDER BY.
    computes
        Whether it adds, subtracts or multiplies, or sums a column.
    operands
        The names of the columns that it adds, subtracts or multiplies, also under other names, and of those that it
        compares with these.
    outline
        Its normal form with references instead of values, for people: `… WHERE d < ${end}`.
    """

    problems: tuple[Problem, ...] = ()
    misplaced: tuple[Problem, ...] = ()
    tables: tuple[TableReference, ...] = ()
    columns: tuple[str, ...] | None = None
    is_ordered: bool = False
    computes: bool = False
    operands: tuple[str, ...] = ()
    outline: str = ""

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Return the facts that `asdict` has made JSON-ready."""
        return cls(
            problems=tuple(Problem(*one) for one in found["problems"]),
            misplaced=tuple(Problem(*one) for one in found["misplaced"]),
            tables=tuple(TableReference(**one) for one in found["tables"]),
            columns=None if found["columns"] is None else tuple(found["columns"]),
            is_ordered=found["is_ordered"],
            computes=found["computes"],
            operands=tuple(found["operands"]),
            outline=found["outline"],
        )


@cache  # the rules, a plan and every iteration of a loop ask about the same queries
def describe_query(sql: str) -> QueryFacts:
    """Return the facts about the SQL of a query dataset."""
    return QueryFacts.from_json(keep_answer("query", sql, lambda: asdict(_describe(read_query(sql)))))


def _describe(query: SqlQuery) -> QueryFacts:
    if query.tree is None:
        return QueryFacts(problems=query.problems, outline=query.sql)
    return QueryFacts(
        misplaced=tuple(_check_reference_places(query)),
        tables=tuple(_describe_table(query.sql, table) for table in _find_dataset_tables(query.tree)),
        columns=_list_columns(query.tree),
        is_ordered=query.tree.args.get("order") is not None,
        computes=_computes(query.tree),
        operands=tuple(sorted(_find_operands(query.tree))),
        outline=_outline(query),
    )


def _list_columns(tree: "exp.Query") -> tuple[str, ...] | None:
    from sqlglot import exp

    # A UNION has the column names of its first SELECT.
    query: Any = tree
    while isinstance(query, exp.SetOperation | exp.Subquery):
        query = query.this
    if not isinstance(query, exp.Select):
        return None
    named = all(isinstance(e, exp.Alias | exp.Column) and not e.is_star for e in query.expressions)
    return tuple(e.output_name for e in query.expressions) if named else None


def _computes(tree: "exp.Query") -> bool:
    from sqlglot import exp

    for one in tree.find_all(exp.Sum, exp.Add, exp.Sub, exp.Mul, exp.Pow, exp.Neg, exp.Anonymous):
        negative_literal = isinstance(one, exp.Neg) and isinstance(one.this, exp.Literal)
        other_function = isinstance(one, exp.Anonymous) and one.name.upper() != "TOTAL"  # another name of SUM
        if not (negative_literal or other_function):
            return True
    return False


def _find_operands(tree: "exp.Query") -> set[str]:
    from sqlglot import exp

    def name_columns(part: "exp.Expr") -> set[str]:
        return {column.name for column in part.find_all(exp.Column)}

    found = {name for one in tree.find_all(exp.Add, exp.Sub, exp.Mul, exp.Pow, exp.Neg) for name in name_columns(one)}
    while True:
        named = [name_columns(one) for one in tree.find_all(exp.Alias) if one.alias in found]
        compared = [names for one in tree.find_all(exp.EQ) if (names := name_columns(one)) & found]
        more = found.union(*named, *compared)
        if more == found:
            return found
        found = more


def _outline(query: SqlQuery) -> str:
    assert query.tree is not None  # noqa: S101 - callers have checked
    names = {one.name: query.references[decode_placeholder_index(one)].text for one in find_placeholders(query.tree)}
    return re.sub(r":(_[0-9a-f]+)", lambda found: names.get(found[1], found[0]), query.tree.sql(comments=False))


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


def _describe_table(sql: str, table: "exp.Table") -> TableReference:
    from sqlglot import exp

    name = table.name if isinstance(table.this, exp.Identifier) else ""
    return TableReference(name, table.db, *_locate_table(sql, table), isinstance(table.this, exp.Placeholder))


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
