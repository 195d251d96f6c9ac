"""Prints the pages of `show`, `compare` and `check`, and defines which columns people see, under which headers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import polars as pl

from engine.api import EvaluationStore, Project, frames
from engine.api.lookup import unknown_name
from engine.cli.options import TableFormat
from engine.cli.output import print_json
from engine.cli.tables import Page, render_data, render_json, to_records
from engine.evaluation.check_counts import PassedChecks
from engine.evaluation.record import CheckResult, Evaluation
from engine.formatting.numbers import format_cell, format_interval
from engine.outcome import CheckOutcome
from engine.spec.metric_names import METRICS
from engine.store import CheckPoint, utc_now

DEFAULT_ROWS = 20
"""Rows of a table for people, unless `--last` is given."""

SHORT_DIGEST = 8
"""Characters of a fingerprint that are shown."""

RUN_HEADERS = {"short": "id", **{name: name for name in ("scenario", "state", "started", "seconds", "trigger", "who")}}
OUTBOX_HEADERS = {
    "short": "id",
    **{name: name for name in ("state", "created", "reporter", "channel", "to", "subject", "tries", "reason")},
}
OUTCOME_HEADERS = {
    "outcome": "outcome",
    "check": "check",
    "metric": "metric",
    "value": "value",
    "bounds": "range",
}
REASON_HEADER = {"reason": "reason"}
CHECK_HEADERS = {"evaluation": "evaluation", **OUTCOME_HEADERS, "created": "when", **REASON_HEADER, "run": "run"}
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
COLUMN_HEADERS = {
    "column": "column",
    "drift": "drift",
    "reference": "reference",
    "batch": "batch",
    "drift_p": "p",
    "drift_importance": "in drift model",
    "model_importance": "in model",
    "psi": "psi",
    "reference_missing_share": "missing in reference",
    "missing_share": "missing in batch",
    "unseen_share": "unseen",
    "role": "role",
    "reason": "reason",
}
PREDICTION_HEADERS = {"categorical": "predicted class", "numerical": "reference decile"}
STORE_METRICS = {metric.name for metric in METRICS if metric.scope == "store"}
BATCH_METRICS = [
    metric.name for metric in METRICS if metric.scope == "store" and metric.member is None and not metric.labels
]
SHOWN_EVALUATIONS = 5
"""Evaluations beside each other in a table with a row per metric, unless `--last` is given."""

SHOWN_ROWS = 30
"""Columns of an evaluation (the most drifted), and results of checks, that a page for people shows."""


def _print_data(frame: pl.DataFrame, format_: TableFormat) -> None:
    (print_json if format_ == "json" else print)(render_data(frame, format_))


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
        _print_data(shown, format_)
        return
    page = Page()
    page.add_title(title)
    page.add_table(_join_metric_intervals(shown), headers, empty="nothing yet")
    if hidden := (total or frame.height) - shown.height:
        page.add_line(
            f"{hidden} earlier {'row' if hidden == 1 else 'rows'}: --last {hidden + shown.height} shows all",
            style="dim",
        )
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


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


def find_sort_column(sort: str, frame: pl.DataFrame) -> str | None:
    """Return the column that `--sort` names; the prefix `labels.` or `checks.` may be left out."""
    name = sort.removeprefix("-")
    return next((column for column in (name, f"labels.{name}", f"checks.{name}") if column in frame.columns), None)


def add_short_ids(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the last part of the runs' ids, which is enough to name a run."""
    shortened = {"id": "short", "run": "run"}
    return frame.with_columns(
        pl.col(long).str.split("-").list.last().alias(short)
        for long, short in shortened.items()
        if long in frame.columns
    )


def format_store_title(store: EvaluationStore) -> str:
    """Return the title of a store's table."""
    model = f"model {store.spec.model} on " if store.spec.model else ""
    return f"{store.name}: {model}dataset {store.spec.dataset}"


