"""Datasets of kind query: SQL over declared datasets, planned by polars."""

import re
import subprocess
import sys
from datetime import datetime, time
from pathlib import Path

import polars as pl
import pytest

from engine.data import explain_read_errors, verify_contract
from engine.errors import DataError

TRANSACTIONS = {"path": "transactions.parquet"}
CARDS = {"path": "cards.parquet"}


@pytest.fixture(autouse=True)
def _files(tmp_path):
    pl.DataFrame(
        {"card_id": [1, 2, 2, 3], "amount": [1.0, 2.0, None, 4.0], "day": ["2017-01-01", "2017-02-01", "x", None]}
    ).write_parquet(tmp_path / "transactions.parquet")
    pl.DataFrame({"card_id": [1, 2], "age": [30, 40]}).write_parquet(tmp_path / "cards.parquet")


def query(sql, **rest):
    return {"kind": "query", "sql": sql, **rest}


def test_queries_join_datasets_and_other_queries(project):
    datasets = project(
        {
            "transactions": TRANSACTIONS,
            "card holders": CARDS,
            "joined": query('SELECT t.*, c.age FROM transactions t JOIN "card holders" c ON t.card_id = c.card_id'),
            "old": query("SELECT age, COUNT(*) AS n FROM joined WHERE age > 30 GROUP BY age"),
        }
    )
    table = datasets.open("old")
    assert table.frame.collect().rows() == [(40, 2)]
    assert list(table.lineage()) == ["card holders", "transactions", "joined", "old"]


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT SUM(cents) AS n FROM narrow", [(6_000_000_000,)]),
        (
            "SELECT shop, SUM(cents) AS n FROM narrow GROUP BY shop ORDER BY shop",
            [(1, 4_000_000_000), (2, 2_000_000_000)],
        ),
        ("SELECT TOTAL(cents) AS n FROM narrow", [(6_000_000_000,)]),
        ("SELECT CAST(LENGTH('abc') AS BIGINT) - 5 AS n FROM narrow LIMIT 1", [(-2,)]),
        ("SELECT LENGTH('abc') - 5 AS n FROM narrow LIMIT 1", [(-2,)]),
        ("SELECT MAX(char_length ('abc')) - 5 AS n FROM narrow", [(-2,)]),
        ("SELECT STRPOS('(x', 'y') - 1 AS n, 'LENGTH(' AS t FROM narrow LIMIT 1", [(-1, "LENGTH(")]),
        (
            "SELECT POSITION('y' IN 'xyz') - LENGTH('((x' || SUBSTR('ab', LENGTH('a'))) AS n FROM narrow LIMIT 1",
            [(-3,)],
        ),
        ("SELECT EXTRACT(DAY FROM DATE '2026-11-30') * 10 AS n FROM narrow LIMIT 1", [(300,)]),
        ("SELECT EXTRACT(EPOCH FROM day) + 0.5 AS n FROM narrow LIMIT 1", [(86400.75,)]),
        ("SELECT EXTRACT(TIME FROM day) AS t, shop - 2 AS n FROM narrow WHERE shop = 2", [(time(0, 0, 0, 250_000), 0)]),
        (
            "SELECT DAY(day) AS d, SUM(shop) AS n FROM narrow GROUP BY DAY(day) HAVING DAY(day) > 1 ORDER BY DAY(day)",
            [(2, 4)],
        ),
        ("SELECT id - 3 AS n FROM narrow ORDER BY n", [(-2,), (-1,), (0,)]),
        ("SELECT -a AS n FROM (SELECT id AS a FROM narrow) ORDER BY n", [(-3,), (-2,), (-1,)]),
        ("SELECT a.id - b.key AS n FROM narrow a JOIN narrow b ON a.id = b.key ORDER BY n", [(0,), (0,), (0,)]),
        ("SELECT big, shop - 2 AS n FROM narrow WHERE shop = 2", [(2**64 - 1, 0)]),
        ("SELECT 2 * cents AS n FROM narrow WHERE shop = 2", [(4_000_000_000,)]),
        ("SELECT shop - 2 AS n FROM narrow ORDER BY n", [(-1,), (-1,), (0,)]),
        ("SELECT -shop AS n FROM narrow ORDER BY n", [(-2,), (-1,), (-1,)]),
        ("SELECT COUNT(*) AS n FROM narrow WHERE shop - 2 > 5", [(0,)]),
        (
            "WITH t AS (SELECT cents AS c FROM narrow) SELECT POW(c, 2) AS n FROM t LIMIT 1",
            [(4_000_000_000_000_000_000,)],
        ),
    ],
)
def test_whole_numbers_do_not_wrap(project, tmp_path, sql, rows):
    pl.DataFrame(
        {
            "shop": [1, 1, 2],
            "cents": [2_000_000_000] * 3,
            "id": [1, 2, 3],
            "key": [1, 2, 3],
            "big": [2**64 - 1] * 3,
            "day": [datetime(1970, 1, 2, 0, 0, 0, 250_000)] * 3,
        },
        schema={
            "shop": pl.UInt8,
            "cents": pl.Int32,
            "id": pl.UInt64,
            "key": pl.UInt64,
            "big": pl.UInt64,
            "day": pl.Datetime("us"),
        },
    ).write_parquet(tmp_path / "narrow.parquet")
    datasets = project({"narrow": {"path": "narrow.parquet"}, "q": query(sql)})
    assert datasets.open("q").frame.collect().rows() == rows


