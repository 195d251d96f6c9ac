"""Print one evaluation: its measurements, and the drift between its two sides."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import polars as pl

from engine.api import tabulation
from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.printers.check_printers import add_outcomes
from engine.cli.tables import Page, format_with_interval, print_data, render_json, to_records
from engine.evaluation.evaluation_json import evaluation_to_json
from engine.evaluation.record import Evaluation
from engine.formatting.moments import format_second
from engine.formatting.numbers import format_cell, format_ends
from engine.spec.metrics.catalogue import METRICS
from engine.store import CheckPoint
from engine.views.challenger import describe_challenger
from engine.views.columns import describe_columns
from engine.views.estimates import describe_estimates
from engine.views.segments import describe_segments

SHORT_DIGEST = 8
"""Number of shown characters of a fingerprint."""

SHOWN_COLUMNS = 30
"""Maximum number of an evaluation's columns on a page for people, the most drifted first."""

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
    metric.name
    for metric in METRICS
    if metric.scope == "store"
    and metric.member is None
    and not metric.labels
    and not metric.name.startswith("estimated_")
]


def print_evaluation(one: Evaluation, checks: Sequence[CheckPoint], format_: TableFormat) -> None:
    """Print an evaluation with all details; as CSV, its metrics. `checks` are the results when last applied."""
    if format_ == "csv":
        print_data(tabulation.tabulate_metrics(one), format_)
        return
    if format_ == "json":
        latest = to_records(tabulation.tabulate_checks(checks, {one.id: one.name}))
        print_json(render_json(evaluation_to_json(one) | {"checks": latest}))
        return
    page = Page()
    page.add_title(f"{one.store}: {one.name}")
    prints = asdict(one.fingerprints).items()
    page.add_facts(
        {
            "time": one.time.text if one.time and one.time.text != one.name else "",
            "created": f"{format_second(one.created)}, engine {one.engine_version}, kernel {one.kernel_version}",
            "id": one.id,
            "superseded by": one.superseded_by or "",
            "run": one.run or "",
            "labels": ", ".join(f"{key} = {value}" for key, value in one.labels.items()),
            "model": _describe_model_of(one),
            "release": one.release or "",
            "revision": str(one.revision) if one.revision is not None and one.origin is None else "",
            "origin": f"pulled from {one.pulled_from}" if one.origin else "",
            "challenger": ", ".join(filter(None, one.facts.get("challenger", {}).values())),
            "rows": f"{one.rows_used:,}, compared with {one.reference_rows:,} rows of the reference",
            "fingerprints": ", ".join(f"{of} {digest[:SHORT_DIGEST]}" for of, digest in prints if digest),
        }
    )
    page.add_title("checks")
    add_outcomes([point.result for point in checks], page)
    _add_measurements(one, page, "reference", "batch")
    page.print()


def _describe_model_of(one: Evaluation) -> str:
    """Return the evaluated model, with its version number and its global identity."""
    version = f", version {one.model_version}" if one.model_version else ""
    identity = one.facts.get("identity")
    return f"{one.model}{version}{f' ({identity[:SHORT_DIGEST]})' if identity else ''}" if one.model else ""


def print_comparison(one: Evaluation, reference: str, format_: TableFormat) -> None:
    """Print the drift between a reference and an evaluation; as CSV, the columns."""
    if format_ == "csv":
        print_data(tabulation.tabulate_columns(one), format_)
        return
    if format_ == "json":
        print_json(render_json(evaluation_to_json(one) | {"compared_with": reference}))
        return
    drifted = [(column.name, column.drift) for column in describe_columns(one) if column.drift]
    most = ", ".join(f"{name} ({format_cell(drift)})" for name, drift in drifted[:5])
    page = Page()
    page.add_title(f"{one.store}: from {reference} to {one.name}")
    unknown = one.metrics["drifted_columns"].reason
    page.add_line(unknown or f"{len(drifted)} of {len(one.columns)} columns drifted{': ' if most else ''}{most}")
    if one.origin:
        page.add_line(f"{one.name} was pulled from {one.pulled_from}")
    page.add_line(f"{one.reference_rows:,} rows of {reference}, {one.rows_used:,} rows of {one.name}")
    _add_measurements(one, page, reference, one.name)
    page.print()