def select_columns(frame: pl.DataFrame, store: EvaluationStore) -> dict[str, str]:
    """Return the columns of a table of evaluations with their headers; ids only if names are not unique."""
    hidden = {"id"} if frame["name"].is_unique().all() else set()
    shown = set(store.spec.display.checks) or set(store.spec.checks)
    names = [name for name in frame.columns if name not in hidden]
    # The ends of intervals are shown beside their metric.
    names = [name for name in names if not (name.startswith(("low.", "high.")) and name.partition(".")[2] in names)]
    names = [name for name in names if not name.startswith("checks.") or name.removeprefix("checks.") in shown]
    names.sort(key=lambda name: name == "created")
    return {name: name.removeprefix("labels.").removeprefix("checks.") for name in names}


def list_metric_columns(frame: pl.DataFrame) -> list[str]:
    """Return the columns of a table of evaluations that are metrics, without the ends of their intervals."""
    facts = ("labels.", "checks.", "low.", "high.")
    return [
        name for name in frame.columns if name not in ("name", "created", "rows", "id") and not name.startswith(facts)
    ]


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
    rows = [{"metric": name, **dict(zip(places, newest[name], strict=True))} for name in order[:SHOWN_ROWS]]
    page = Page()
    page.add_title(title)
    schema: dict[str, type[pl.DataType]] = {"metric": pl.String, **dict.fromkeys(places, pl.Float64)}
    names = dict(zip(reversed(places), reversed(newest["name"].to_list()), strict=True))
    page.add_table(pl.DataFrame(rows, schema), {"metric": "metric", **names})
    page.add_line("the worst of the newest evaluation first, which is on the left", style="dim")
    if len(order) > SHOWN_ROWS:
        page.add_line(f"{len(order) - SHOWN_ROWS} more metrics: --format csv and json show all", style="dim")
    if hidden := (total or frame.height) - newest.height:
        page.add_line(
            f"{hidden} earlier evaluations: --last {hidden + newest.height} shows all",
            style="dim",
        )
    for remark in remarks:
        page.add_line(remark, style="dim")
    page.print()


def _is_worse_if_lower(metric: str) -> bool:
    statistic = metric.partition(".")[0]
    return any(one.name == statistic and one.worse == "lower" for one in METRICS if one.scope == "store")


def print_evaluation(one: Evaluation, checks: pl.DataFrame, format_: TableFormat) -> None:
    """Print an evaluation with all its details; as CSV, its metrics."""
    latest = checks.filter(pl.col("created") == pl.col("created").max().over("check"))
    if format_ == "csv":
        _print_data(frames.tabulate_metrics(one), format_)
        return
    if format_ == "json":
        print_json(render_json(asdict(one) | {"checks": to_records(latest)}))
        return
    page = Page()
    page.add_title(f"{one.store}: {one.name}")
    prints = asdict(one.fingerprints).items()
    page.add_facts(
        {
            "created": f"{one.created:%Y-%m-%d %H:%M:%S} UTC, engine {one.engine_version}, kernel {one.kernel_version}",
            "id": one.id,
            "run": one.run or "",
            "labels": ", ".join(f"{key} = {value}" for key, value in one.labels.items()),
            "model": one.model + (f", version {one.model_version}" if one.model_version else "") if one.model else "",
            "rows": f"{one.rows_used:,}, compared with {one.reference_rows:,} rows of the reference",
            "fingerprints": ", ".join(f"{of} {digest[:SHORT_DIGEST]}" for of, digest in prints if digest),
        }
    )
    page.add_title("checks")
    _add_outcomes(latest, page)
    _add_measurements(one, page, "reference", "batch")
    page.print()


