"""Parsing of SQL with `${name}` references: to a syntax tree, or to the problems that prevent one.

1. A scanner finds the references that are outside of comments, texts and quoted names.
2. Each of them becomes a placeholder of the same length, so that offsets in the SQL stay valid.
3. sqlglot parses the result. The tree must contain every placeholder; a missing one was read as part of a name.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine.formatting.hints import find_similar
from engine.spec.problem import Problem
from engine.spec.variables.references import VariableReference, find_references

if TYPE_CHECKING:
    from sqlglot import Dialect, exp

MAX_SQL_LENGTH = 20_000
MAX_SQL_REFERENCES = 200
MAX_SQL_DEPTH = 30
"""Most levels of the syntax tree. polars' parser reads 46; sqlglot 30.0 reads 34 before Python's stack is full."""
MAX_TOKENS_READ_AGAIN = 20_000
"""Most tokens that the parser may read again in one query; ordinary queries need fewer than 2,000."""

_WRITING_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP", "TRUNCATE")
"""Words that are not misspelt forms of SELECT, although some are similar to it."""

_SQL_LEXEME = re.compile(
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


class SqlQuery(NamedTuple):
    """A parsed query. The tree has a placeholder `_<hex index>` per reference; it is None if there are `problems`."""

    sql: str
    references: tuple[VariableReference, ...]
    tree: "exp.Query | None"
    problems: tuple[Problem, ...] = ()


class TooManyReadings(Exception):  # noqa: N818 - a bound of ours, not an error of the SQL
    """The parser has read too many tokens again."""


class _BoundedReadings:
    """A part of a parser: it refuses SQL that it would have to try in too many ways.

    A name of a type before a parenthesis may be a type or a function, `DATE(…)`: sqlglot tries one, goes back and tries
    the other, so that the time doubles with each level of nesting.
    """

    tokens_read_again = 0
    _index: int

    def _retreat(self, index: int) -> None:
        self.tokens_read_again += max(0, self._index - index)
        if self.tokens_read_again > MAX_TOKENS_READ_AGAIN:
            raise TooManyReadings
        super()._retreat(index)  # type: ignore[misc]  # that of the parser


@cache
def _load_dialect() -> "type[Dialect]":
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.parsers.duckdb import DuckDBParser

    class PolarsSql(DuckDB):
        """DuckDB's dialect, which also accepts names in backticks."""

        class Tokenizer(DuckDB.Tokenizer):
            IDENTIFIERS = ['"', "`"]  # noqa: RUF012 # sqlglot's own form

        class Parser(_BoundedReadings, DuckDBParser):
            """Its parser."""

    return PolarsSql


@cache
def load_database_dialect(kind: str) -> "type[Dialect]":
    """Return the dialect of the databases of a kind of connections, postgresql or duckdb."""
    from sqlglot.dialects.duckdb import DuckDB
    from sqlglot.dialects.postgres import Postgres
    from sqlglot.parsers.duckdb import DuckDBParser
    from sqlglot.parsers.postgres import PostgresParser

    class DuckdbSql(DuckDB):
        """The dialect of DuckDB."""

        class Parser(_BoundedReadings, DuckDBParser):
            """Its parser."""

    class PostgresqlSql(Postgres):
        """The dialect of PostgreSQL."""

        class Parser(_BoundedReadings, PostgresParser):
            """Its parser."""

    return PostgresqlSql if kind == "postgresql" else DuckdbSql


def parse_sql(sql: str) -> "exp.Query":
    """Return sqlglot's syntax tree; let sqlglot's errors pass."""
    import sqlglot

    return cast("exp.Query", sqlglot.parse_one(sql, read=_load_dialect(), error_message_context=MAX_SQL_LENGTH))


@lru_cache(maxsize=256)
def list_references(sql: str) -> tuple[VariableReference, ...]:
    """Return the references outside comments, texts and quoted names; none of an SQL that is too long."""
    return () if len(sql) > MAX_SQL_LENGTH else _scan_references(sql)[0]


def read_query(sql: str) -> SqlQuery:
    """Parse the SQL of a query dataset."""
    if len(sql) > MAX_SQL_LENGTH:
        message = f"the SQL has {len(sql)} characters, but at most {MAX_SQL_LENGTH} are allowed"
        return SqlQuery(sql, (), None, (Problem(0, len(sql), "sql-too-big", message, "shorten the query"),))
    # the references outside comments, texts and quoted names
    references, found = _scan_references(sql)
    if len(references) > MAX_SQL_REFERENCES:
        message = f"the query has more than {MAX_SQL_REFERENCES} references to variables"
        found.append(Problem(references[-1].offset, references[-1].length, "sql-too-big", message, "shorten the query"))
    if found:
        return SqlQuery(sql, references, None, tuple(found))
    from sqlglot.errors import ParseError, TokenError

    try:
        tree = parse_sql(insert_placeholders(sql, references))
        problem = check_depth(sql, tree) or _check_statement(sql, tree) or _check_placeholders(sql, references, tree)
    except ParseError as error:
        problem = translate_parse_error(sql, error.errors[0])
    except TokenError:
        problem = Problem(0, len(sql), "sql-syntax", "the SQL cannot be read")
    except TooManyReadings:
        problem = Problem(0, len(sql), "sql-too-big", SQL_TOO_AMBIGUOUS, "take the inner calls out into a WITH")
    except RecursionError:
        problem = Problem(0, len(sql), "sql-too-big", SQL_TOO_DEEP)
    return SqlQuery(sql, references, tree if problem is None else None, () if problem is None else (problem,))