def _add_measurements(one: Evaluation, page: Page, reference: str, batch: str) -> None:
    """Add every metric, grouped by subject, and the notes; `reference` and `batch` name the two sides."""
    sides = {"reference": reference, "batch": batch}
    metrics = tabulation.tabulate_metrics(one).to_frame()
    whole = {name for name in one.metrics if name in BATCH_METRICS or (name not in STORE_METRICS and "." not in name)}
    interval = [format_ends(low, high, format_cell) or None for low, high in metrics.select("low", "high").iter_rows()]
    page.add_title("the batch as a whole (data_drift: 0.5 means no drift, 1 complete drift)")
    page.add_table(
        ResultTable.from_frame(
            metrics.with_columns(pl.Series("interval", interval, pl.String)).filter(pl.col("metric").is_in(list(whole)))
        ),
        {"metric": "metric", "value": "value", "interval": "interval", "p_value": "p", "reason": "reason"},
    )
    _add_columns(one, page, sides)
    _add_predictions(one, page, metrics, sides)
    _add_performance(one, page, sides)
    _add_segments(one, page)
    _add_estimates(one, page)
    _add_challenger(one, page)
    if one.notes:
        page.add_title("notes")
    for note in one.notes:
        page.add_line(note)


def _add_columns(one: Evaluation, page: Page, sides: Mapping[str, str]) -> None:
    """Add the columns, and those that are not compared; `sides` are the names of reference and batch."""
    page.add_title("columns, the most drifted first (drift is 0 unless it is significant)")
    columns = tabulation.tabulate_columns(one).to_frame()
    # Columns of zeros only take up room: nothing is missing, no category is new.
    idle = [name for name in columns.columns if name.endswith(("missing_share", "unseen_share"))]
    page.add_table(
        ResultTable.from_frame(
            columns.head(SHOWN_COLUMNS).drop(name for name in idle if not (columns[name].fill_null(0) > 0).any())
        ),
        {**COLUMN_HEADERS, **sides},
    )
    if columns.height > SHOWN_COLUMNS:
        page.add_line(f"{columns.height - SHOWN_COLUMNS} more columns: --format csv and json show all", style="dim")
    if not columns.is_empty():
        meaning = "for distinguishing batch and reference (in drift model), for the predictions of the model (in model)"
        page.add_line(f"importance of a column {meaning}", style="dim")
    for name, reason in list(one.left_out.items())[:SHOWN_COLUMNS]:
        page.add_line(f"{name} is not compared: {reason}", style="dim")


def _add_predictions(one: Evaluation, page: Page, metrics: pl.DataFrame, sides: Mapping[str, str]) -> None:
    """Add the drift of the predictions, if there are some; `metrics` are all metrics of the evaluation."""
    predicted = tabulation.tabulate_predictions(one).to_frame()
    if not predicted.is_empty() and one.prediction is not None:
        page.add_title("predictions")
        drift = metrics.filter(pl.col("metric").is_in([f"prediction_drift.{name}" for name in ("drift", "psi", "js")]))
        page.add_table(
            ResultTable.from_frame(drift), {"metric": "metric", "value": "value", "p_value": "p", "reason": "reason"}
        )
        page.add_table(
            ResultTable.from_frame(predicted),
            {
                "predicted": PREDICTION_HEADERS[one.prediction.prediction.role],
                **sides,
                "fugacity": "relative change",
            },
        )


def _add_performance(one: Evaluation, page: Page, sides: Mapping[str, str]) -> None:
    """Add the performance metrics, and why some have no value."""
    performance = tabulation.tabulate_performance(one).to_frame()
    if not performance.is_empty():
        page.add_title("performance")
        measured = _join_intervals(performance.filter(pl.col("batch").is_not_null()))
        page.add_table(
            ResultTable.from_frame(measured),
            {"metric": "metric", **sides, "change": "change"},
            empty="no metric has a value",
        )
        if (measured["low"].is_not_null()).any():
            page.add_line("in parentheses: confidence intervals at the store's `confidence`", style="dim")
        _add_reasons(performance, page)


