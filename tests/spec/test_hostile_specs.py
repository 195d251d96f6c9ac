"""Specs that are as large or as deeply nested as can be: each is validated soon, or refused with what is allowed."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import SpecError
from engine.spec import load
from engine.spec.sql.parsing import read_query

HEAD = "version: 1\nproject: p\ndatasets:\n  a: {path: a.csv}\n"
CONDITION = "scenarios:\n  s:\n    steps:\n      - {name: one, kind: build, target: a, run_condition: '%s'}\n"


def nested(opening: str, closing: str, levels: int) -> str:
    """Return a query with so many levels of the same."""
    return f"SELECT {opening * levels}1{closing * levels} AS x FROM a"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (nested("DATE(", ")", 25), "named like a type"),
        (nested("ROW(", ")", 25), "named like a type"),
        (nested("STRUCT(", ")", 25), "named like a type"),
        (nested("(", ")", 5_000), "nested too deeply; at most 30"),
        (nested("ABS(", ")", 3_000), "nested too deeply; at most 30"),
        (nested("CASE WHEN id > 1 THEN ", " END", 300), "nested too deeply; at most 30"),
        ("SELECT id" + "[1]" * 5_000 + " FROM a", "nested too deeply; at most 30"),
        ("SELECT * FROM a WHERE " + "NOT " * 3_000 + "true", "nested too deeply; at most 30"),
        ("SELECT " + "1, " * 10_000 + "1 FROM a", "at most 20000 are allowed"),
    ],
)
def test_sql_that_no_parser_reads_in_time_is_refused_with_the_bound(sql: str, said: str) -> None:
    (problem,) = read_query(sql).problems
    assert problem.code == "sql-too-big"
    assert said in problem.message


@pytest.mark.parametrize(
    "sql",
    [
        nested("DATE(", ")", 8),
        " UNION ALL ".join(["SELECT id FROM a"] * 700),
        "SELECT * FROM a WHERE " + " AND ".join(f"id > {one}" for one in range(1_000)),
        "SELECT * FROM a WHERE id IN (" + ", ".join(map(str, range(3_000))) + ")",
        "SELECT " + ", ".join(f"CAST(id AS DECIMAL(10, 2)) + DATE(day) AS c{one}" for one in range(300)) + " FROM a",
        "SELECT " + ", ".join(f"m[1][2][3] AS c{one}" for one in range(500)) + " FROM a",
        "SELECT * FROM a WHERE code SIMILAR TO '" + "[0-9]" * 40 + "'",
        "WITH c0 AS (SELECT * FROM a)"
        + "".join(f", c{one} AS (SELECT * FROM c{one - 1})" for one in range(1, 400))
        + " SELECT * FROM c399",
    ],
)
def test_long_sql_that_is_not_nested_is_valid(sql: str) -> None:
    assert read_query(sql).problems == ()


def chain_of_queries(length: int) -> str:
    """Return a spec in which each query reads the one before."""
    lines = [f"  q{one}: {{kind: query, sql: SELECT * FROM q{one - 1}}}\n" for one in range(1, length)]
    return HEAD + "  q0: {kind: query, sql: SELECT * FROM a}\n" + "".join(lines)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (chain_of_queries(101), "sql-too-big"),
        (chain_of_queries(1_000), "sql-too-big"),
        (chain_of_queries(999).replace("FROM a", "FROM q998"), "cycle"),
        ("variables:\n" + "".join(f"  v{i}: '${{v{i + 1}}}'\n" for i in range(5_000)) + "  v5000: 1\n" + HEAD,
         "variable-cycle"),
        ("variables:\n  v0: aaaaaaaaaa\n"
         + "".join(f"  v{i}: '${{v{i - 1}}}${{v{i - 1}}}'\n" for i in range(1, 60)) + HEAD, "variable-value"),
        (HEAD + "description: " + "[" * 50_000, "yaml-depth"),
        (HEAD + "description: " + "{a: " * 5_000 + "}" * 5_000, "yaml-depth"),
        ("x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
         + "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]\n" for i in range(1, 9)) + HEAD, "yaml-alias"),
        (HEAD + "".join(f"  d{i}:\n    path: a.csv\n    columns:\n      x: {{}}\n" for i in range(25_000)),
         "file"),
        (HEAD + CONDITION % " && ".join(["outcome == SUCCESS"] * 10_000), "condition-too-big"),
        (HEAD + CONDITION % ("!" * 5_000 + "true"), "condition-too-big"),
        (HEAD + "channels: {f: {kind: file, path: o}}\nscenarios:\n  s:\n    reporters:\n"
         "      - {name: r, channel: f, message: '" + "${" * 50_000 + "'}\n", "malformed-reference"),
        (HEAD + "description: " + "9" * 200_000, "yaml-number"),
    ],
    ids=[
        "queries", "many queries", "circle of queries", "variables", "doubling variables", "lists", "mappings",
        "aliases", "large file", "condition", "negations", "references", "number",
    ],  # the texts would become names of tests, which are too long for an environment variable
)  # fmt: skip
def test_what_is_too_deep_or_too_long_is_reported(text: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.yaml")
    assert code in {one.code for one in caught.value.diagnostics}


@pytest.mark.parametrize(
    "text",
    [
        chain_of_queries(100),
        HEAD + "".join(f"  d{i}: {{path: a.csv}}\n" for i in range(10_000)),
        HEAD + "# comment\n" * 90_000,
        HEAD + "".join(f"  q{i}: {{kind: query, sql: SELECT {i} AS x FROM a}}\n" for i in range(500)),
        HEAD.replace(
            "}", ", checks: {" + ", ".join(f"c{i}: {{metric: mean.c{i}, min: 1}}" for i in range(5_000)) + "}}"
        ),
        HEAD.replace("}", ", checks: {c: {metric: 'mean." + '""' * 10_000 + "', min: 1}}}"),
    ],
    ids=["chain of queries", "datasets", "comments", "queries", "checks", "quotes"],
)
def test_large_specs_are_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    code = "import sys, time; from engine.spec import load; load(sys.argv[1]); print(time.process_time())"
    command = [sys.executable, "-c", code, str(tmp_path / "spec.yaml")]
    assert float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 10