def _scan_references(sql: str) -> tuple[tuple[VariableReference, ...], list[Problem]]:
    """Return the references outside comments, texts and quoted names, and the problems found before parsing."""
    by_offset = {reference.offset: reference for reference in find_references(sql)}
    references: list[VariableReference] = []
    found: list[Problem] = []
    at, first, ended = 0, True, False
    depth = deepest = 0
    before, chained, open_subscripts = "", 0, list[int]()
    while at < len(sql):
        # A reference here is outside of quotes and comments: those are consumed below as a whole.
        if at in by_offset and not first:
            references.append(by_offset[at])
            at += by_offset[at].length
            continue
        lexeme = _SQL_LEXEME.match(sql, at)
        assert lexeme is not None  # noqa: S101 # the last alternative takes any character
        kind, text, at = lexeme.lastgroup, lexeme.group(), lexeme.end()
        if kind in ("blank", "comment"):
            continue
        start, size = lexeme.start(), len(text)
        if ended:
            found.append(Problem(start, size, "sql-statement", "a query is one SELECT, but there is more after the ;"))
            break
        if first and text.upper() not in ("SELECT", "WITH", "("):
            found.append(_refuse_start(start, text, by_offset[start].text if start in by_offset else text))
            break
        first, ended = False, kind == "end"
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if text == "[":  # in a[1][2] the second [ is one level deeper: sqlglot needs quadratic time for long chains
            open_subscripts.append(chained + 1 if before == "]" else 0)
            deepest = max(deepest, open_subscripts[-1])
        elif text == "]" and open_subscripts:
            chained = open_subscripts.pop()
        before = text
        deepest = max(deepest, depth)
        if kind in ("text", "name"):
            found += check_quoted_references(text, [r for r in by_offset.values() if start <= r.offset < at])
        elif kind == "unclosed":
            message = "the comment is never closed" if text == "/*" else f"the quote {text} is never closed"
            found.append(Problem(start, size, "sql-syntax", message))
            break
        elif kind == "escape":
            help_ = "inside a text it stands for ${; write ${name} for the value of a variable"
            found.append(Problem(start, size, "sql-syntax", "$${ is only allowed inside a text", help_))
        elif kind == "dollar":
            found.append(
                Problem(start, size, "sql-syntax", "$…$ is not a quote here", "write texts in 'single quotes'")
            )
    if first and not found:
        found.append(Problem(0, max(1, len(sql)), "sql-syntax", "the SQL is empty"))
    if deepest > MAX_SQL_DEPTH:  # before sqlglot parses it: its versions need different amounts of stack
        return tuple(references), [Problem(0, len(sql), "sql-too-big", SQL_TOO_DEEP)]
    for reference in references:
        if not reference.parts:
            found.append(refuse_reference(reference))
    return tuple(references), found


def refuse_reference(reference: VariableReference) -> Problem:
    """Return the problem of a `${…}` that is not a reference."""
    message = f"{reference.text} is not a reference to a variable"
    return Problem(reference.offset, reference.length, "sql-variable", message, "write ${name}")


def _refuse_start(start: int, text: str, shown: str) -> Problem:
    """Return the problem of a query that starts with another text than SELECT or WITH, `shown` as the user knows it."""
    suggestion = find_similar(text.upper(), ["SELECT", "WITH", *_WRITING_STATEMENTS])
    help_ = "a query can only read data"
    if suggestion == "DELETE":
        help_ += "; select the rows to keep with WHERE"
    elif suggestion in ("SELECT", "WITH"):
        help_ = f'did you mean "{suggestion}"?'
    message = f"a query must start with SELECT or WITH, not with {shown}"
    return Problem(start, len(shown), "sql-statement", message, help_)


def check_quoted_references(text: str, inside: list[VariableReference]) -> Iterator[Problem]:
    """Yield a problem for each reference inside a quoted text or name."""
    for reference in inside:
        alone = reference.length == len(text) - 2
        if text[0] == "'":
            message = f"{reference.text} is inside quotes; a variable is inserted as a complete literal"
            help_ = (
                f"write {reference.text} without quotes"
                if alone
                else f"write '…' || {reference.text} || '…'; a file name belongs in the path of a dataset"
            )
        else:
            message = f"{reference.text} is inside a name; a variable is a value and cannot be part of a name"
            help_ = "write the name itself"
        yield Problem(reference.offset, reference.length, "sql-variable", message, help_)


