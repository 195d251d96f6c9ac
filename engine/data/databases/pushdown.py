"""Queries over tables of one database that the database itself can run, so that fewer rows are read.

This must not change a value. So only operations with the same meaning in polars and PostgreSQL are pushed down:
columns, inner and left joins by equal keys, and conditions that compare a column with a literal or with another column
of its type. Each table is first cast as if it were read whole, and texts are compared byte by byte. Everything else is
computed in this process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from engine.connections.table_names import quote_name, quote_text
from engine.data.databases.column_readings import ColumnReading
from engine.spec.sql.parsing import parse_sql

if TYPE_CHECKING:
    from sqlglot import exp

_LARGEST = 2**53
"""Integers up to this one are compared exactly in any number type."""

_LONGEST_NAME = 63
"""Maximum length of names in bytes; PostgreSQL truncates longer ones."""
_FLAG = "exception "


class _Refused(Exception):  # noqa: N818 - no error: the query is computed in this process
    """A part of the query may have another meaning in the database."""


@dataclass(frozen=True, slots=True)
class StoredInput:
    """A table that a query reads: its quoted SQL name, and how its columns are read."""

    table: str
    columns: tuple[ColumnReading, ...]


@dataclass(frozen=True, slots=True)
class PushedQuery:
    """A query in the form that the database runs.

    Attributes
    ----------
    select, rest
        The SQL between SELECT and FROM, and from FROM on.
    columns
        How the columns of the result are read, by their names in the result.
    flags
        The SQL conditions, one per exception of these columns.
    filtered
        Per table with a condition or join on columns with exceptions: its SQL name, and these columns. The result does
        not show which rows were left out because of such values, so they must be counted in the table.
    """

    select: str
    rest: str
    columns: tuple[ColumnReading, ...]
    flags: tuple[str, ...]
    filtered: tuple[tuple[str, tuple[ColumnReading, ...]], ...]


def translate_query(query: str, inputs: Mapping[str, StoredInput]) -> PushedQuery | None:
    """Return a query that gives the same result in PostgreSQL; None if it must be computed in this process.

    Parameters
    ----------
    query
        SQL with its variables inserted.
    inputs
        The tables, by the names of their datasets.
    """
    try:
        return _Translation(parse_sql(query), inputs).translate()
    except _Refused:
        return None


class _Translation:
    """The translation of one query; `aliases` are its tables, by their names in the query."""

    def __init__(self, tree: "exp.Query", inputs: Mapping[str, StoredInput]) -> None:
        from sqlglot import exp

        if not isinstance(tree, exp.Select):
            raise _Refused
        present = {key for key, value in tree.args.items() if value}
        if not present <= {"expressions", "from_", "joins", "where"} or "from_" not in present:
            raise _Refused
        self._tree, self._exp = tree, exp
        self._joins: list[exp.Join] = tree.args.get("joins") or []
        self._aliases: dict[str, StoredInput] = {}
        for table in (tree.args["from_"].this, *(join.this for join in self._joins)):
            self._add_table(table, inputs)
        self._used: dict[tuple[str, str], ColumnReading] = {}

    def _add_table(self, table: "exp.Expr", inputs: Mapping[str, StoredInput]) -> None:
        present = {key for key, value in table.args.items() if value}
        if not isinstance(table, self._exp.Table) or not present <= {"this", "alias"} or table.name not in inputs:
            raise _Refused
        alias = table.alias_or_name
        if alias in self._aliases or (table.args.get("alias") and table.args["alias"].args.get("columns")):
            raise _Refused
        if any(column.name.startswith(_FLAG) for column in inputs[table.name].columns):
            raise _Refused
        self._aliases[alias] = inputs[table.name]

    def translate(self) -> PushedQuery:
        output = list(self._list_output())
        names = [name for _, _, name in output]
        if len(set(names)) < len(names) or any(len(name.encode()) > _LONGEST_NAME for name in names):
            raise _Refused
        where = self._tree.args.get("where")
        if not where and not self._joins and all(isinstance(one, self._exp.Star) for one in self._tree.expressions):
            raise _Refused  # the whole table, whose rows other readers can share
        condition = f" WHERE {self._translate_condition(where.this)}" if where else ""
        joins = [self._translate_join(join) for join in self._joins]
        filtered: dict[str, dict[str, ColumnReading]] = {}
        for (alias, _), column in self._used.items():
            if column.flags:
                filtered.setdefault(self._aliases[alias].table, {})[column.name] = column
        columns = tuple(ColumnReading(name, column.type, column.cast) for _, column, name in output)
        first, *others = self._aliases
        shown = {(alias, column.name) for alias, column, _ in output}
        rest = f"FROM {self._write_table(first, shown)}"
        for alias, (kind, on) in zip(others, joins, strict=True):
            rest += f" {kind} JOIN {self._write_table(alias, shown)} ON {on}"
        return PushedQuery(
            ", ".join(f"{quote_name(alias, column.name)} AS {quote_name(name)}" for alias, column, name in output),
            rest + condition,
            columns,
            tuple(quote_name(alias, flag) for alias, column, _ in output for flag in self._name_flags(alias, column)),
            tuple((table, tuple(columns.values())) for table, columns in filtered.items()),
        )

    def _write_table(self, alias: str, shown: set[tuple[str, str]]) -> str:
        """Return the table with the needed columns, each cast as when it is read."""
        given = self._aliases[alias]
        parts = []
        for column in given.columns:
            if (alias, column.name) in shown or (alias, column.name) in self._used:
                collated = ' COLLATE "C"' if column.cast.family == "text" else ""
                parts.append(f"({column.value}){collated} AS {quote_name(column.name)}")
            if (alias, column.name) in shown:
                named = zip(column.flags, self._name_flags(alias, column), strict=True)
                parts += [f"{flag} AS {quote_name(name)}" for flag, name in named]
        return f"(SELECT {', '.join(parts) or '1'} FROM {given.table}) AS {quote_name(alias)}"  # noqa: S608 - quoted

    def _name_flags(self, alias: str, column: ColumnReading) -> list[str]:
        place = self._aliases[alias].columns.index(column)
        return [f"{_FLAG}{place} {number}" for number in range(len(column.flags))]

    def _list_output(self) -> Iterator[tuple[str, ColumnReading, str]]:
        """Yield the table, column and name of each column of the result."""
        exp = self._exp
        for one in self._tree.expressions:
            inner = one.this if isinstance(one, exp.Alias) else one
            if isinstance(inner, exp.Star) and not inner.args.get("except_") and not self._joins:
                if any(inner.args.values()):
                    raise _Refused
                (alias,) = self._aliases
                yield from ((alias, column, column.name) for column in self._aliases[alias].columns)
            elif isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star) and inner is one:
                if any(inner.this.args.values()) or inner.table not in self._aliases:
                    raise _Refused
                yield from ((inner.table, column, column.name) for column in self._aliases[inner.table].columns)
            elif isinstance(inner, exp.Column):
                alias, column = self._find_column(inner)
                yield alias, column, one.alias_or_name
            else:
                raise _Refused

    def _find_column(self, column: "exp.Expr") -> tuple[str, ColumnReading]:
        if not isinstance(column, self._exp.Column) or column.args.get("db"):
            raise _Refused
        places = [column.table] if column.table else list(self._aliases)
        found = [
            (alias, one)
            for alias in places
            if alias in self._aliases
            for one in self._aliases[alias].columns
            if one.name == column.name
        ]
        if len(found) != 1:
            raise _Refused
        return found[0]

    def _translate_join(self, join: "exp.Join") -> tuple[str, str]:
        present = {key for key, value in join.args.items() if value}
        if not present <= {"this", "on", "side", "kind"} or not join.args.get("on"):
            raise _Refused
        if (join.side, join.kind) not in {("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")}:
            raise _Refused
        pairs = list(join.args["on"].flatten()) if isinstance(join.args["on"], self._exp.And) else [join.args["on"]]
        keys = []
        for pair in pairs:
            if not isinstance(pair, self._exp.EQ):
                raise _Refused
            sides = [self._find_column(side) for side in (pair.this, pair.expression)]
            families = {column.cast.family for _, column in sides}
            if families not in ({"integer"}, {"text"}, {"date"}) or sides[0][1].type != sides[1][1].type:
                raise _Refused
            if join.this.alias_or_name not in {alias for alias, _ in sides} or sides[0][0] == sides[1][0]:
                raise _Refused
            keys.append(" = ".join(self._use(*side) for side in sides))
        return join.side or "INNER", " AND ".join(keys)

    def _use(self, alias: str, column: ColumnReading) -> str:
        self._used[alias, column.name] = column
        return quote_name(alias, column.name)

    def _translate_condition(self, node: "exp.Expr") -> str:
        exp = self._exp
        match node:
            case exp.And() | exp.Or():
                word = "AND" if isinstance(node, exp.And) else "OR"
                return f"({self._translate_condition(node.this)} {word} {self._translate_condition(node.expression)})"
            case exp.Paren():
                return self._translate_condition(node.this)
            case exp.Not():
                return f"(NOT {self._translate_condition(node.this)})"
            case exp.Is() if isinstance(node.expression, exp.Null):
                return f"({self._use(*self._find_column(node.this))} IS NULL)"
            case exp.In() if {key for key, value in node.args.items() if value} <= {"this", "expressions"}:
                family, column = self._read_column(node.this)
                values = [self._write_literal(one, family) for one in node.expressions]
                return f"({column} IN ({', '.join(values)}))"
            case exp.Between() if {key for key, value in node.args.items() if value} <= {"this", "low", "high"}:
                family, column = self._read_column(node.this)
                low, high = (self._write_literal(node.args[key], family) for key in ("low", "high"))
                return f"({column} BETWEEN {low} AND {high})"
            case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
                sign = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}[type(node).__name__]
                return f"({self._write_sides(node.this, sign, node.expression)})"
        raise _Refused

    def _write_sides(self, left: "exp.Expr", sign: str, right: "exp.Expr") -> str:
        if isinstance(left, self._exp.Column) and isinstance(right, self._exp.Column):
            (family, first), (other, second) = self._read_column(left), self._read_column(right)
            if family != other or self._find_column(left)[1].type != self._find_column(right)[1].type:
                raise _Refused
            return f"{first} {sign} {second}"
        if isinstance(left, self._exp.Column):
            family, column = self._read_column(left)
            return f"{column} {sign} {self._write_literal(right, family)}"
        family, column = self._read_column(right)
        return f"{self._write_literal(left, family)} {sign} {column}"

    def _read_column(self, node: "exp.Expr") -> tuple[str, str]:
        alias, column = self._find_column(node)
        if not column.cast.family:
            raise _Refused
        return column.cast.family, self._use(alias, column)

    def _write_literal(self, node: "exp.Expr", family: str) -> str:
        """Return a literal that both engines compare with a column of a family in the same way."""
        exp = self._exp
        while isinstance(node, exp.Paren):
            node = node.this
        negative = isinstance(node, exp.Neg)
        if negative:
            node = node.this
        if isinstance(node, exp.Literal) and not node.is_string:
            text = str(node.this)
            whole = text.isdecimal() and int(text) <= _LARGEST
            if whole and family == "integer":
                return f"{'-' if negative else ''}{text}::int8"
            if family == "number" and (whole or "e" in text.lower()):
                return f"{'-' if negative else ''}{text}::float8"
        elif not negative and isinstance(node, exp.Literal) and family == "text" and "\0" not in node.this:
            return f'({quote_text(node.this)}::text COLLATE "C")'
        elif not negative and isinstance(node, exp.Boolean) and family == "boolean":
            return "TRUE" if node.this else "FALSE"
        elif not negative and family == "date" and isinstance(node, exp.Cast) and node.to.is_type("date"):
            try:
                return f"DATE '{date.fromisoformat(node.this.name)}'"
            except ValueError:
                raise _Refused from None
        raise _Refused
