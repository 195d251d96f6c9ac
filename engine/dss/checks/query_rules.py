"""Rules of datasets that no metric of the spec can express, as columns of a query: a dataset with a check for each.

They are rules on the most frequent values of a column, and rules that compare metrics of two datasets.
"""

import re
from dataclasses import dataclass
from typing import Any

from engine.connections.table_names import quote_name, quote_text
from engine.dss.checks.rules import Columns, read_allowed_values, read_columns
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.metrics.dss_names import find_own_name

_HOLDS = "holds"
_STATISTICS = {
    "row_count": "COUNT(*)",
    "min": "MIN({0})",
    "max": "MAX({0})",
    "mean": "AVG({0})",
    "sum": "SUM({0})",
    "median": "MEDIAN({0})",
    "std": "STDDEV({0})",
    "distinct_count": "COUNT(DISTINCT {0})",
    "missing_count": "COUNT(*) - COUNT({0})",
}
_OPERATORS = {
    **dict.fromkeys(("EQ", "EQUAL"), "="),
    **dict.fromkeys(("NE", "NEQ", "NOTEQUAL", "DIFFERENT"), "<>"),
    **dict.fromkeys(("GT", "GREATER", "GREATERTHAN"), ">"),
    **dict.fromkeys(("GE", "GTE", "GREATEROREQUAL", "GREATERTHANOREQUAL"), ">="),
    **dict.fromkeys(("LT", "LESS", "LESSTHAN", "LOWER", "LOWERTHAN"), "<"),
    **dict.fromkeys(("LE", "LTE", "LESSOREQUAL", "LESSTHANOREQUAL", "LOWEROREQUAL", "LOWERTHANOREQUAL"), "<="),
}
"""The comparisons, by their names reduced to capital letters; how DSS writes them is not documented."""

QUERY_RULES = frozenset({"TopValuesInSetRule", "ModeValueInSetRule", "CompareMetricsRule"})


@dataclass(frozen=True, slots=True)
class QueryRule:
    """A rule as a query with the column `holds`, which is 1 or 0: its name, its object, and its report line."""

    name: str
    sql: str
    source: JsonObject
    line: ObjectLine


def translate_query_rule(
    state: ImportState, one: JsonObject, dataset: str, columns: Columns, label: str, line: ObjectLine
) -> list[QueryRule]:
    """Return the queries for a rule, one for each column; if there are none, the rule is reported as left out."""
    if one.get_text("type") == "CompareMetricsRule":
        query = _compare_metrics(state, one, dataset, line)
        return [QueryRule(label, query, one, line)] if query else []
    queries = _check_frequent_values(one, dataset, columns, line)
    several = len(queries) > 1
    return [QueryRule(f"{label} {name}" if several else label, sql, one, line) for name, sql in queries.items()]


def declare_query_rules(state: ImportState, dataset: str, rules: list[QueryRule]) -> None:
    """Declare one dataset of kind query for the rules of a dataset, with a check for each.

    Reading it reads the dataset too, and applies the checks of both: so steps check it instead of the dataset.
    """
    name = state.names.add_target("datasets", f"{dataset}/rules", f"{dataset} rules")
    checks: dict[str, Part] = {}
    for number, rule in enumerate(rules, 1):
        label = make_name(rule.name, checks, "check")
        active = None if rule.source.get_flag("enabled", default=True) else False
        checks[label] = Part(rule.source.place, {"metric": f"min.{_HOLDS}_{number}", "min": 1, "active": active})
        rule.line.target = f"datasets.{name}.checks.{label}"
        rule.line.note(f"it is a column of the query {name}, which steps check in place of the dataset")
    selected = ", ".join(f"rule_{number}.{_HOLDS} AS {_HOLDS}_{number}" for number, _ in enumerate(rules, 1))
    sources = "\nCROSS JOIN ".join(f"({rule.sql}) AS rule_{number}" for number, rule in enumerate(rules, 1))
    sql = f"SELECT {selected}\nFROM {sources}"
    part = Part("", {"kind": "query", "sql": sql, "checks": checks})
    part.comments.append(f"the rules of {dataset} that are queries")
    state.sections["datasets"][name] = part
    state.queries_of_dataset[dataset] = name


def _check_frequent_values(one: JsonObject, dataset: str, columns: Columns, line: ObjectLine) -> dict[str, str]:
    """Return, by column, the query that tells whether its most frequent values are in the set."""
    top = 1 if one.get_text("type") == "ModeValueInSetRule" else one.get_whole("topN") or 0
    allowed = read_allowed_values(one, columns, line)
    if line.reason is None and not 1 <= top <= 1_000_000:
        line.leave_out("how many values are looked at is not between 1 and 1,000,000")
    if line.reason is not None:
        return {}
    queries = {}
    for name in read_columns(one, line):
        column, values = quote_name(name), ", ".join(map(_quote_value, allowed[name]))
        frequent = (
            f"SELECT {column} FROM {quote_name(dataset)} WHERE {column} IS NOT NULL "  # noqa: S608 # quoted names
            f"GROUP BY {column} ORDER BY COUNT(*) DESC, {column} LIMIT {top}"
        )
        queries[name] = (
            f"SELECT CASE WHEN COUNT(*) = 0 THEN 1 ELSE 0 END AS {_HOLDS} FROM ({frequent}) AS frequent "  # noqa: S608 # quoted values
            f"WHERE {column} NOT IN ({values})"
        )
    return queries


def _compare_metrics(state: ImportState, one: JsonObject, dataset: str, line: ObjectLine) -> str:
    """Return the query that compares two metrics; empty if there is none, and the rule is reported as left out."""
    written = re.sub("[^A-Z]", "", one.get_text("operator").upper()).removesuffix("TO").replace("EQUALS", "EQUAL")
    operator = _OPERATORS.get(written)
    other = state.names.find_target(one.get_text("datasetBName", "datasetB") or dataset, "datasets")
    first = _write_value(one.get_text("metricId", "metricAId"), dataset)
    second = _write_value(one.get_text("metricBId"), other) if other else ""
    if operator is None:
        line.leave_out(f"its operator {one.get_text('operator')[:40] or '(none)'} is not known: write a query")
    elif not other:
        line.leave_out("the dataset that it compares with is not in the spec")
    elif not (first and second):
        line.leave_out("one of its metrics cannot be written as a query")
    else:
        return (
            f"SELECT CASE WHEN a.found {operator} b.found THEN 1 ELSE 0 END AS {_HOLDS} "  # noqa: S608 # quoted names
            f"FROM ({first}) AS a CROSS JOIN ({second}) AS b"
        )
    return ""


def _write_value(id_: str, dataset: str) -> str:
    """Return the query for a metric of a dataset, as the column `found`; empty if there is none."""
    statistic, column = find_own_name(id_, "dataset") or ("", None)
    value = _STATISTICS.get(statistic, "").replace("{0}", quote_name(column or ""))
    if not value:
        return ""
    return f"SELECT {value} AS found FROM {quote_name(dataset)}"  # noqa: S608 # a quoted name


def _quote_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else quote_text(str(value))
