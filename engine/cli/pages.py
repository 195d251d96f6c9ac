"""Prints the pages of `show`, `compare` and `check`, and defines which columns people see, under which headers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

import polars as pl

from engine.api import EvaluationStore, Project, frames
from engine.api.asking import no_such
from engine.cli.options import TableFormat
from engine.cli.tables import Page, as_json, data, number, records
from engine.evaluation.record import CheckResult, Evaluation
from engine.spec.catalogue import METRICS
from engine.store import CheckPoint, utc_now

LAST = 20
"""Rows of a table for people, unless `--last` is given."""

SHORT = 8
"""Characters of a fingerprint that are shown."""

RUNS = {"short": "id", **{name: name for name in ("scenario", "state", "started", "seconds", "trigger", "who")}}
OUTCOMES = {
    "outcome": "outcome",
    "check": "check",
    "metric": "metric",
    "value": "value",
    "bounds": "range",
}
REASON = {"reason": "reason"}
CHECKS = {"evaluation": "evaluation", **OUTCOMES, "created": "when", **REASON, "run": "run"}
MOVED = {
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
SHARE_OF = {"categorical": "predicted class", "numerical": "reference decile"}
KNOWN = {metric.name for metric in METRICS if metric.scope == "store"}
WHOLE = [metric.name for metric in METRICS if metric.scope == "store" and metric.member is None and not metric.labels]
COLUMNS = 30
"""Columns of an evaluation (the most drifted), and results of checks, that a page for people shows."""


def table(
    title: str,
    frame: pl.DataFrame,
    headers: Mapping[str, str],
    format_: TableFormat,
    *,
    sort: str | None = None,
    last: int | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print the newest rows of a table, sorted by `sort` if given.

    Raises
    ------
    UsageError
        The column to sort by does not exist.
    """
    if format_ == "text":
        frame = together(short(frame)) if headers is CHECKS else short(frame)
    shown = frame.tail(last or (LAST if format_ == "text" else frame.height))
    if sort is not None:
        if (by := column(sort, frame)) is None:
            raise no_such("column", sort.removeprefix("-"), frame.columns)
        shown = shown.sort(by, descending=sort.startswith("-"), nulls_last=True)
    if format_ != "text":
        print(data(shown, format_))
        return
    page = Page()
    page.title(title)
    page.table(shown, headers, empty="nothing yet")
    if shown.height < frame.height:
        hidden = frame.height - shown.height
        page.line(f"{hidden} earlier {'row' if hidden == 1 else 'rows'}: --last {frame.height} shows all", style="dim")
    for remark in remarks:
        page.line(remark, style="dim")
    page.print()


def together(checks: pl.DataFrame) -> pl.DataFrame:
    """Collapse the metrics of a wildcard check that are OK into one row; other outcomes keep one row each."""
    # Rows get a group number; all OK rows of one application of a check get that of the first.
    first = pl.col("place").min().over("created", "evaluation_id", "check", "outcome")
    several = pl.col("several") > 1
    return (
        checks.with_row_index("place")
        .with_columns(place=pl.when(pl.col("outcome") == "OK").then(first).otherwise("place"))
        .group_by("place", maintain_order=True)
        .agg(pl.all().first(), pl.len().alias("several"), pl.col("bounds").n_unique().alias("ranges"))
        .with_columns(
            metric=pl.when(several).then(pl.format("{} metrics", "several")).otherwise("metric"),
            value=pl.when(several.not_()).then("value"),
            bounds=pl.when(pl.col("ranges") == 1).then("bounds"),
        )
    )


def column(sort: str, frame: pl.DataFrame) -> str | None:
    """Return the column that `--sort` names; the prefix `labels.` or `checks.` may be left out."""
    name = sort.removeprefix("-")
    return next((known for known in (name, f"labels.{name}", f"checks.{name}") if known in frame.columns), None)


