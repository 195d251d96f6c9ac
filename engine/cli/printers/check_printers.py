"""Print the results of checks, and their results for all stored evaluations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from engine.api import tabulation
from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.printers.table_printers import print_table
from engine.cli.tables import Page, render_json, to_records
from engine.evaluation.checks.counts import PassedChecks, sort_by_severity
from engine.evaluation.evaluation_json import check_to_json
from engine.evaluation.record import CheckResult, Evaluation
from engine.formatting.moments import format_second
from engine.formatting.numbers import format_count
from engine.outcome import CheckOutcome
from engine.store import CheckPoint, utc_now

SHOWN_RESULTS = 30
"""Maximum number of check results on a page for people."""

OUTCOME_HEADERS = {
    "outcome": "outcome",
    "check": "check",
    "metric": "metric",
    "value": "value",
    "bounds": "range",
}
REASON_HEADER = {"reason": "reason"}
CHECK_HEADERS = {"evaluation": "evaluation", **OUTCOME_HEADERS, "created": "when (UTC)", **REASON_HEADER, "run": "run"}
REPLAY_HEADERS = {
    **{name: name for name in ("check", "settings")},
    "bounds": "range",
    "error": "ERROR",
    "warning": "WARNING",
    "empty": "EMPTY",
    "not_measured": "not measured",
    "ok": "OK",
    **{name: name for name in ("first", "last", "metrics")},
}


def print_checks(
    target: str, evaluation: Evaluation | None, found: Sequence[CheckResult], format_: Literal["text", "json"]
) -> None:
    """Print the results of checks that were just applied to a dataset or an evaluation."""
    if format_ == "json":
        print_json(render_json([check_to_json(result) for result in found]))
        return
    page = Page()
    counts = Counter((result.outcome, " (muted)" if result.muted else "") for result in found)
    by_severity = sorted(counts.items(), key=lambda pair: list(CheckOutcome).index(pair[0][0]), reverse=True)
    subject = f"{target}, evaluation {_name_with_time(evaluation)}" if evaluation else target
    page.add_title(f"{subject}: {', '.join(f'{n} {outcome}{muted}' for (outcome, muted), n in by_severity)}")
    add_outcomes(found, page)
    page.print()


def _name_with_time(evaluation: Evaluation) -> str:
    """Return the name of an evaluation, and its time if the name does not contain it."""
    made = format_second(evaluation.created)
    return evaluation.name if made.startswith(evaluation.name) else f"{evaluation.name} of {made}"


def add_outcomes(results: Sequence[CheckResult], page: Page) -> None:
    """Add the results of checks, the most severe first, and those that count as OK without a measurement."""
    passed = PassedChecks.select(results)
    if passed.unmeasured:
        page.add_line(f"OK: {passed.count()}")
    now = utc_now()
    points = [CheckPoint(None, now, result) for result in sort_by_severity(results)]
    # Results that count as OK without a value come before those that are OK.
    collapsed = collapse_passed(tabulation.tabulate_checks(points, {}))
    rows = sorted(collapsed.rows, key=lambda row: row["outcome"] == "OK")
    page.add_table(
        replace(collapsed, rows=rows[:SHOWN_RESULTS]), OUTCOME_HEADERS | REASON_HEADER, empty="none was applied"
    )
    if len(rows) > SHOWN_RESULTS:
        page.add_line(f"{len(rows) - SHOWN_RESULTS} more results: --format json shows all", style="dim")


def print_check_history(
    title: str, results: ResultTable, format_: TableFormat, *, sort: str | None, last: int | None
) -> None:
    """Print the newest results of the checks of a store or a dataset."""
    shown = collapse_passed(results) if format_ == "text" else results
    print_table(title, shown, CHECK_HEADERS, format_, sort=sort, last=last)


def collapse_passed(results: ResultTable) -> ResultTable:
    """Collapse the OK metrics of a wildcard check into one row; other outcomes keep one row each."""
    groups: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for place, row in enumerate(results.rows):
        applied = (row["created"], row["evaluation_id"], row["check"])
        groups.setdefault(applied if row["outcome"] == "OK" else (place,), []).append(row)
    return replace(results, rows=[_join_passed(rows) for rows in groups.values()])


def _join_passed(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if len(rows) == 1:
        return rows[0]
    explained = [row for row in rows if row["reason"] is not None]
    reason = None
    if explained:
        first = explained[0]
        reason = f"{len(explained)} of them, such as {first['metric']}, {first['reason']}"
    bounds = {row["bounds"] for row in rows}
    joined = {"metric": f"{len(rows)} metrics", "value": None, "reason": reason}
    return {**rows[0], **joined, "bounds": rows[0]["bounds"] if len(bounds) == 1 else None}


def print_replay(target: str, replayed: ResultTable, format_: Literal["text", "json"]) -> None:
    """Print the results of checks for all stored evaluations: one row per check, and one for its tried settings."""
    if format_ == "json":
        print_json(render_json({"target": target, "checks": to_records(replayed)}))
        return
    page = Page()
    if not replayed.rows:
        page.add_title(f"{target} has no checks; declare some under its key checks:")
        page.print()
        return
    number = replayed.rows[0]["evaluations"]
    page.add_title(f"{target}: the checks applied to {format_count(number, 'stored evaluation')}")
    shown = replayed
    if any(replayed.values("tried")):
        shown = shown.with_column("settings", str, ["tried" if one else "declared" for one in replayed.values("tried")])
    for name in ("empty", "not_measured"):
        shown = shown.with_column(name, int, [count or None for count in replayed.values(name)])
    page.add_table(shown, REPLAY_HEADERS)
    for row in replayed.rows:
        without = row["empty"] + row["not_measured"]
        if without and not row["tried"] and row["reason"] is not None:
            page.add_line(f"{row['check']} had no value in {without} of {number}: {row['reason']}", style="dim")
    page.add_line(
        "first, last: evaluations in which the check counts as WARNING or ERROR; nothing was recorded", style="dim"
    )
    page.print()
