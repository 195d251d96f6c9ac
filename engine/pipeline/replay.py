"""Replays checks: applies those of the spec, or tried ones, to every stored evaluation.

Nothing is recorded and no data is read: checks need only the stored metrics. A metric that an evaluation lacks, such as
one that was declared later, is reported as not measured, which is neither an alarm nor an OK.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.errors import UsageError
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.target import CheckTarget, MetricsByName, PastMetrics
from engine.evaluation.record import CheckResult, Evaluation
from engine.evaluation.segments.metrics import group_segment_metrics
from engine.outcome import CheckOutcome, worst_check_outcome
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import counts_same_data_once, select_metrics_in_seconds
from engine.pipeline.evaluation_times import count_same_data_once, has_model_history, is_of_other_batch
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.checks import (
    Check,
    PastWindow,
    PythonCheck,
    Range,
    RangeCheck,
    TypicalCheck,
    ValuesCheck,
    find_past_window,
    select_active_checks,
)
from engine.spec.segments import match_segments


@dataclass(frozen=True, slots=True)
class ReplayedCheck:
    """The outcomes of one check for all evaluations of a store, or all measured data of a dataset.

    Every evaluation is counted once: in `error`, `warning`, `empty` or `ok` by the worst outcome of the check's
    metrics, or in `not_measured` if it has none of them. Measurements of unchanged data count once. `alarms` counts
    those in which the check counts as WARNING or ERROR, which an EMPTY may do. `first` and `last` are the first and the
    last of these. `metrics` counts them by metric, most frequent first. `reason` is the first reason for a missing
    value. `bounds` are the applied ones.
    """

    check: str
    evaluations: int
    error: int
    warning: int
    empty: int
    ok: int
    not_measured: int
    alarms: int
    first: str | None
    last: str | None
    metrics: Mapping[str, int]
    reason: str | None
    bounds: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Past:
    """A stored evaluation, or a measurement of a dataset, with its metrics and earlier ones."""

    name: str
    created: datetime
    metrics: MetricsByName
    past: Sequence[PastMetrics]
    rows: tuple[int, int] | None = None


def replay_checks(target: str, context: BuildContext) -> list[ReplayedCheck]:
    """Apply the checks of an evaluation store or dataset to its whole stored history; record nothing.

    Raises
    ------
    UsageError
        It has no history yet.
    """
    dataset = target not in context.project.evaluation_stores
    section = "datasets" if dataset else "evaluation_stores"
    declared = context.project.datasets[target] if dataset else context.project.evaluation_stores[target]
    checks = select_active_checks(declared.checks)
    past = _list_measurements(target, context) if dataset else _list_evaluations(target, context)
    if not past:
        what = (
            f"dataset {target!r} has not been measured yet"
            if dataset
            else (f"evaluation store {target!r} has no evaluations yet")
        )
        raise UsageError(f"{what}, so there is nothing to replay: run `engine run` first")
    return [_replay_check(name, check, section, target, past, context) for name, check in checks.items()]


def _list_evaluations(store: str, context: BuildContext) -> list[_Past]:
    checks = select_active_checks(context.project.evaluation_stores[store].checks).values()
    found = context.store.evaluations.history(store, metrics=_list_needed_metrics(checks))
    window = find_past_window(checks)
    of_model = has_model_history(store, context)
    histories: dict[str, list[Evaluation]] = {}  # before the current evaluation
    listed = []
    for one in found:
        history = histories.setdefault(one.fingerprints.model if of_model else "", [])
        earlier = (PastMetrics(e.moment, e.metrics) for e in reversed(history) if is_of_other_batch(e, one))
        past = _select_past(earlier, one.moment, window)
        listed.append(_Past(one.name, one.moment, one.metrics, past, (one.rows_used, one.reference_rows)))
        history[-1:] = count_same_data_once([*history[-1:], one])
    return listed


def _list_measurements(dataset: str, context: BuildContext) -> list[_Past]:
    window = find_past_window(select_active_checks(context.project.datasets[dataset].checks).values())
    once = counts_same_data_once(dataset, context)
    found = context.store.measurements.history(dataset, same_data_once=once)
    return [
        _Past(
            f"{one.created:%Y-%m-%d %H:%M}",
            one.created,
            one.metrics,
            _select_past(
                (
                    PastMetrics(other.created, other.metrics)
                    for other in found[:place][::-1]
                    if once or one.run is None or other.run != one.run
                ),
                one.created,
                window,
            ),
        )
        for place, one in enumerate(found)
    ]


def _select_past(earlier: Iterable[PastMetrics], moment: datetime, window: PastWindow) -> list[PastMetrics]:
    """Return those in a window before a moment, oldest first; the input is newest first."""
    found: list[PastMetrics] = []
    for place, one in enumerate(earlier):
        if not window.includes(place, moment - one.moment):
            break
        found.append(one)
    return found[::-1]


def _list_needed_metrics(checks: Iterable[Check]) -> list[str] | None:
    """Return the metrics that checks use; None for all, since a function may use any."""
    needed: list[str] = []
    for check in checks:
        if isinstance(check, PythonCheck):
            return None
        metric = normalize_metric_name(check.metric)
        if not isinstance(check, ValuesCheck) and check.segment is not None:
            needed.append("segment.*")
            continue
        needed += [metric, *(["row_count"] if not isinstance(check, ValuesCheck) and check.min_rows else [])]
        if isinstance(check, RangeCheck) and check.compare == "reference":
            needed += [
                f"{kind}{metric}" for kind in ("performance_change.", "performance_change_relative.", "reference_")
            ]
    return needed


def _replay_check(
    name: str, check: Check, section: str, target: str, stored: Sequence[_Past], context: BuildContext
) -> ReplayedCheck:
    position = context.project.position(section, target, "checks", name)
    outcomes: Counter[CheckOutcome | None] = Counter()
    alarms: list[str] = []
    metrics: Counter[str] = Counter()
    reason, bounds = None, _describe_bounds(check)
    for one in stored:
        if missing := _explain_not_measured(check, one.metrics):
            outcomes[None] += 1
            reason = reason or missing
            continue
        results = apply_check(name, check, _build_past_target(section, target, one, context), position)
        outcomes[worst_check_outcome([result.outcome for result in results])] += 1
        bad = [result for result in results if result.counts_as is not CheckOutcome.OK]
        metrics.update(result.metric or name for result in bad)
        reason = reason or next(_list_reasons(results), None)
        if bad:
            alarms.append(one.name)
    return ReplayedCheck(
        check=name,
        evaluations=len(stored),
        error=outcomes[CheckOutcome.ERROR],
        warning=outcomes[CheckOutcome.WARNING],
        empty=outcomes[CheckOutcome.EMPTY],
        ok=outcomes[CheckOutcome.OK],
        not_measured=outcomes[None],
        alarms=len(alarms),
        first=alarms[0] if alarms else None,
        last=alarms[-1] if alarms else None,
        metrics=dict(metrics.most_common()),
        reason=reason,
        bounds=bounds,
    )


def _build_past_target(section: str, target: str, one: _Past, context: BuildContext) -> CheckTarget:
    is_store = section == "evaluation_stores"
    return CheckTarget(
        name=target,
        moment=one.created,
        evaluation=one.name if is_store else None,
        metrics=one.metrics,
        past=one.past,
        code=context.project.code_of(section, target),
        redact=context.secrets.redact,
        in_seconds=() if is_store else select_metrics_in_seconds(target, one.metrics, context),
        rows=one.rows,
        confidence=context.project.evaluation_stores[target].drift.confidence if is_store else 0.95,
        of_model=is_store and has_model_history(target, context),
    )


def _explain_not_measured(check: Check, metrics: MetricsByName) -> str | None:
    """Return why a stored evaluation has no metric of a check; None if it has one."""
    if isinstance(check, PythonCheck):
        return None  # its function gets all existing metrics and decides itself
    wanted = normalize_metric_name(check.metric)
    if not isinstance(check, ValuesCheck) and check.segment is not None:
        known = match_segments(check.segment, group_segment_metrics(metrics))
        return None if known else f"segment {check.segment} was not measured"
    if wanted in metrics or (wanted.endswith(".*") and any(one.startswith(wanted[:-1]) for one in metrics)):
        return None
    return f"{check.metric} was not measured"


def _list_reasons(results: Iterable[CheckResult]) -> Iterator[str]:
    """Yield why metrics have no value."""
    return (result.reason for result in results if result.value is None and result.reason)


def _describe_bounds(check: Check) -> dict[str, object]:
    """Return the bounds of a check as JSON data, with durations in seconds."""
    if isinstance(check, PythonCheck):
        return {"function": check.function}
    if isinstance(check, TypicalCheck):
        past = {"last": check.last} if check.within is None else {"within": check.within.total_seconds()}
        return {**past, **check.model_dump(include={"factor", "soft_factor"}, exclude_none=True)}
    if isinstance(check, ValuesCheck):
        return check.model_dump(mode="json", include={"allowed", "soft_allowed"}, exclude_none=True)
    settings = check.model_dump(
        mode="json", include={"compare", "change", "certain"}, exclude_defaults=True, exclude_none=True
    )
    excepted = {name: _bounds_by_key(limits) for name, limits in check.except_.items()}
    return {**_bounds_by_key(check), **settings, **({"except": excepted} if excepted else {})}


def _bounds_by_key(limits: Range) -> dict[str, float]:
    return {bound.key: bound.value for bound in limits.bounds}
