"""Print tables of stored results: evaluations, runs, messages and check results."""

import re
from collections.abc import Mapping, Sequence

from engine.api import EvaluationStore, tabulation
from engine.api.lookup import unknown_name
from engine.api.result_table import ResultTable
from engine.cli.options import TableFormat
from engine.cli.tables import Page, format_with_interval, print_data
from engine.formatting.numbers import format_count
from engine.spec.metrics.catalogue import METRICS
from engine.spec.resources.checks import describe_inactive_checks

DEFAULT_ROWS = 20
"""Default maximum number of rows in a table for people (`--last`)."""

SHOWN_EVALUATIONS = 5
"""Default maximum number of evaluations side by side in a table with a row per metric (`--last`)."""

SHOWN_METRICS = 30
"""Maximum number of metrics in a table with a row per metric."""


def _name_columns(*names: str, **headers: str) -> dict[str, str]:
    """Return the headers of columns: their names unless another header is given; headers of moments name the zone."""
    moments = {name: f"{name} (UTC)" for name in ("started", "created", "scheduled", "since", "until")}
    return {name: headers.get(name, moments.get(name, name)) for name in names}


RUN_HEADERS = _name_columns("short", "scenario", "state", "started", "seconds", "trigger", "who", short="id")
OUTBOX_HEADERS = _name_columns(
    "short", "state", "created", "reporter", "channel", "to", "subject", "tries", "reason", short="id"
)
MUTE_HEADERS = _name_columns("target", "check", "state", "until", "by", "reason", "created", target="store or dataset")
PAUSE_HEADERS = _name_columns("scenario", "state", "until", "by", "reason", "created")
FIRE_HEADERS = _name_columns(
    "number", "scheduled", "local", "scenario", "trigger", "state", "run", "outcome", "attempt", "into", "late",
    "reason", "changed", local="in its zone",
)  # fmt: skip
REPORTER_HEADERS = _name_columns(
    "scenario", "reporter", "channel", "watches", "now", "since", "sent_at", sent_at="last message (UTC)"
)