def test_an_unsigned_number_that_a_query_cannot_compute_with_is_an_error(project, tmp_path):
    frame = pl.DataFrame({"id": [1, 2**63]}, schema={"id": pl.UInt64})
    frame.write_parquet(tmp_path / "ids.parquet")
    table = project({"ids": {"path": "ids.parquet"}, "q": query("SELECT id - 3 AS n FROM ids")}).open("q")
    with (
        pytest.raises(DataError, match="of column 'id' cannot be converted from UInt64 to Int64"),
        explain_read_errors(table),
    ):
        table.frame.collect()


def test_a_query_that_does_not_compute_keeps_the_types(project, tmp_path):
    pl.DataFrame({"shop": [1, 2]}, schema={"shop": pl.UInt8}).write_parquet(tmp_path / "narrow.parquet")
    datasets = project(
        {"narrow": {"path": "narrow.parquet"}, "q": query("SELECT * FROM narrow WHERE shop > -1 AND shop < 9")}
    )
    assert datasets.open("q").frame.collect_schema() == {"shop": pl.UInt8}


def test_variables_are_typed_literals(project):
    datasets = project(
        {
            "transactions": TRANSACTIONS,
            "t": query("SELECT * FROM transactions WHERE card_id >= ${least} AND day = ${day}"),
        },
        variables={"least": 2, "day": {"type": "text", "value": "x' OR '1' = '1"}},
    )
    assert datasets.open("t").frame.collect().height == 0


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT amout FROM transactions", "there is no column 'amout'; did you mean 'amount'?"),
        ("SELECT t.amout FROM transactions t", "no column named 'amout' found in table 't'; did you mean 'amount'?"),
        ("SELECT SUM(day) FROM transactions", "`sum` operation not supported for dtype `str`"),
        ("SELECT *, amount FROM transactions", "projections contained duplicate output name 'amount'"),
    ],
)
def test_sql_that_cannot_be_planned(project, sql, said):
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        project({"transactions": TRANSACTIONS, "q": query(sql)}).open("q")
    assert str(caught.value).startswith("dataset 'q': its SQL is not valid: ")
    assert "Resolved plan" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "SELECT CAST(day AS DATE) AS day FROM transactions",
            "1 of 2 values of column 'day' cannot be converted from text to date",
        ),
        (
            "SELECT * FROM transactions WHERE CAST(day AS INTEGER) > 3",
            "values of column 'day_min' cannot be converted from text to integer",
        ),
    ],
)
def test_sql_that_fails_when_it_runs(project, sql, said):
    datasets = project({"transactions": TRANSACTIONS, "q": query(sql)})
    table = datasets.open("q")
    with pytest.raises(DataError, match=f"dataset 'q' cannot be read: .*{re.escape(said)}"), explain_read_errors(table):
        table.frame.collect()


QUERIES = """\
version: 1
project: p
datasets:
  t: {path: transactions.parquet}
  missing:
    kind: query
    sql: |
      SELECT day,
        nope
      FROM t
  cast:
    kind: query
    sql: |
      SELECT card_id,
        CAST(day AS INTEGER) AS number
      FROM t
    checks: {c: {metric: mean.number, max: 1}}
  twice: {kind: query, sql: "SELECT *, card_id FROM t", checks: {c: {metric: row_count, max: 1}}}
"""