def _add_segments(one: Evaluation, page: Page) -> None:
    """Add the segments, the worst first, if the store declares or searches for some."""
    segments = describe_segments(one, None)
    if segments is None:
        return
    page.add_title("segments, the worst first (drift is 0 unless it is significant among all tests)")
    page.add_line(segments.sentence)
    if not segments.rows:
        return
    measured = tabulation.tabulate_segments(one).to_frame()
    headers = {"segment": "segment", "rows": "rows", "drift": "drift", "p_value": "p", "moved": "drifted columns"}
    if segments.metric:
        headers |= {"value": segments.metric, "change": "change"}
    page.add_table(ResultTable.from_frame(_join_intervals(measured, {"value": ("low", "high")})), headers)
    _add_reasons(measured, page, "segment")
    if declaration := segments.write_declaration():
        page.add_line("to watch what was found from now on, add it to the store:", style="dim")
        for line in declaration.splitlines():
            page.add_line(line)


def _add_estimates(one: Evaluation, page: Page) -> None:
    """Add the estimated performance next to that by labels, if the store makes estimates."""
    estimates = describe_estimates(one, None)
    if estimates is None:
        return
    page.add_title("estimated performance")
    page.add_line(f"{estimates.sentence} {estimates.verdict}".strip())
    if not estimates.is_estimated:
        return
    measured = tabulation.tabulate_estimates(one).to_frame()
    sides = {"estimated": ("low", "high"), "realised": ("realised_low", "realised_high")}
    page.add_table(
        ResultTable.from_frame(_join_intervals(measured.filter(pl.col("estimated").is_not_null()), sides)),
        {"metric": "metric", "estimated": "estimated", "realised": "on the rows with a label"},
    )
    page.add_line(estimates.basis, style="dim")
    _add_reasons(measured, page)


def _add_challenger(one: Evaluation, page: Page) -> None:
    """Add the comparison of the challenger with the store's model, if there is one."""
    challenger = describe_challenger(one, None)
    if challenger is None:
        return
    page.add_title(f"challenger {challenger.name} against {challenger.champion}, on the same rows")
    page.add_line(challenger.sentence)
    if not challenger.is_measured:
        return
    measured = tabulation.tabulate_challenger(one).to_frame().filter(pl.col("advantage").is_not_null())
    sides = {name: (f"{name}_low", f"{name}_high") for name in ("champion", "challenger", "advantage")}
    page.add_table(
        ResultTable.from_frame(_join_intervals(measured, sides)),
        {
            "metric": "metric",
            "champion": challenger.champion,
            "challenger": challenger.name,
            "advantage": "advantage",
            "verdict": "the challenger is",
        },
    )
    page.add_line("advantage: positive where the challenger is better; its interval is paired", style="dim")
    _add_reasons(measured, page)


def _add_reasons(table: pl.DataFrame, page: Page, named: str = "metric") -> None:
    """Add a line per reason for a missing value, with the names of the rows that it holds for."""
    for (reason,), same in table.filter(pl.col("reason").is_not_null()).group_by("reason", maintain_order=True):
        page.add_line(f"{', '.join(same[named])}: {reason}", style="dim")


_SIDES = {
    "reference": ("reference_low", "reference_high"),
    "batch": ("low", "high"),
    "change": ("change_low", "change_high"),
}


def _join_intervals(table: pl.DataFrame, sides: Mapping[str, tuple[str, str]] = _SIDES) -> pl.DataFrame:
    """Return a table with each value and its interval as one text; `sides` names the columns of the ends."""
    return table.with_columns(
        pl.Series(side, [format_with_interval(*row) for row in table.select(side, *ends).iter_rows()], pl.String)
        for side, ends in sides.items()
    )