def _add_outcomes(checks: pl.DataFrame, page: Page) -> None:
    """Add the results of checks, those that are not OK first, and what counts as OK without having been measured."""
    passed = checks.filter(counts_as="OK")
    name = pl.when(pl.col("metric") == "").then("check").otherwise("metric")  # a python check has no metric
    empty = passed.filter(outcome="EMPTY").select(name, "reason")
    counted = PassedChecks(passed["check"].to_list(), [(metric, reason or "") for metric, reason in empty.iter_rows()])
    if counted.unmeasured:
        page.add_line(f"OK: {counted.count()}")
    results = collapse_passed(checks).sort(pl.col("outcome") == "OK", maintain_order=True)
    page.add_table(results.head(SHOWN_ROWS), OUTCOME_HEADERS | REASON_HEADER)
    if results.height > SHOWN_ROWS:
        page.add_line(f"{results.height - SHOWN_ROWS} more results: --format json shows all", style="dim")


def print_comparison(one: Evaluation, reference: str, format_: TableFormat) -> None:
    """Print what has drifted between a reference and an evaluation; as CSV, the columns."""
    if format_ == "csv":
        _print_data(frames.tabulate_columns(one), format_)
        return
    if format_ == "json":
        print_json(render_json(asdict(one) | {"compared_with": reference}))
        return
    drifted = [(name, column["drift"]) for name, column in one.columns.items() if column["drift"]]
    most = ", ".join(f"{name} ({format_cell(drift)})" for name, drift in sorted(drifted, key=lambda pair: -pair[1])[:5])
    page = Page()
    page.add_title(f"{one.store}: from {reference} to {one.name}")
    unknown = one.metrics["drifted_columns"].reason
    page.add_line(unknown or f"{len(drifted)} of {len(one.columns)} columns drifted{': ' if most else ''}{most}")
    page.add_line(f"{one.reference_rows:,} rows of {reference}, {one.rows_used:,} rows of {one.name}")
    _add_measurements(one, page, reference, one.name)
    page.print()


def _add_measurements(one: Evaluation, page: Page, reference: str, batch: str) -> None:
    """Add every metric, grouped by what it describes, and the notes; `reference` and `batch` name the two sides."""
    sides = {"reference": reference, "batch": batch}
    metrics = frames.tabulate_metrics(one)
    whole = {name for name in one.metrics if name in BATCH_METRICS or (name not in STORE_METRICS and "." not in name)}
    interval = [
        f"{format_cell(low)} to {format_cell(high)}" if low is not None and high is not None else None
        for low, high in metrics.select("low", "high").iter_rows()
    ]
    page.add_title("the batch as a whole (data_drift: 0.5 means no drift, 1 complete drift)")
    page.add_table(
        metrics.with_columns(pl.Series("interval", interval, pl.String)).filter(pl.col("metric").is_in(list(whole))),
        {"metric": "metric", "value": "value", "interval": "interval", "p_value": "p", "reason": "reason"},
    )
    page.add_title("columns, the most drifted first (drift is 0 unless it is significant)")
    columns = frames.tabulate_columns(one)
    # Columns of zeros only take room: nothing is missing, no category is new.
    idle = [name for name in columns.columns if name.endswith(("missing_share", "unseen_share"))]
    page.add_table(
        columns.head(SHOWN_ROWS).drop(name for name in idle if not (columns[name].fill_null(0) > 0).any()),
        COLUMN_HEADERS | sides,
    )
    if columns.height > SHOWN_ROWS:
        page.add_line(f"{columns.height - SHOWN_ROWS} more columns: --format csv and json show all", style="dim")
    if not columns.is_empty():
        meaning = "for telling batch and reference apart (in drift model), for the predictions of the model (in model)"
        page.add_line(f"importance of a column {meaning}", style="dim")
    for name, reason in list(one.left_out.items())[:SHOWN_ROWS]:
        page.add_line(f"{name} is not compared: {reason}", style="dim")
    predicted = frames.tabulate_predictions(one)
    if not predicted.is_empty():
        page.add_title("predictions")
        drift = metrics.filter(pl.col("metric").is_in([f"prediction_drift.{name}" for name in ("drift", "psi", "js")]))
        page.add_table(drift, {"metric": "metric", "value": "value", "p_value": "p", "reason": "reason"})
        page.add_table(
            predicted,
            {
                "predicted": PREDICTION_HEADERS[one.prediction["prediction"]["role"]],
                **sides,
                "fugacity": "relative change",
            },
        )
    performance = frames.tabulate_performance(one)
    if not performance.is_empty():
        page.add_title("performance")
        measured = _join_intervals(performance.filter(pl.col("batch").is_not_null()))
        page.add_table(measured, {"metric": "metric", **sides, "change": "change"}, empty="no metric has a value")
        if (measured["low"].is_not_null()).any():
            page.add_line("in parentheses: confidence intervals at the store's `confidence`", style="dim")
        for (reason,), same in performance.group_by("reason", maintain_order=True):
            if reason is not None:
                page.add_line(f"{', '.join(same['metric'])}: {reason}", style="dim")
    if one.notes:
        page.add_title("notes")
    for note in one.notes:
        page.add_line(note)