def print_table(
    title: str,
    results: ResultTable,
    headers: Mapping[str, str],
    format_: TableFormat,
    *,
    sort: str | None = None,
    last: int | None = None,
    total: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print the newest rows of a table, sorted by `sort` if given.

    `total` is the number of existing rows, if the table holds only the newest of them.

    Raises
    ------
    UsageError
        The column to sort by does not exist.
    """
    if format_ == "text":
        results = add_short_ids(results)
    found = len(results.rows)
    shown = sort_rows(results.tail(last or (DEFAULT_ROWS if format_ == "text" else found)), sort)
    if format_ != "text":
        print_data(shown, format_)
        return
    page = Page()
    page.add_title(title)
    page.add_table(_join_metric_intervals(shown), headers, empty="nothing yet")
    if hidden := (total or found) - len(shown.rows):
        earlier = format_count(hidden, "earlier row")
        page.add_line(f"{earlier}: --last {hidden + len(shown.rows)} shows all", style="dim")
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


def sort_rows(results: ResultTable, sort: str | None) -> ResultTable:
    """Return the rows sorted as requested by `--sort`; raises UsageError if the column does not exist."""
    if sort is None:
        return results
    if (by := find_sort_column(sort, results)) is None:
        raise unknown_name("column", sort.removeprefix("-"), list(results.columns))
    return results.sort(by, descending=sort.startswith("-"))


def find_sort_column(sort: str, results: ResultTable) -> str | None:
    """Return the column named by `--sort`; the prefix `labels.` or `checks.` may be left out."""
    name = sort.removeprefix("-")
    return next((column for column in (name, f"labels.{name}", f"checks.{name}") if column in results.columns), None)


def add_short_ids(results: ResultTable) -> ResultTable:
    """Add the last part of the runs' ids, which suffices to name a run, and shorten those of bundles likewise."""
    if "release" in results.columns:
        shortened = [one and re.sub("([0-9a-f]{12})[0-9a-f]{52}$", r"\1", one) for one in results.values("release")]
        results = results.with_column("release", str, shortened)
    for long, short in (("id", "short"), ("run", "run")):
        if long in results.columns:
            last = [one and one.rpartition("-")[2] for one in results.values(long)]
            results = results.with_column(short, str, last)
    return results


def format_store_title(store: EvaluationStore) -> str:
    """Return the title of a store's table."""
    model = f"model {store.spec.model} on " if store.spec.model else ""
    inactive = describe_inactive_checks(store.spec.checks)
    return f"{store.name}: {model}dataset {store.spec.dataset}{f'; checks {inactive}' if inactive else ''}"


def select_columns(results: ResultTable, store: EvaluationStore) -> dict[str, str]:
    """Return the columns of a table of evaluations with their headers; ids only if names are not unique."""
    names = results.values("name")
    hidden = {
        "time.start",
        "time.end",
        "same_data_as",
        "infrastructure",
        *(["id"] if len(set(names)) == len(names) else []),
    }
    if "time" in results.columns and results.values("time") == names:
        hidden.add("time")
    shown = set(store.spec.display.checks) or set(store.spec.checks)
    columns = [name for name in results.columns if name not in hidden]
    # The ends of intervals are shown next to their metric.
    columns = [
        name for name in columns if not (name.startswith(("low.", "high.")) and name.partition(".")[2] in columns)
    ]
    columns = [name for name in columns if not name.startswith("checks.") or name.removeprefix("checks.") in shown]
    columns.sort(key=lambda name: {"name": 0, "origin": 1, "created": 3}.get(name, 2))
    return {name: name.removeprefix("labels.").removeprefix("checks.") for name in columns}


def list_metric_columns(results: ResultTable) -> list[str]:
    """Return the metric columns of a table of evaluations, without the ends of their intervals."""
    facts = ("labels.", "checks.", "low.", "high.", "time.")
    named = ("name", "time", "created", "rows", "id", "same_data_as", "superseded_by", *tabulation.DEPLOYED)
    return [name for name in results.columns if name not in named and not name.startswith(facts)]


def print_metric_rows(
    title: str,
    results: ResultTable,
    metrics: Sequence[str],
    *,
    sort: str | None = None,
    last: int | None = None,
    total: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print a table of evaluations with many metrics: a row per metric, sorted by the newest evaluation, worst first.

    `total` is the number of existing evaluations, if the table holds only the newest of them.

    Raises
    ------
    UsageError
        The column to sort by does not exist.
    """
    newest = sort_rows(results.tail(last or SHOWN_EVALUATIONS), sort)
    values = {name: newest.values(name) for name in metrics}
    last_values = {name: found[-1] for name, found in values.items() if found}
    known = sorted((name for name in metrics if last_values.get(name) is not None), key=lambda name: (
        last_values[name] if _is_worse_if_lower(name) else -last_values[name]))  # fmt: skip
    order = [*known, *(name for name in metrics if name not in known)]
    places = [f"{place}" for place in range(len(newest.rows))]
    rows = [{"metric": name, **dict(zip(places, values[name], strict=True))} for name in order[:SHOWN_METRICS]]
    page = Page()
    page.add_title(title)
    schema: dict[str, type] = {"metric": str, **dict.fromkeys(places, float)}
    names = dict(zip(reversed(places), reversed(newest.values("name")), strict=True))
    page.add_table(ResultTable(schema, rows), {"metric": "metric", **names})
    page.add_line("the worst of the newest evaluation first, which is on the left", style="dim")
    if len(order) > SHOWN_METRICS:
        page.add_line(f"{len(order) - SHOWN_METRICS} more metrics: --format csv and json show all", style="dim")
    if hidden := (total or len(results.rows)) - len(newest.rows):
        page.add_line(f"{hidden} earlier evaluations: --last {hidden + len(newest.rows)} shows all", style="dim")
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


def _is_worse_if_lower(metric: str) -> bool:
    statistic = metric.partition(".")[0]
    return any(one.name == statistic and one.worse == "lower" for one in METRICS if one.scope == "store")


def _join_metric_intervals(results: ResultTable) -> ResultTable:
    """Return a table of evaluations with `low.<metric>` and `high.<metric>` joined to the metric as one text."""
    for name in results.columns:
        low, high = f"low.{name}", f"high.{name}"
        if {low, high} <= results.columns.keys():
            sides = zip(results.values(name), results.values(low), results.values(high), strict=True)
            results = results.with_column(name, str, [format_with_interval(*row) for row in sides])
    return results