def short(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the last part of the runs' ids, which is enough to name a run."""
    shortened = {"id": "short", "run": "run"}
    return frame.with_columns(
        pl.col(long).str.split("-").list.last().alias(short)
        for long, short in shortened.items()
        if long in frame.columns
    )


def heading(store: EvaluationStore) -> str:
    """Return the title of a store's table."""
    model = f"model {store.spec.model} on " if store.spec.model else ""
    return f"{store.name}: {model}dataset {store.spec.dataset}"


def columns_of(frame: pl.DataFrame, store: EvaluationStore) -> dict[str, str]:
    """Return the columns of a table of evaluations with their headers; ids only if names are not unique."""
    hidden = {"id"} if frame["name"].is_unique().all() else set()
    shown = set(store.spec.display.checks) or set(store.spec.checks)
    names = [name for name in frame.columns if name not in hidden]
    names = [name for name in names if not name.startswith("checks.") or name.removeprefix("checks.") in shown]
    names.sort(key=lambda name: name == "created")
    return {name: name.removeprefix("labels.").removeprefix("checks.") for name in names}


def evaluation(one: Evaluation, checks: pl.DataFrame, format_: TableFormat) -> None:
    """Print an evaluation with all its details; as CSV, its metrics."""
    latest = checks.filter(pl.col("created") == pl.col("created").max().over("check"))
    if format_ == "csv":
        print(data(frames.metrics(one), format_))
        return
    if format_ == "json":
        print(as_json(asdict(one) | {"checks": records(latest)}))
        return
    page = Page()
    page.title(f"{one.store}: {one.name}")
    prints = asdict(one.fingerprints).items()
    page.facts(
        {
            "created": f"{one.created:%Y-%m-%d %H:%M:%S} UTC, engine {one.engine_version}, kernel {one.kernel_version}",
            "id": one.id,
            "run": one.run or "",
            "labels": ", ".join(f"{key} = {value}" for key, value in one.labels.items()),
            "model": one.model + (f", version {one.model_version}" if one.model_version else "") if one.model else "",
            "rows": f"{one.rows_used:,}, compared with {one.reference_rows:,} rows of the reference",
            "fingerprints": ", ".join(f"{of} {digest[:SHORT]}" for of, digest in prints if digest),
        }
    )
    page.title("checks")
    _outcomes(latest, page)
    _measured(one, page, "reference", "batch")
    page.print()


def _outcomes(checks: pl.DataFrame, page: Page) -> None:
    """Add the results of checks, those that are not OK first."""
    results = together(checks).sort(pl.col("outcome") == "OK", maintain_order=True)
    page.table(results.head(COLUMNS), OUTCOMES | REASON)
    if results.height > COLUMNS:
        page.line(f"{results.height - COLUMNS} more results: --format json shows all", style="dim")


def compared(one: Evaluation, reference: str, format_: TableFormat) -> None:
    """Print what has drifted between a reference and an evaluation; as CSV, the columns."""
    if format_ == "csv":
        print(data(frames.columns(one), format_))
        return
    if format_ == "json":
        print(as_json(asdict(one) | {"compared_with": reference}))
        return
    drifted = [(name, column["drift"]) for name, column in one.columns.items() if column["drift"]]
    most = ", ".join(f"{name} ({number(drift)})" for name, drift in sorted(drifted, key=lambda pair: -pair[1])[:5])
    page = Page()
    page.title(f"{one.store}: from {reference} to {one.name}")
    page.line(f"{len(drifted)} of {len(one.columns)} columns drifted{': ' if most else ''}{most}")
    page.line(f"{one.reference_rows:,} rows of {reference}, {one.rows_used:,} rows of {one.name}")
    _measured(one, page, reference, one.name)
    page.print()


def _measured(one: Evaluation, page: Page, reference: str, batch: str) -> None:
    """Add every metric, grouped by what it describes, and the notes; `reference` and `batch` name the two sides."""
    sides = {"reference": reference, "batch": batch}
    metrics = frames.metrics(one)
    whole = {name for name in one.metrics if name in WHOLE or (name not in KNOWN and "." not in name)}
    interval = [
        f"{number(low)} to {number(high)}" if low is not None and high is not None else None
        for low, high in metrics.select("low", "high").iter_rows()
    ]
    page.title("the batch as a whole (data_drift: 0.5 means no drift, 1 complete drift)")
    page.table(
        metrics.with_columns(pl.Series("interval", interval, pl.String)).filter(pl.col("metric").is_in(list(whole))),
        {"metric": "metric", "value": "value", "interval": "interval", "p_value": "p", "reason": "reason"},
    )
    page.title("columns, the most drifted first (in drift model, in model: feature importance)")
    columns = frames.columns(one)
    # Columns of zeros only take room: nothing is missing, no category is new.
    idle = [name for name in columns.columns if name.endswith(("missing_share", "unseen_share"))]
    page.table(
        columns.head(COLUMNS).drop(name for name in idle if not (columns[name].fill_null(0) > 0).any()), MOVED | sides
    )
    if columns.height > COLUMNS:
        page.line(f"{columns.height - COLUMNS} more columns: --format csv and json show all", style="dim")
    for name, reason in list(one.left_out.items())[:COLUMNS]:
        page.line(f"{name} is not compared: {reason}", style="dim")
    predicted = frames.predictions(one)
    if not predicted.is_empty():
        page.title("predictions")
        drift = metrics.filter(pl.col("metric").is_in([f"prediction_drift.{name}" for name in ("drift", "psi", "js")]))
        page.table(drift, {"metric": "metric", "value": "value", "p_value": "p", "reason": "reason"})
        page.table(
            predicted, {"predicted": SHARE_OF[one.prediction["prediction"]["role"]], **sides, "fugacity": "fugacity"}
        )
    performance = frames.performance(one)
    if not performance.is_empty():
        page.title("performance")
        measured = performance.filter(pl.col("batch").is_not_null())
        page.table(measured, {"metric": "metric", **sides, "change": "change"}, empty="no metric has a value")
        for (reason,), same in performance.group_by("reason", maintain_order=True):
            if reason is not None:
                page.line(f"{', '.join(same['metric'])}: {reason}", style="dim")
    if one.notes:
        page.title("notes")
    for note in one.notes:
        page.line(note)


def checked(target: str, found: Sequence[CheckResult], format_: Literal["text", "json"]) -> None:
    """Print the results of checks that have just been applied."""
    if format_ == "json":
        print(as_json(list(found)))
        return
    page = Page()
    page.title(f"{target}: {', '.join(f'{n} {outcome}' for outcome, n in Counter(r.outcome for r in found).items())}")
    now = utc_now()
    _outcomes(frames.checks([CheckPoint(None, now, result) for result in found], {}), page)
    page.print()


def run(project: Project, id_: str, format_: TableFormat) -> None:
    """Print a run, its steps and its log; as CSV, the log."""
    one, log = project.past_run(id_), project.log(id_)
    if format_ == "csv":
        print(data(log, format_))
        return
    if format_ == "json":
        print(as_json(asdict(one) | {"log": records(log)}))
        return
    page = Page()
    page.title(f"{one.scenario} {one.state}")
    page.facts(
        {
            "id": one.id,
            "started": f"{one.started:%Y-%m-%d %H:%M:%S} UTC, {one.trigger}, by {one.who}",
            "ended": f"{one.ended:%Y-%m-%d %H:%M:%S} UTC" if one.ended else "",
            "started by": one.parent or "",
            "variables": ", ".join(f"{name} = {value}" for name, value in one.variables.items()),
        }
    )
    page.title("steps")
    page.table(frames.steps(one))
    page.title("log")
    for line in log.iter_rows(named=True):
        where = line["scenario"] + (f" [{line['step']}]" if line["step"] else "")
        for text in line["text"].splitlines() or [""]:
            page.raw(f"{line['at']:%H:%M:%S} {line['level']:7} {where} {text}")
    page.print()
