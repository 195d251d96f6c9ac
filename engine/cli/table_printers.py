"""Prints tables of stored results: evaluations, runs, messages and results of checks."""

from collections.abc import Mapping, Sequence

import polars as pl

from engine.api import EvaluationStore, frames
from engine.api.lookup import unknown_name
from engine.cli.check_printers import OUTCOME_HEADERS, REASON_HEADER, collapse_passed
from engine.cli.options import TableFormat
from engine.cli.tables import Page, format_with_interval, print_data
from engine.spec.metric_names import METRICS
from engine.spec.resources.checks import describe_inactive_checks

DEFAULT_ROWS = 20
"""Rows of a table for people, unless `--last` is given."""

SHOWN_EVALUATIONS = 5
"""Evaluations beside each other in a table with a row per metric, unless `--last` is given."""

SHOWN_METRICS = 30
"""Metrics in a table with a row per metric."""


def _name_columns(*names: str, **headers: str) -> dict[str, str]:
    """Return the headers of columns: their names, unless another header is given; those of moments say the zone."""
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
CHECK_HEADERS = {"evaluation": "evaluation", **OUTCOME_HEADERS, "created": "when (UTC)", **REASON_HEADER, "run": "run"}


def print_table(
    title: str,
    frame: pl.DataFrame,
    headers: Mapping[str, str],
    format_: TableFormat,
    *,
    sort: str | None = None,
    last: int | None = None,
    total: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print the newest rows of a table, sorted by `sort` if given.

    `total` is the number of rows that there are, if the frame holds only the newest of them.

    Raises
    ------
    UsageError
        The column to sort by does not exist.
    """
    if format_ == "text":
        frame = collapse_passed(add_short_ids(frame)) if headers is CHECK_HEADERS else add_short_ids(frame)
    shown = frame.tail(last or (DEFAULT_ROWS if format_ == "text" else frame.height))
    if sort is not None:
        if (by := find_sort_column(sort, frame)) is None:
            raise unknown_name("column", sort.removeprefix("-"), frame.columns)
        shown = shown.sort(by, descending=sort.startswith("-"), nulls_last=True)
    if format_ != "text":
        print_data(shown, format_)
        return
    page = Page()
    page.add_title(title)
    page.add_table(_join_metric_intervals(shown), headers, empty="nothing yet")
    if hidden := (total or frame.height) - shown.height:
        rows = "row" if hidden == 1 else "rows"
        page.add_line(f"{hidden} earlier {rows}: --last {hidden + shown.height} shows all", style="dim")
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


def find_sort_column(sort: str, frame: pl.DataFrame) -> str | None:
    """Return the column that `--sort` names; the prefix `labels.` or `checks.` may be left out."""
    name = sort.removeprefix("-")
    return next((column for column in (name, f"labels.{name}", f"checks.{name}") if column in frame.columns), None)


def add_short_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the last part of the runs' ids, which is enough to name a run, and shorten those of bundles likewise."""
    shortened = {"id": "short", "run": "run"}
    frame = frame.with_columns(pl.col("^release$").str.replace("([0-9a-f]{12})[0-9a-f]{52}$", "$1"))
    return frame.with_columns(
        pl.col(long).str.split("-").list.last().alias(short)
        for long, short in shortened.items()
        if long in frame.columns
    )


def format_store_title(store: EvaluationStore) -> str:
    """Return the title of a store's table."""
    model = f"model {store.spec.model} on " if store.spec.model else ""
    inactive = describe_inactive_checks(store.spec.checks)
    return f"{store.name}: {model}dataset {store.spec.dataset}{f'; checks {inactive}' if inactive else ''}"


def select_columns(frame: pl.DataFrame, store: EvaluationStore) -> dict[str, str]:
    """Return the columns of a table of evaluations with their headers; ids only if names are not unique."""
    hidden = {
        "time.start",
        "time.end",
        "same_data_as",
        "infrastructure",
        *(["id"] if frame["name"].is_unique().all() else []),
    }
    if "time" in frame.columns and (frame["time"] == frame["name"]).all():
        hidden.add("time")
    shown = set(store.spec.display.checks) or set(store.spec.checks)
    names = [name for name in frame.columns if name not in hidden]
    # The ends of intervals are shown beside their metric.
    names = [name for name in names if not (name.startswith(("low.", "high.")) and name.partition(".")[2] in names)]
    names = [name for name in names if not name.startswith("checks.") or name.removeprefix("checks.") in shown]
    names.sort(key=lambda name: {"name": 0, "origin": 1, "created": 3}.get(name, 2))
    return {name: name.removeprefix("labels.").removeprefix("checks.") for name in names}


def list_metric_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns of a table of evaluations that are metrics, without the ends of their intervals."""
    facts = ("labels.", "checks.", "low.", "high.", "time.")
    named = ("name", "time", "created", "rows", "id", "same_data_as", "superseded_by", *frames.DEPLOYED)
    return [name for name in frame.columns if name not in named and not name.startswith(facts)]


def print_metric_rows(
    title: str,
    frame: pl.DataFrame,
    metrics: Sequence[str],
    *,
    sort: str | None = None,
    last: int | None = None,
    total: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print a table of evaluations with many metrics: a row per metric, the worst of the newest evaluation first.

    `total` is the number of evaluations that there are, if the frame holds only the newest of them.

    Raises
    ------
    UsageError
        The column to sort by does not exist.
    """
    newest = frame.tail(last or SHOWN_EVALUATIONS)
    if sort is not None:
        if (by := find_sort_column(sort, frame)) is None:
            raise unknown_name("column", sort.removeprefix("-"), frame.columns)
        newest = newest.sort(by, descending=sort.startswith("-"), nulls_last=True)
    last_values = {name: newest[name][-1] for name in metrics if newest.height}
    known = sorted((name for name in metrics if last_values.get(name) is not None), key=lambda name: (
        last_values[name] if _is_worse_if_lower(name) else -last_values[name]))  # fmt: skip
    order = [*known, *(name for name in metrics if name not in known)]
    places = [f"{place}" for place in range(newest.height)]
    rows = [{"metric": name, **dict(zip(places, newest[name], strict=True))} for name in order[:SHOWN_METRICS]]
    page = Page()
    page.add_title(title)
    schema: dict[str, type[pl.DataType]] = {"metric": pl.String, **dict.fromkeys(places, pl.Float64)}
    names = dict(zip(reversed(places), reversed(newest["name"].to_list()), strict=True))
    page.add_table(pl.DataFrame(rows, schema), {"metric": "metric", **names})
    page.add_line("the worst of the newest evaluation first, which is on the left", style="dim")
    if len(order) > SHOWN_METRICS:
        page.add_line(f"{len(order) - SHOWN_METRICS} more metrics: --format csv and json show all", style="dim")
    if hidden := (total or frame.height) - newest.height:
        page.add_line(f"{hidden} earlier evaluations: --last {hidden + newest.height} shows all", style="dim")
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


def _is_worse_if_lower(metric: str) -> bool:
    statistic = metric.partition(".")[0]
    return any(one.name == statistic and one.worse == "lower" for one in METRICS if one.scope == "store")


def _join_metric_intervals(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table of evaluations with `low.<metric>` and `high.<metric>` joined to the metric as one text."""
    columns = frame.columns
    return frame.with_columns(
        pl.Series(name, [format_with_interval(*row) for row in frame.select(name, *ends).iter_rows()], pl.String)
        for name in columns
        for ends in [(f"low.{name}", f"high.{name}")]
        if set(ends) <= set(columns)
    )
