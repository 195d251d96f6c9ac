"""SQL of query datasets: what it reads, what is said of it, and that a bound query is the query, in polars."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.spec.reference.codes import DIAGNOSTIC_CODES
from engine.spec.sql import bind_variables, find_sql_problems, list_columns, list_tables, normalize_sql
from engine.spec.sql.statements import bind_statement

DATASETS = ["transactions", "cardholders", "my data"]
VARIABLES = {"day": date(2017, 4, 1), "quarter": "Q4 '17", "limit": 2, "low": -1.5, "yes": True, "nothing": None}

FRAMES = {
    "transactions": pl.LazyFrame(
        {
            "id": [1, 2, 3, 4],
            "card": [1, 1, 2, 9],
            "amount": [10.0, -2.5, 30.0, None],
            "day": [date(2017, 1, 5), date(2017, 4, 1), date(2017, 7, 9), date(2018, 1, 1)],
            "state": ["ok", "Q4 '17", "odd", "ok"],
            "flag": [True, False, True, None],
        }
    ),
    "cardholders": pl.LazyFrame({"card": [1, 2], "age": [33, 44]}),
    "my data": pl.LazyFrame({"a": [1]}),
}


def run(sql: str) -> list[tuple[object, ...]]:
    return pl.SQLContext(FRAMES).execute(sql, eager=True).rows()


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT id FROM transactions WHERE day >= ${day} AND day < DATE '2018-01-01' ORDER BY id", [(2,), (3,)]),
        ("SELECT id FROM transactions WHERE state = ${quarter}", [(2,)]),
        ("SELECT id FROM transactions WHERE state IN ('odd', ${quarter}) ORDER BY id", [(2,), (3,)]),
        ("SELECT id FROM transactions WHERE amount BETWEEN ${low} - 1 AND ${limit}", [(2,)]),
        ("SELECT id FROM transactions WHERE amount -${low} > 20", [(3,)]),
        ("SELECT id FROM transactions WHERE flag = ${yes} ORDER BY id LIMIT ${limit}", [(1,), (3,)]),
        ('SELECT COALESCE(${nothing}, ${limit}) AS x FROM "my data"', [(2,)]),
        ("SELECT '$${day}' AS x, ${limit} -- ${day}\nFROM \"my data\"", [("${day}", 2)]),
        (
            "SELECT t.id, c.age AS a FROM transactions t JOIN cardholders c ON t.card = c.card WHERE t.id <> ${limit}",
            [(1, 33), (3, 44)],
        ),
        (
            "WITH old AS (SELECT * FROM transactions WHERE day < ${day}) SELECT COUNT(*) AS n FROM old",
            [(1,)],
        ),
        (
            "SELECT state, SUM(amount) AS s FROM transactions GROUP BY state HAVING SUM(amount) > ${low}",
            [("ok", 10.0), ("odd", 30.0)],
        ),
        (
            "SELECT CASE WHEN day > ${day} THEN 'late' ELSE CAST(id AS TEXT) END AS x FROM transactions",
            [("1",), ("2",), ("late",), ("late",)],
        ),
        (
            "SELECT EXTRACT(YEAR FROM day) AS y FROM transactions WHERE day > ${day}",
            [(2017,), (2018,)],
        ),
        (
            "SELECT id FROM transactions WHERE id = ${limit} UNION ALL SELECT age FROM cardholders WHERE age = 44",
            [(2,), (44,)],
        ),
    ],
)
def test_a_bound_query_runs_in_polars(sql: str, rows: list[tuple[object, ...]]) -> None:
    assert find_sql_problems(sql, DATASETS, VARIABLES) == []
    assert sorted(map(str, run(bind_variables(sql, VARIABLES)))) == sorted(map(str, rows))


@pytest.mark.parametrize(
    "condition",
    [
        "state = ${nothing}",
        "day >= CAST((${nothing}) AS DATE)",
        "NOT (day BETWEEN ${day} AND ${nothing})",
        "state IN (${nothing})",
        "id = 1 OR state LIKE ${nothing}",
    ],
)
def test_a_comparison_with_null_is_refused_because_it_holds_for_no_row(condition: str) -> None:
    sql = f"SELECT id FROM transactions WHERE {condition}"
    with pytest.raises(ValueError, match='"nothing" is null, and a comparison with null holds for no row'):
        bind_variables(sql, VARIABLES)
    for kind in ("postgresql", "duckdb"):
        with pytest.raises(ValueError, match='"nothing" is null'):
            bind_statement(f"DELETE FROM t WHERE {condition}", kind, VARIABLES)


@pytest.mark.parametrize(
    "condition",
    [
        "${nothing} IS NULL OR state = ${nothing}",
        "state = COALESCE(${nothing}, 'ok')",
        "state IN ('ok', ${nothing})",
        "state IS NOT DISTINCT FROM ${nothing}",
    ],
)
def test_a_query_that_reckons_with_null_is_bound(condition: str) -> None:
    assert "NULL" in bind_variables(f"SELECT id FROM transactions WHERE {condition}", VARIABLES)


def test_the_columns_of_a_table_and_of_its_join_come_out_as_polars_names_them() -> None:
    sql = (
        "SELECT t.*, c.age AS card_age FROM transactions t JOIN cardholders c ON t.card = c.card WHERE t.day >= ${day}"
    )
    frame = pl.SQLContext(FRAMES).execute(bind_variables(sql, VARIABLES), eager=True)
    assert frame.columns == ["id", "card", "amount", "day", "state", "flag", "card_age"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("' OR 1=1 --")
@example("\\' OR 1=1 --")
@example("'; DROP TABLE transactions; --")
@example('${day} $${day} /* " ` */')
@example("\x00\n\r\u2028")
def test_any_text_bound_is_that_text_in_polars(text: str) -> None:
    sql = 'SELECT ${value} AS x, a FROM "my data" WHERE ${value} = ${value}'
    assert run(bind_variables(sql, {"value": text})) == [(text, 1)]


@given(st.one_of(st.booleans(), st.integers(-(2**63) + 1, 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_bound_is_that_number_in_polars(value: float) -> None:
    ((found,),) = run(bind_variables('SELECT ${value} AS x FROM "my data"', {"value": value}))
    assert found == value
    assert type(found) is type(value)


@given(st.integers(-1000, 1000))
def test_a_negative_number_makes_no_comment_of_a_minus(value: int) -> None:
    assert run(bind_variables('SELECT a -${value} AS x FROM "my data"', {"value": value})) == [(1 - value,)]


@given(st.dates())
def test_any_date_bound_is_that_date_in_polars(day: date) -> None:
    assert run(bind_variables('SELECT ${value} AS x FROM "my data"', {"value": day})) == [(day,)]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_value_that_has_no_literal_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written in SQL"):
        bind_variables("SELECT ${x}", {"x": value})


@pytest.mark.parametrize(
    ("sql", "read"),
    [
        ("SELECT * FROM transactions t, cardholders", {"transactions", "cardholders"}),
        ('SELECT * FROM "my data" WHERE a IN (SELECT id FROM transactions)', {"my data", "transactions"}),
        ("WITH q AS (SELECT 1 AS a), r AS (SELECT * FROM q) SELECT * FROM r", set()),
        ("WITH r AS (SELECT * FROM q), q AS (SELECT 1) SELECT * FROM r", {"q"}),
        ("WITH transactions AS (SELECT * FROM transactions) SELECT * FROM transactions", {"transactions"}),
        ("SELECT * FROM (WITH q AS (SELECT 1 AS a) SELECT * FROM q) s JOIN q ON s.a = q.a", {"q"}),
        ("SELECT a FROM transactions UNION SELECT a FROM `my data`", {"transactions", "my data"}),
        ("not SQL", set()),
    ],
)
def test_a_query_tells_which_tables_it_reads(sql: str, read: set[str]) -> None:
    assert list_tables(sql) == read


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT id, t.amount, day AS d, ${limit} AS l FROM transactions t", ["id", "amount", "d", "l"]),
        ("SELECT id FROM transactions UNION SELECT age FROM cardholders", ["id"]),
        ("(SELECT id FROM transactions)", ["id"]),
        ("WITH q AS (SELECT * FROM transactions) SELECT id FROM q", ["id"]),
        ("SELECT * FROM transactions", None),
        ("SELECT t.*, 1 AS one FROM transactions t", None),
        ("SELECT COUNT(*) FROM transactions", None),
        ("SELECT", None),
    ],
)
def test_a_query_tells_its_columns_where_it_shows_them(sql: str, names: list[str] | None) -> None:
    assert list_columns(sql) == names


@pytest.mark.parametrize(
    ("sql", "marked", "code", "help_"),
    [
        ("SELECT * FROM trasactions", "trasactions", "sql-unknown-dataset", 'did you mean "transactions"?'),
        ("SELECT * FROM Transactions", "Transactions", "sql-unknown-dataset", 'did you mean "transactions"?'),
        ("SELECT * FROM main.transactions", "transactions", "sql-unknown-dataset", 'did you mean "transactions"?'),
        (
            "SELECT a FROM `my data` WHERE a IN (SELECT a FROM zz)",
            "zz",
            "sql-unknown-dataset",
            "the datasets are transactions, cardholders, my data",
        ),
        (
            "SELECT * FROM read_parquet('/etc/passwd')",
            "read_parquet",
            "sql-file",
            "declare a dataset for it and read that dataset",
        ),
        (
            "SELECT * FROM transactions JOIN read_csv('x.csv') r ON 1 = 1",
            "read_csv",
            "sql-file",
            "declare a dataset for it and read that dataset",
        ),
        (
            "SELECT * FROM 'a.parquet'",
            "'a.parquet'",
            "sql-file",
            "declare a dataset with this path and read that dataset",
        ),
        (
            "DELETE FROM transactions",
            "DELETE",
            "sql-statement",
            "a query can only read data; select the rows to keep with WHERE",
        ),
        ("DROP TABLE transactions", "DROP", "sql-statement", "a query can only read data"),
        ("SELECT * INTO x FROM transactions", "INTO", "sql-statement", None),
        ("WITH d AS (DELETE FROM transactions RETURNING *) SELECT * FROM d", "DELETE", "sql-statement", None),
        ("SELECT 1 AS a; SELECT 2 AS b", "SELECT", "sql-statement", None),
        ("EXPLAIN SELECT 1 AS a", "EXPLAIN", "sql-statement", "a query can only read data"),
        ("${quarter}", "${quarter}", "sql-statement", "a query can only read data"),
        ("SELEC id FROM transactions", "SELEC", "sql-statement", 'did you mean "SELECT"?'),
        ("SELECT id FORM transactions", "transactions", "sql-syntax", None),
        ("SELECT id FROM transactions WHERE", "WHERE", "sql-syntax", None),
        ("SELECT (id FROM transactions", "FROM", "sql-syntax", None),
        ("SELECT FROM transactions", "SELECT", "sql-syntax", "write SELECT *"),
        ("SELECT 'abc FROM transactions", "'", "sql-syntax", None),
        ("SELECT 1 /* why", "/*", "sql-syntax", None),
        ("SELECT $$a$$ AS x", "$$", "sql-syntax", "write texts in 'single quotes'"),
        ("  \n", "  \n", "sql-syntax", None),
        ("SELECT '${quarter}' AS q", "${quarter}", "sql-variable", "write ${quarter} without quotes"),
        (
            "SELECT 'in ${quarter}' AS q",
            "${quarter}",
            "sql-variable",
            "write '…' || ${quarter} || '…'; a file name belongs in the path of a dataset",
        ),
        ('SELECT "${quarter}" AS q', "${quarter}", "sql-variable", "write the name itself"),
        ("SELECT * FROM ${quarter}", "${quarter}", "sql-variable", "write the name itself"),
        ("SELECT t.${quarter} FROM transactions t", "${quarter}", "sql-variable", "write the name itself"),
        (
            "SELECT id AS ${quarter} FROM transactions",
            "${quarter}",
            "sql-variable",
            "write the name itself; before a variable that is a date, leave DATE out",
        ),
        ("SELECT id FROM transactions WHERE day > DATE ${day}", "${day}", "sql-syntax", None),
        ("SELECT id FROM transactions ORDER BY ${quarter}", "${quarter}", "sql-variable", "write the column itself"),
        ("SELECT id FROM transactions WHERE id IN ${limit}", "${limit}", "sql-variable", "write IN (${limit})"),
        ("SELECT ${} AS x", "${}", "sql-variable", "write ${name}"),
        ("SELECT ? AS x", "?", "sql-variable", "write ${name}"),
        ("SELECT $day AS x", "$day", "sql-variable", "write ${name}"),
        ("SELECT ${quater} AS x", "${quater}", "sql-unknown-variable", 'did you mean "quarter"?'),
        (
            "SELECT ${secret.warehouse} AS x",
            "${secret.warehouse}",
            "sql-unknown-variable",
            "secrets can only be used in the url of a channel or connection, or in headers",
        ),
        ("SELECT " + "(" * 2_000 + "1" + ")" * 2_000, None, "sql-too-big", None),
        ("SELECT " + "(" * 40 + "FROM" + "(" * 40, None, "sql-too-big", None),
        ("SELECT '" + "x" * 30_000 + "'", None, "sql-too-big", "shorten the query"),
        ("SELECT " + ", ".join(["${day}"] * 300), "${day}", "sql-too-big", "shorten the query"),
    ],
)
def test_a_wrong_query_gets_its_answer(sql: str, marked: str | None, code: str, help_: str | None) -> None:
    problem, *_ = find_sql_problems(sql, DATASETS, VARIABLES)
    assert sql[problem.offset : problem.offset + problem.length] == (sql if marked is None else marked)
    assert (problem.code, problem.help) == (code, help_)
    assert code in DIAGNOSTIC_CODES


def test_every_unknown_dataset_and_variable_is_found_in_one_go() -> None:
    sql = "SELECT ${a} AS a FROM x\nJOIN y ON ${b} = 1"
    found = [(p.code, sql[p.offset : p.offset + p.length]) for p in find_sql_problems(sql, DATASETS, VARIABLES)]
    unknown = "sql-unknown-variable", "sql-unknown-dataset"
    assert found == [(unknown[0], "${a}"), (unknown[1], "x"), (unknown[1], "y"), (unknown[0], "${b}")]


NESTED: dict[str, Callable[[int], str]] = {
    "brackets": lambda n: f"SELECT {'(' * n}id{')' * n} AS x FROM t",
    "signs": lambda n: f"SELECT {'- ' * n}id AS x FROM t",
    "not": lambda n: f"SELECT id FROM t WHERE {'NOT ' * n}id > 1",
    "and": lambda n: f"SELECT id FROM t WHERE {'id > 0 AND (' * n}id > 1{')' * n}",
    "case": lambda n: f"SELECT {'CASE WHEN id > 1 THEN ' * n}1{' ELSE 2 END' * n} AS x FROM t",
    "functions": lambda n: f"SELECT {'abs(' * n}id{')' * n} AS x FROM t",
    "casts": lambda n: f"SELECT id{'::INT' * n} AS x FROM t",
    "subqueries": lambda n: f"SELECT id FROM {'(SELECT id FROM ' * n}t{') AS a' * n}",
    "conditions": lambda n: f"SELECT id FROM t WHERE {'id IN (SELECT id FROM t WHERE ' * n}id > 1{')' * n}",
}


@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED)
def test_what_is_nested_as_deep_as_may_be_is_read_by_polars(nested: Callable[[int], str]) -> None:
    """sqlglot and polars have limits of their own, which move with their versions: ours comes first."""
    allowed = [n for n in range(1, 40) if not find_sql_problems(nested(n), ["t"], {})]
    assert allowed == [*range(1, len(allowed) + 1)]
    assert 4 < len(allowed) < 39
    with pl.SQLContext({"t": pl.LazyFrame({"id": [1, 2]})}) as context:
        assert context.execute(bind_variables(nested(len(allowed)), {})).collect().height <= 2
    assert [problem.code for problem in find_sql_problems(nested(1500), ["t"], {})] == ["sql-too-big"]


def test_a_long_chain_is_not_nested() -> None:
    for sql in ("SELECT " + " + ".join(["id"] * 1500) + " AS x FROM t", " UNION ALL ".join(["SELECT id FROM t"] * 300)):
        assert find_sql_problems(sql, ["t"], {}) == []
        assert normalize_sql(bind_variables(sql, {}))


def test_a_query_with_problems_is_not_bound() -> None:
    with pytest.raises(ValueError, match="cannot be the name of a table or column"):
        bind_variables("SELECT * FROM ${quarter}", VARIABLES)


def test_blanks_comments_and_the_case_of_keywords_do_not_change_a_query() -> None:
    one = "select id, Sum(amount) as s from transactions -- all\n  where day>= DATE '2017-04-01' group by id;"
    other = "SELECT id,\n SUM(amount) AS s FROM transactions /* x */ WHERE day >= date '2017-04-01' GROUP BY id"
    assert normalize_sql(one) == normalize_sql(other)
    for changed in ("sum(Amount)", "sum(amount + 0)", "avg(amount)"):
        assert normalize_sql(one.replace("Sum(amount)", changed)) != normalize_sql(one)


def test_sqlglot_is_loaded_by_the_first_query_only() -> None:
    code = "import sys, engine.spec.sql; sys.exit(any(m in sys.modules for m in ('sqlglot', 'polars')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WORDS = (
    "SELECT FROM WHERE JOIN ON AS WITH UNION IN ( ) , ; ' \" ` -- /* */ * = t transactions ${day} ${x} $${ $ 1 'a' é"
)
PIECES = st.sampled_from([*WORDS.split(), " ", "\n", "read_csv('x')"])


@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=9).map("".join)))
def test_any_text_gives_problems_inside_it_or_is_bound(sql: str) -> None:
    found = find_sql_problems(sql, DATASETS, VARIABLES)
    for problem in found:
        assert 0 <= problem.offset <= len(sql)
        assert problem.length >= 1
        assert problem.code in DIAGNOSTIC_CODES
    read = list_tables(sql)
    list_columns(sql)
    if not found:
        assert read <= set(DATASETS)
        assert normalize_sql(bind_variables(sql, VARIABLES))
