"""Prints the results of checks, and what they give for all that is stored."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import polars as pl

from engine.api import tabulation
from engine.cli.json_output import print_json
from engine.cli.tables import Page, render_json, to_records
from engine.evaluation.check_counts import PassedChecks, sort_by_severity
from engine.evaluation.evaluation_json import check_to_json
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome
from engine.store import CheckPoint, utc_now

SHOWN_RESULTS = 30
"""Results of checks that a page for people shows."""

OUTCOME_HEADERS = {
    "outcome": "outcome",
    "check": "check",
    "metric": "metric",
    "value": "value",
    "bounds": "range",
}
REASON_HEADER = {"reason": "reason"}
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


def print_checks(target: str, found: Sequence[CheckResult], format_: Literal["text", "json"]) -> None:
    """Print the results of checks that have just been applied."""
    if format_ == "json":
        print_json(render_json([check_to_json(result) for result in found]))
        return
    page = Page()
    counts = Counter((result.outcome, " (muted)" if result.muted else "") for result in found)
    by_severity = sorted(counts.items(), key=lambda pair: list(CheckOutcome).index(pair[0][0]), reverse=True)
    page.add_title(f"{target}: {', '.join(f'{n} {outcome}{muted}' for (outcome, muted), n in by_severity)}")
    add_outcomes(found, page)
    page.print()


def add_outcomes(results: Sequence[CheckResult], page: Page) -> None:
    """Add the results of checks, the most severe first, and what counts as OK without having been measured."""
    passed = PassedChecks.select(results)
    if passed.unmeasured:
        page.add_line(f"OK: {passed.count()}")
    now = utc_now()
    points = [CheckPoint(None, now, result) for result in sort_by_severity(results)]
    # What counts as OK without a value comes before what is OK.
    shown = collapse_passed(tabulation.tabulate_checks(points, {}).to_frame()).sort(
        pl.col("outcome") == "OK", maintain_order=True
    )
    page.add_table(shown.head(SHOWN_RESULTS), OUTCOME_HEADERS | REASON_HEADER)
    if shown.height > SHOWN_RESULTS:
        page.add_line(f"{shown.height - SHOWN_RESULTS} more results: --format json shows all", style="dim")


def collapse_passed(checks: pl.DataFrame) -> pl.DataFrame:
    """Collapse the metrics of a wildcard check that are OK into one row; other outcomes keep one row each."""
    # Rows get a group number; all OK rows of one application of a check get that of the first.
    first = pl.col("place").min().over("created", "evaluation_id", "check", "outcome")
    several = pl.col("several") > 1
    return (
        checks.with_row_index("place")
        .with_columns(place=pl.when(pl.col("outcome") == "OK").then(first).otherwise("place"))
        .group_by("place", maintain_order=True)
        .agg(
            pl.exclude("reason").first(),
            pl.col("reason").drop_nulls().first(),
            pl.len().alias("several"),
            pl.col("bounds").n_unique().alias("ranges"),
            pl.col("reason").count().alias("explained"),
            pl.col("metric").filter(pl.col("reason").is_not_null()).first().alias("example"),
        )
        .with_columns(
            metric=pl.when(several).then(pl.format("{} metrics", "several")).otherwise("metric"),
            value=pl.when(several.not_()).then("value"),
            reason=pl.when(several & (pl.col("explained") > 0))
            .then(pl.format("{} of them, such as {}, {}", "explained", "example", "reason"))
            .otherwise("reason"),
            bounds=pl.when(pl.col("ranges") == 1).then("bounds"),
        )
    )


def print_replay(target: str, replayed: pl.DataFrame, format_: Literal["text", "json"]) -> None:
    """Print what checks give for all that is stored: one row per check, and one for its tried settings."""
    if format_ == "json":
        print_json(render_json({"target": target, "checks": to_records(replayed)}))
        return
    page = Page()
    if replayed.is_empty():
        page.add_title(f"{target} has no checks; declare some under its key checks:")
        page.print()
        return
    number = replayed["evaluations"][0]
    page.add_title(f"{target}: the checks applied to {number} stored {'evaluation' if number == 1 else 'evaluations'}")
    shown = replayed.with_columns(
        pl.when("tried").then(pl.lit("tried")).otherwise(pl.lit("declared")).alias("settings"),
        *(pl.when(pl.col(name) > 0).then(name) for name in ("empty", "not_measured")),
    )
    page.add_table(shown if replayed["tried"].any() else shown.drop("settings"), REPLAY_HEADERS)
    for row in replayed.filter(~pl.col("tried"), pl.col("reason").is_not_null()).iter_rows(named=True):
        without = row["empty"] + row["not_measured"]
        if without:
            page.add_line(f"{row['check']} had no value in {without} of {number}: {row['reason']}", style="dim")
    page.add_line(
        "first, last: evaluations in which the check counts as WARNING or ERROR; nothing was recorded", style="dim"
    )
    page.print()