def test_an_error_of_a_query_tells_where_in_the_spec_it_stands(tmp_path):
    (tmp_path / "p.yaml").write_text(QUERIES)
    engine = Path(sys.executable).with_name("engine")
    done = subprocess.run([engine, "run", "p.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    failed = [line for line in done.stderr.splitlines() if "FAILED: " in line]
    assert [re.findall(r"dataset '(\w+)'.* \(p.yaml:(\d+:\d+)\)$", line) for line in failed] == [
        [("missing", "9:9")],
        [("cast", "15:14")],
        [("twice", "18:29")],
    ]


def test_a_file_that_cannot_be_read_is_blamed_through_the_query(project, tmp_path):
    (tmp_path / "late.csv").write_text("card_id\n" + "1\n" * 20_000 + "x\n")
    datasets = project({"late": {"path": "late.csv"}, "q": query("SELECT SUM(card_id) AS n FROM late")})
    table = datasets.open("q")
    with (
        pytest.raises(DataError, match=r"dataset 'late': .*late.csv, column 'card_id' .* line 20002 holds 'x'"),
        explain_read_errors(table),
    ):
        table.frame.collect()


def test_the_inputs_of_a_query_can_be_held_to_their_contracts(project):
    datasets = project(
        {
            "transactions": {**TRANSACTIONS, "columns": {"amount": {"max": 3}}},
            "q": query("SELECT card_id FROM transactions"),
        }
    )
    table = datasets.open("q").lineage()["transactions"]
    with pytest.raises(
        DataError,
        match=r"'transactions' .*column 'amount': 1 of 4 values is above max 3: row 4 of transactions.parquet \(4.0\)",
    ):
        verify_contract(table)


def test_the_entity_is_inherited_where_there_is_one_and_the_query_keeps_it(project):
    datasets = project(
        {
            "transactions": {**TRANSACTIONS, "entity": "card_id"},
            "cards": CARDS,
            "holders": {**CARDS, "entity": "age"},
            "filtered": query("SELECT * FROM transactions WHERE amount > 1"),
            "twice": query("SELECT amount, card_id FROM filtered"),
            "dropped": query("SELECT amount FROM transactions"),
            "joined": query("SELECT t.*, c.age FROM transactions t JOIN cards c ON t.card_id = c.card_id"),
            "unclear": query("SELECT t.*, c.age FROM transactions t JOIN holders c ON t.card_id = c.card_id"),
            "declared": query(
                "SELECT t.*, c.age FROM transactions t JOIN holders c ON t.card_id = c.card_id", entity="age"
            ),
        }
    )
    entities = {
        name: datasets.open(name).entity for name in ("filtered", "twice", "dropped", "joined", "unclear", "declared")
    }
    assert entities == {
        "filtered": "card_id",
        "twice": "card_id",
        "dropped": None,
        "joined": "card_id",
        "unclear": None,
        "declared": "age",
    }


def test_a_querys_fingerprint_is_that_of_its_meaning_and_its_inputs(project, tmp_path):
    def fingerprint(sql, name="q", **variables):
        return project({"transactions": TRANSACTIONS, name: query(sql)}, variables=variables).open(name).fingerprint

    one = fingerprint("SELECT card_id FROM transactions WHERE amount > 1")
    assert fingerprint("select   card_id\nfrom transactions -- all\nwhere amount > 1", name="other") == one
    assert fingerprint("SELECT card_id FROM transactions WHERE amount > ${least}", least=1) == one
    assert fingerprint("SELECT card_id FROM transactions WHERE amount > ${least}", least=2) != one
    pl.DataFrame({"card_id": [1], "amount": [2.0]}).write_parquet(tmp_path / "transactions.parquet")
    assert fingerprint("SELECT card_id FROM transactions WHERE amount > 1") != one


def test_other_variables_share_what_is_known(project, tmp_path):
    (tmp_path / "made.py").write_text(
        "import polars as pl\nfrom pathlib import Path\ndef rows():\n"
        "    with Path(__file__).with_name('calls').open('a') as log:\n        log.write('x')\n"
        "    return pl.DataFrame({'a': [1, 2, 3]})\n"
    )
    datasets = project(
        {"made": {"kind": "python", "function": "made:rows"}, "q": query("SELECT * FROM made WHERE a >= ${least}")},
        variables={"least": 1},
    )
    counts = []
    for least in (1, 2, 3):
        turn = datasets.with_project(datasets.project.with_variables({"least": least}))
        counts.append(turn.open("q").frame.collect().height)
    assert counts == [3, 2, 1]
    assert (tmp_path / "calls").read_text() == "x"
