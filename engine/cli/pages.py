"""What `show`, `compare` and `check` print: which columns people see and what they are called, and whole pages."""

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
"""Rows of a table for people where nobody says how many."""

SHORT = 8
"""Characters of a fingerprint that people compare."""

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
SHARE_OF = {"categorical": "share predicted", "numerical": "decile of the reference"}
KNOWN = {metric.name for metric in METRICS if metric.scope == "store"}
WHOLE = [metric.name for metric in METRICS if metric.scope == "store" and metric.member is None and not metric.labels]
COLUMNS = 30
"""Columns of an evaluation, the most drifted, and outcomes of checks that a page for people tells."""


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
    """Print the newest rows of a table, sorted if asked for.

    Raises
    ------
    UsageError
        There is no such column to sort by.
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
        page.line(f"{frame.height - shown.height} earlier: --last {frame.height} shows all", style="dim")
    for remark in remarks:
        page.line(remark, style="dim")
    page.print()


def together(checks: pl.DataFrame) -> pl.DataFrame:
    """Tell the metrics that a check found OK in one line, however many columns a wildcard has; others one by one."""
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
    """Return the column that `--sort` means: a label or a check may be said without what is before its dot."""
    name = sort.removeprefix("-")
    return next((known for known in (name, f"labels.{name}", f"checks.{name}") if known in frame.columns), None)


def short(frame: pl.DataFrame) -> pl.DataFrame:
    """Tell runs by the last part of their ids, as people do."""
    shortened = {"id": "short", "run": "run"}
    return frame.with_columns(
        pl.col(long).str.split("-").list.last().alias(short)
        for long, short in shortened.items()
        if long in frame.columns
    )


def heading(store: EvaluationStore) -> str:
    """Return what a store's table is called."""
    model = f"model {store.spec.model} on " if store.spec.model else ""
    return f"{store.name}: {model}dataset {store.spec.dataset}"


def columns_of(frame: pl.DataFrame, store: EvaluationStore) -> dict[str, str]:
    """Return what people see of a table of evaluations; ids where names do not tell the rows apart."""
    hidden = {"id"} if frame["name"].is_unique().all() else set()
    shown = set(store.spec.display.checks) or set(store.spec.checks)
    names = [name for name in frame.columns if name not in hidden]
    names = [name for name in names if not name.startswith("checks.") or name.removeprefix("checks.") in shown]
    names.sort(key=lambda name: name == "created")
    return {name: name.removeprefix("labels.").removeprefix("checks.") for name in names}


def evaluation(one: Evaluation, checks: pl.DataFrame, format_: TableFormat) -> None:
    """Print an evaluation in full; as CSV its metrics."""
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
            "rows": f"{one.rows_used:,}, compared with {one.reference_rows:,} of the reference",
            "fingerprints": ", ".join(f"{of} {digest[:SHORT]}" for of, digest in prints if digest),
        }
    )
    page.title("checks")
    _outcomes(latest, page)
    _measured(one, page, "reference", "batch")
    page.print()


def _outcomes(checks: pl.DataFrame, page: Page) -> None:
    told = together(checks).sort(pl.col("outcome") == "OK", maintain_order=True)
    page.table(told.head(COLUMNS), OUTCOMES | REASON)
    if told.height > COLUMNS:
        page.line(f"{told.height - COLUMNS} more: they are in --format json", style="dim")


def compared(one: Evaluation, reference: str, format_: TableFormat) -> None:
    """Print what moved from a reference to an evaluation; as CSV its columns."""
    if format_ == "csv":
        print(data(frames.columns(one), format_))
        return
    if format_ == "json":
        print(as_json(asdict(one) | {"compared_with": reference}))
        return
    moved = [(name, of["drift"]) for name, of in one.columns.items() if of["drift"]]
    told = ", ".join(f"{name} ({number(drift)})" for name, drift in sorted(moved, key=lambda pair: -pair[1])[:5])
    page = Page()
    page.title(f"{one.store}: from {reference} to {one.name}")
    page.line(f"{len(moved)} of {len(one.columns)} columns moved{': ' if told else ''}{told}")
    page.line(f"{one.reference_rows:,} rows of {reference}, {one.rows_used:,} of {one.name}")
    _measured(one, page, reference, one.name)
    page.print()


def _measured(one: Evaluation, page: Page, reference: str, batch: str) -> None:
    """Add every metric, by what it is of, and the notes; the sides are called as people know them."""
    sides = {"reference": reference, "batch": batch}
    metrics = frames.metrics(one)
    whole = {name for name in one.metrics if name in WHOLE or (name not in KNOWN and "." not in name)}
    interval = [
        f"{number(low)} to {number(high)}" if low is not None and high is not None else None
        for low, high in metrics.select("low", "high").iter_rows()
    ]
    page.title("the batch as a whole (data_drift: 0.5 is none, 1 complete)")
    page.table(
        metrics.with_columns(pl.Series("interval", interval, pl.String)).filter(pl.col("metric").is_in(list(whole))),
        {"metric": "metric", "value": "value", "interval": "interval", "p_value": "p", "reason": "reason"},
    )
    page.title("columns, the most drifted first")
    columns = frames.columns(one)
    idle = [name for name in columns.columns if name.endswith(("missing_share", "unseen_share"))]
    page.table(
        columns.head(COLUMNS).drop(name for name in idle if not (columns[name].fill_null(0) > 0).any()), MOVED | sides
    )
    if columns.height > COLUMNS:
        page.line(f"{columns.height - COLUMNS} more with no more drift: they are in --format csv and json", style="dim")
    for name, why in list(one.left_out.items())[:COLUMNS]:
        page.line(f"{name} is not compared: {why}", style="dim")
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
    """Print what checks have just found."""
    if format_ == "json":
        print(as_json(list(found)))
        return
    page = Page()
    page.title(f"{target}: {', '.join(f'{n} {outcome}' for outcome, n in Counter(r.outcome for r in found).items())}")
    now = utc_now()
    _outcomes(frames.checks([CheckPoint(None, now, result) for result in found], {}), page)
    page.print()


def run(project: Project, id_: str, format_: TableFormat) -> None:
    """Print a run, its steps and its log; as CSV its log."""
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