def _join_intervals(performance: pl.DataFrame) -> pl.DataFrame:
    """Return the table of performance with each value and its interval as one text."""
    return performance.with_columns(
        pl.Series(side, [_format_with_interval(*row) for row in performance.select(side, *ends).iter_rows()], pl.String)
        for side, ends in (
            ("reference", ("reference_low", "reference_high")),
            ("batch", ("low", "high")),
            ("change", ("change_low", "change_high")),
        )
    )


def _format_with_interval(value: float | None, low: float | None, high: float | None) -> str | None:
    return None if value is None else format_interval(format_cell(value), low, high, format_cell)


def _join_metric_intervals(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table of evaluations with `low.<metric>` and `high.<metric>` joined to the metric as one text."""
    columns = frame.columns
    return frame.with_columns(
        pl.Series(name, [_format_with_interval(*row) for row in frame.select(name, *ends).iter_rows()], pl.String)
        for name in columns
        for ends in [(f"low.{name}", f"high.{name}")]
        if set(ends) <= set(columns)
    )


def print_checks(target: str, found: Sequence[CheckResult], format_: Literal["text", "json"]) -> None:
    """Print the results of checks that have just been applied."""
    if format_ == "json":
        print_json(render_json(list(found)))
        return
    page = Page()
    counts = Counter(result.outcome for result in found)
    by_severity = sorted(counts.items(), key=lambda pair: list(CheckOutcome).index(pair[0]), reverse=True)
    page.add_title(f"{target}: {', '.join(f'{n} {outcome}' for outcome, n in by_severity)}")
    now = utc_now()
    _add_outcomes(frames.tabulate_checks([CheckPoint(None, now, result) for result in found], {}), page)
    page.print()


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


def print_run(project: Project, id_: str, format_: TableFormat) -> None:
    """Print a run, its steps and its log; as CSV, the log."""
    one, log = project.past_run(id_), project.log(id_)
    if format_ == "csv":
        _print_data(log, format_)
        return
    if format_ == "json":
        print_json(render_json(asdict(one) | {"log": to_records(log)}))
        return
    page = Page()
    page.add_title(f"{one.scenario} {one.state}")
    page.add_facts(
        {
            "id": one.id,
            "started": f"{one.started:%Y-%m-%d %H:%M:%S} UTC, {one.trigger}, by {one.who}",
            "ended": f"{one.ended:%Y-%m-%d %H:%M:%S} UTC" if one.ended else "",
            "started by": one.parent or "",
            "variables": ", ".join(f"{name} = {value}" for name, value in one.variables.items()),
        }
    )
    page.add_title("steps")
    page.add_table(frames.tabulate_steps(one))
    page.add_title("log")
    for line in log.iter_rows(named=True):
        where = line["scenario"] + (f" [{line['step']}]" if line["step"] else "")
        for text in line["text"].splitlines() or [""]:
            page.add_raw(f"{line['at']:%H:%M:%S} {line['level']:7} {where} {text}")
    page.print()
