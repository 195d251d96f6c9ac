"""Tables of the contents of the state, one function per table; an empty table has the same columns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from engine.api.result_table import ResultTable
from engine.bundles.project_bundles import ListedBundle
from engine.evaluation.record import Evaluation
from engine.formatting.moments import format_minute
from engine.notifications.sending import describe_definition
from engine.service.deployments.deployed_state import DeploymentState
from engine.spec.resources.scenarios import Reporter
from engine.store import CheckPoint, Mute, OutboxMessage, Pause, ReporterState, RunRecord
from engine.views.challenger import list_challenger_rows
from engine.views.columns import describe_columns
from engine.views.estimates import list_estimate_rows
from engine.views.performance import describe_performance
from engine.views.predictions import describe_shares
from engine.views.ranges import format_bounds
from engine.views.run_view import RunView
from engine.views.segments import describe_segments
from engine.views.store_view import StoreView
from engine.views.trigger_view import FireView, TriggerView, format_local_time, have_seconds

_CHALLENGED = ("champion", "challenger", "advantage")
_COLUMN_FIELDS = (
    "role", "drift", "drift_p", "significant", "reference", "batch", "drift_importance", "model_importance", "reason",
)  # fmt: skip

DEPLOYED = ("release", "revision", "origin", "infrastructure")
"""The columns about the deployment that made an evaluation."""


def tabulate_evaluations(store: StoreView, *, intervals: bool = False) -> ResultTable:
    """Return one row per evaluation: its facts, `labels.<key>`, the metrics, and `checks.<name>`.

    With `intervals`, a metric with intervals is followed by `low.<metric>` and `high.<metric>`. `checks.<name>` is the
    latest outcome of the check, for a wildcard check the worst one. A metric with the name of another column, such as
    `rows`, is in the column `metrics.rows`. Some columns exist only if an evaluation has a value: `time`, `time.start`,
    `time.end` and `same_data_as` for declared times, `superseded_by`, `release` and `revision` for evaluations made by
    a deployment, and `origin` and `infrastructure` for pulled ones.
    """
    found = store.evaluations
    timed = any(one.time for one in found)
    labels = dict.fromkeys(f"labels.{key}" for one in found for key in one.labels)
    checks = dict.fromkeys(f"checks.{check}" for one in found for check in one.outcomes)
    schema: dict[str, type] = {"name": str, **dict.fromkeys(labels, str)}
    schema |= {"time": str, "time.start": datetime, "time.end": datetime} if timed else {}
    schema |= {"created": datetime, "rows": int}
    ids = ["id", *["same_data_as"] * timed, *["superseded_by"] * any(one.superseded_by for one in found)]
    ids += [name for name in DEPLOYED if any(getattr(one, name) for one in found)]
    columns = {name: f"metrics.{name}" if name in {*schema, *checks, *ids} else name for name in store.metrics}
    bounded = [
        name
        for name in store.metrics
        if intervals and any((m := one.metrics.get(name)) is not None and m.low is not None for one in found)
    ]
    for name, column in columns.items():
        schema |= dict.fromkeys((column, *((f"low.{name}", f"high.{name}") if name in bounded else ())), float)
    schema |= dict.fromkeys([*checks, *ids], str) | ({"revision": int} if "revision" in ids else {})
    rows = [
        {column: one.metrics[name].value for name, column in columns.items() if name in one.metrics}
        | {f"{end}.{name}": getattr(one.metrics.get(name), end, None) for name in bounded for end in ("low", "high")}
        | {f"labels.{key}": value for key, value in one.labels.items()}
        | {f"checks.{check}": str(outcome) for check, outcome in one.outcomes.items()}
        | ({"time": one.time.text, "time.start": one.time.start, "time.end": one.time.end} if one.time else {})
        | {name: getattr(one, name) for name in ("name", "created", "rows", *ids)}
        for one in found
    ]
    return ResultTable(schema, rows)


def tabulate_metrics(evaluation: Evaluation) -> ResultTable:
    """Return one row per metric of an evaluation: its value, interval and p-value, or the reason why it has none."""
    schema: dict[str, type] = {"metric": str, "value": float, "low": float, "high": float, "p_value": float}
    rows = [
        {"metric": name, **{part: getattr(measured, part) for part in ("value", "low", "high", "p_value", "reason")}}
        for name, measured in evaluation.metrics.items()
    ]
    return ResultTable({**schema, "reason": str}, rows)


def tabulate_columns(evaluation: Evaluation) -> ResultTable:
    """Return one row per compared column, the most drifted first: drift, both sides as text, all statistics.

    `reference` and `batch` are mean ± standard deviation of a numerical column. For a categorical column they are the
    shares of some categories: those that changed most if the drift is significant, else the most frequent ones.
    """
    columns = describe_columns(evaluation)
    statistics = dict.fromkeys(name for column in columns for name in column.statistics)
    schema: dict[str, type] = {"column": str, "role": str, "drift": float, "drift_p": float}
    schema |= {"significant": bool, "reference": str, "batch": str}
    schema |= {"drift_importance": float, "model_importance": float, "reason": str}
    schema |= dict.fromkeys(statistics, float)
    rows = [
        {part: getattr(column, part) for part in _COLUMN_FIELDS}
        | {name: measured.value for name, measured in column.statistics.items()}
        | {"column": column.name}
        for column in columns
    ]
    return ResultTable(schema, rows)


def tabulate_performance(evaluation: Evaluation) -> ResultTable:
    """Return one row per performance metric: its value in reference and batch, and the change; or why it has none.

    The confidence intervals are in `reference_low`, `reference_high`, `low`, `high`, `change_low` and `change_high`.
    The reason of a value without an interval begins with "no interval: ".
    """
    rows = []
    for known in describe_performance(evaluation):
        row: dict[str, Any] = {"metric": known.metric, "reason": known.reason}
        for side, one in (("reference", known.reference), ("batch", known.batch), ("change", known.change)):
            prefix = "" if side == "batch" else f"{side}_"
            row |= {side: one.value, f"{prefix}low": one.low, f"{prefix}high": one.high}
        rows.append(row)
    numbers = [f"{of}{part}" for of in ("reference", "batch", "change") for part in ("", "_low", "_high")]
    schema: dict[str, type] = {name.replace("batch_", ""): float for name in numbers}
    return ResultTable({"metric": str, **schema, "reason": str}, rows)


def tabulate_challenger(evaluation: Evaluation) -> ResultTable:
    """Return one row per performance metric of a challenger: its values for both models on the same rows.

    `advantage` is positive if the challenger is better, with the paired interval `advantage_low`, `advantage_high`.
    `verdict` is better or worse if the interval does not contain 0, else undecided. Empty without a challenger.
    """
    schema: dict[str, type] = {"metric": str}
    schema |= {f"{of}{end}": float for of in _CHALLENGED for end in ("", "_low", "_high")}
    rows = [
        {"metric": row.metric, "verdict": row.verdict or None, "reason": row.advantage.reason}
        | {
            f"{of}{end}": value
            for of in _CHALLENGED
            for end, value in (
                ("", getattr(row, of).value),
                ("_low", getattr(row, of).low),
                ("_high", getattr(row, of).high),
            )
        }
        for row in list_challenger_rows(evaluation)
    ]
    return ResultTable(schema | {"verdict": str, "reason": str}, rows)


def tabulate_estimates(evaluation: Evaluation) -> ResultTable:
    """Return one row per performance metric: its estimate, and its real value from the available labels.

    `low` and `high` are the interval of the estimate, `realised_low` and `realised_high` that of the real value. Empty
    unless the store declares `estimates`.
    """
    rows = [
        {
            "metric": row.metric,
            "estimated": row.estimated.value,
            "low": row.estimated.low,
            "high": row.estimated.high,
            "realised": row.realised.value,
            "realised_low": row.realised.low,
            "realised_high": row.realised.high,
            "reason": row.estimated.reason,
        }
        for row in list_estimate_rows(evaluation)
    ]
    numbers = ("estimated", "low", "high", "realised", "realised_low", "realised_high")
    return ResultTable({"metric": str, **dict.fromkeys(numbers, float), "reason": str}, rows)


def tabulate_segments(evaluation: Evaluation, metric: str | None = None) -> ResultTable:
    """Return one row per segment, the worst first: its rows, drift with p-value, and performance with interval.

    `metric` is the performance metric, `moved` lists the columns that drifted, and `reason` is why a segment has no
    drift. `where` is the condition of a found segment, null for a declared one. Empty unless the store has `segments`
    or `find_segments`.
    """
    view = describe_segments(evaluation, metric)
    rows = [
        {
            "segment": row.name,
            "rows": row.rows,
            "drift": row.drift.value,
            "p_value": row.drift.p_value,
            "moved": row.list_moved() or None,
            "metric": view.metric,
            **{part: getattr(row.performance, part, None) for part in ("value", "low", "high")},
            "change": None if row.change is None else row.change.value,
            "reason": row.drift.reason,
            "where": row.condition,
        }
        for row in (view.rows if view else ())
        if view
    ]
    schema: dict[str, type] = {"segment": str, "rows": int, "drift": float, "p_value": float}
    schema |= {"moved": str, "metric": str}
    schema |= dict.fromkeys(("value", "low", "high", "change"), float)
    return ResultTable(schema | {"reason": str, "where": str}, rows)


def tabulate_predictions(evaluation: Evaluation) -> ResultTable:
    """Return the predicted shares in reference and batch, one row per class, or per decile for a regression."""
    schema: dict[str, type] = {"predicted": str, "reference": float, "batch": float, "fugacity": float}
    rows = [
        dict(zip(schema, (one.label, one.reference, one.batch, one.change), strict=True))
        for one in describe_shares(evaluation)
    ]
    return ResultTable(schema, rows)


def tabulate_checks(points: Sequence[CheckPoint], names: Mapping[str, str]) -> ResultTable:
    """Return one row per check result; `names` maps ids of evaluations to their names.

    `detectable` is the value that would have failed the check in 4 of 5 batches of this size, on the side of its first
    bound; only OK results have one.
    """
    schema: dict[str, type] = {"created": datetime, "evaluation": str, "check": str, "metric": str}
    schema |= {"outcome": str, "counts_as": str, "value": float, "bounds": str}
    schema |= {"reason": str, "run": str, "evaluation_id": str, "detectable": float}
    rows = [
        {
            "created": created,
            "evaluation": names.get(result.evaluation or ""),
            "check": result.check,
            "metric": result.metric,
            "outcome": str(result.outcome),
            "counts_as": str(result.counts_as),
            "value": result.value,
            "bounds": format_bounds(result.bounds) or None,
            "reason": result.explanation or None,
            "run": run,
            "evaluation_id": result.evaluation,
            "detectable": next(iter(result.detectable.values()), None),
        }
        for run, created, result in points
    ]
    return ResultTable(schema, rows)


def tabulate_runs(found: Sequence[RunRecord]) -> ResultTable:
    """Return one row per run; `state` is RUNNING or the outcome; `release` exists only for runs of deployments."""
    schema: dict[str, type] = {"id": str, "scenario": str, "state": str, "started": datetime}
    schema |= {"seconds": float, "trigger": str, "who": str, "parent": str}
    released = ["release"] * any(run.release for run in found)
    schema |= dict.fromkeys(released, str)
    parts = ["id", "scenario", "state", "started", "trigger", "who", "parent", *released]
    rows = [
        {
            **{part: getattr(run, part) for part in parts},
            "seconds": (run.ended - run.started).total_seconds() if run.ended else None,
        }
        for run in found
    ]
    return ResultTable(schema, rows)


def tabulate_messages(found: Sequence[OutboxMessage]) -> ResultTable:
    """Return one row per message of the outbox."""
    schema: dict[str, type] = {"id": str, "state": str, "created": datetime, "reporter": str}
    schema |= {"channel": str, "to": str, "subject": str, "tries": int, "reason": str}
    schema |= {"run": str}
    rows = [
        {
            **{part: getattr(one, part) for part in ("id", "created", "reporter", "channel", "subject", "tries")},
            "state": str(one.state),
            "to": ", ".join(to for to in (*one.to, *one.cc, *one.bcc) if to not in one.reached) or None,
            "reason": one.fate or None,
            "run": one.run,
        }
        for one in found
    ]
    return ResultTable(schema, rows)


def tabulate_deliveries(run: RunView) -> ResultTable:
    """Return one row per message of a run, with its present state."""
    schema: dict[str, type] = dict.fromkeys(("reporter", "channel", "state", "reason"), str)
    return ResultTable(schema, [asdict(one) for one in run.deliveries])


def tabulate_deployments(found: Sequence[DeploymentState]) -> ResultTable:
    """Return deployments as a table."""
    types: dict[str, type] = {"revision": int, "since": datetime}
    schema = {one.name: types.get(one.name, str) for one in fields(DeploymentState)}
    rows = [{**asdict(one), "reasons": "; ".join(one.reasons)} for one in found]
    return ResultTable(schema, rows)


def tabulate_mutes(found: Sequence[Mute], active: Sequence[Mute], idle: Sequence[Mute]) -> ResultTable:
    """Return one row per mute; `active` are those in force, and `idle` those in force but without effect."""

    def describe_state(mute: Mute) -> str:
        if mute in idle:
            return "in force, but the spec has no such check"
        if mute in active:
            return "in force"
        return f"ended by {mute.ended_by} on {format_minute(mute.ended)}" if mute.ended else "expired"

    return _tabulate_orders(("target", "check"), [(mute, describe_state(mute)) for mute in found])


def tabulate_bundles(bundles: Sequence[ListedBundle]) -> ResultTable:
    """Return one row per bundle of a project."""
    schema: dict[str, type] = {"name": str, "id": str, "where": str, "size": int, "signatures": int,
              **dict.fromkeys(("created", "by", "release_notes", "problem"), str)}  # fmt: skip
    return ResultTable(schema, [asdict(one) for one in bundles])


def tabulate_pauses(found: Sequence[Pause], active: Sequence[Pause], idle: Mapping[str, str]) -> ResultTable:
    """Return one row per pause; `active` are those in force, `idle` says per scenario why a pause has no effect."""

    def describe_state(pause: Pause) -> str:
        if pause in active:
            return f"in force{idle[pause.scenario]}"
        return f"ended by {pause.ended_by} on {format_minute(pause.ended)}" if pause.ended else "over"

    return _tabulate_orders(("scenario",), [(pause, describe_state(pause)) for pause in found])


def _tabulate_orders(subject: Sequence[str], found: Sequence[tuple[Mute | Pause, str]]) -> ResultTable:
    """Return one row per mute or pause with its state; `subject` are the fields that say what it is of."""
    given: dict[str, type] = {"until": datetime, "by": str, "reason": str, "created": datetime}
    rows = [{name: getattr(one, name) for name in (*subject, *given)} | {"state": state} for one, state in found]
    return ResultTable(dict.fromkeys((*subject, "state"), str) | given, rows)


def tabulate_triggers(found: Sequence[TriggerView]) -> ResultTable:
    """Return one row per trigger."""
    schema: dict[str, type] = dict.fromkeys(("scenario", "trigger", "kind", "starts", "timezone", "state"), str)
    schema |= {"last_scheduled": datetime, "last_state": str, "last_run": str, "next_times": list}
    rows = [
        {
            **{name: getattr(one, name) for name in ("scenario", "kind", "starts", "state")},
            "trigger": one.name,
            "timezone": one.zone,
            "last_scheduled": one.last and one.last.scheduled,
            "last_state": one.last and str(one.last.state),
            "last_run": one.last and one.last.run,
            "next_times": list(one.next_times),
        }
        for one in found
    ]
    return ResultTable(schema, rows)


def tabulate_fires(found: Sequence[FireView]) -> ResultTable:
    """Return one row per fire; local times have seconds if a time is not at a full minute."""
    seconds = have_seconds(one.fire.scheduled for one in found)
    schema: dict[str, type] = {"number": int, "scheduled": datetime}
    schema |= dict.fromkeys(("local", "timezone", "scenario", "trigger", "state", "reason", "run", "outcome"), str)
    schema |= {"attempt": int, "into": int, "late": float, "changed": str}
    same = ("number", "scheduled", "scenario", "trigger", "run", "attempt", "into")
    rows = [
        {
            **{name: getattr(one.fire, name) for name in same},
            "local": format_local_time(one.fire.scheduled, one.zone, seconds=seconds),
            "timezone": one.zone,
            "state": str(one.fire.state),
            "reason": one.fire.reason or None,
            "late": one.late.total_seconds(),
            "outcome": one.outcome,
            "changed": ", ".join(one.fire.changed) or None,
        }
        for one in found
    ]
    return ResultTable(schema, rows)


def tabulate_reporters(declared: Sequence[tuple[str, Reporter]], states: Sequence[ReporterState]) -> ResultTable:
    """Return one row per declared reporter with a state; a stored state of an older definition is left out."""
    schema: dict[str, type] = dict.fromkeys(("scenario", "reporter", "channel", "watches", "now"), str)
    schema |= {"since": datetime, "told": str, "sent_at": datetime, "as_of": datetime}
    known = {(state.scenario, state.reporter, state.definition): state for state in states}
    rows = []
    for scenario, reporter in declared:
        watches = describe_definition(reporter)
        state = known.get((scenario, reporter.name, watches))
        row = {"scenario": scenario, "reporter": reporter.name, "channel": reporter.channel, "watches": watches}
        found = {name: getattr(state, name, None) for name in ("since", "told", "sent_at", "as_of")}
        rows.append(row | found | {"now": state and state.observed})
    return ResultTable(schema, rows)


def tabulate_steps(run: RunView) -> ResultTable:
    """Return one row per step of a run; `turn` has the values of its iteration of `for_each`."""
    schema: dict[str, type] = {"step": str, "kind": str, "outcome": str, "seconds": float}
    schema |= {"reason": str, "turn": str}
    rows = [
        {
            "step": step.name,
            "kind": step.kind,
            "outcome": str(step.outcome),
            "seconds": step.seconds,
            "reason": step.reason or None,
            "turn": step.iteration or None,
        }
        for step in run.steps
    ]
    return ResultTable(schema, rows)