def insert_placeholders(sql: str, references: tuple[VariableReference, ...]) -> str:
    """Return the SQL with a placeholder of the same length for each reference, so that offsets stay valid."""
    for index, reference in enumerate(references):
        # `${end}` has six characters: `$_` and the index in hex, padded with zeros to fill the rest.
        name = f"$_{index:0{reference.length - 2}x}"
        sql = sql[: reference.offset] + name + sql[reference.offset + reference.length :]
    return sql


def find_placeholders(tree: "exp.Query") -> list["exp.Placeholder"]:
    """Return the placeholders of a tree."""
    from sqlglot import exp

    return list(tree.find_all(exp.Placeholder))


def decode_placeholder_index(placeholder: "exp.Placeholder") -> int:
    """Return the index of the reference of a placeholder."""
    return int(placeholder.name[1:], 16)


SQL_TOO_DEEP = f"the SQL is nested too deeply; at most {MAX_SQL_DEPTH} levels are allowed"
SQL_TOO_AMBIGUOUS = "functions that are named like a type, such as DATE(…) or ROW(…), are nested too deeply"


def check_depth(sql: str, tree: "exp.Expr") -> Problem | None:
    """Return a problem if the SQL is nested so deeply that one of its parsers may fail."""
    from sqlglot import exp

    pending = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_SQL_DEPTH:
            return Problem(0, len(sql), "sql-too-big", SQL_TOO_DEEP)
        for child in node.iter_expressions():
            # a chain such as a + b + c is nested on the left; every parser reads it in a loop, so it is one level
            chained = child is node.this and isinstance(node, exp.Binary | exp.SetOperation)
            pending.append((child, depth if chained else depth + 1))
    return None


def _check_statement(sql: str, tree: "exp.Expr") -> Problem | None:
    """Return a problem if the statement, or any part of it, does anything but read with SELECT."""
    from sqlglot import exp

    writes = tree.find(exp.DML, exp.DDL, exp.Command, exp.Into, exp.Create, exp.Drop)
    if not isinstance(tree, exp.Query):
        writes = tree
    if writes is not None and not isinstance(writes, exp.Query):
        word = writes.key.upper()
        return Problem(
            *find_word(sql, word), "sql-statement", f"a query can only read data, and {word} is not allowed in it"
        )
    empty = next((select for select in tree.find_all(exp.Select) if not select.expressions), None)
    if empty is not None:
        return Problem(*find_word(sql, "SELECT"), "sql-syntax", "this SELECT has no columns", "write SELECT *")
    return None


def find_word(sql: str, word: str) -> tuple[int, int]:
    """Return offset and length of the first occurrence of a word; the whole SQL if it is not found."""
    match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sql, re.IGNORECASE)
    return (match.start(), len(word)) if match else (0, len(sql))


def _check_placeholders(sql: str, references: tuple[VariableReference, ...], tree: "exp.Expr") -> Problem | None:
    """Return a problem if the tree has a placeholder of the user (`?`, `$day`), or lacks that of a reference."""
    from sqlglot import exp

    found = list(tree.find_all(exp.Placeholder, exp.Parameter))
    foreign = next((p for p in found if not re.fullmatch(r"_[0-9a-f]{2,}", p.name)), None)
    if foreign is not None:
        shown = foreign.sql(_load_dialect())
        return Problem(*find_word(sql, shown), "sql-variable", f"{shown} is not a variable", "write ${name}")
    ours = {int(p.name[1:], 16) for p in found}
    for index, reference in enumerate(references):
        if index not in ours:
            message = f"{reference.text} is at a place where SQL does not allow a value"
            return Problem(reference.offset, reference.length, "sql-variable", message)
    return None


def translate_parse_error(sql: str, error: Mapping[str, Any]) -> Problem:
    """Return sqlglot's syntax error as a problem; a placeholder is shown as the reference that the user wrote."""
    token = str(error["highlight"])
    start = min(len(str(error["start_context"])), max(0, len(sql) - 1))
    references = (r for r in find_references(sql) if r.offset <= start < r.offset + r.length)
    if (reference := next(references, None)) is not None:
        start, token = reference.offset, reference.text
    shown, size = token, max(1, len(token))
    if "missing" in error["description"]:
        return Problem(start, size, "sql-syntax", f"something is missing after {shown}")
    if match := re.match(r"Expecting (\S+)", error["description"]):
        return Problem(start, size, "sql-syntax", f"a {match[1]} is missing after {shown}")
    return Problem(start, size, "sql-syntax", f"{shown} is not expected here")
