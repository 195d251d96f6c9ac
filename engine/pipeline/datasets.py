"""Builds a dataset: verifies its contract, computes its metrics and applies its checks, and those of its inputs.

The metrics are stored under a fingerprint of content, contract and required metrics, so an unchanged dataset is not
read again; only its ages grow. Checks are always applied.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from engine.data.table import Table
from engine.digests import digest_json
from engine.errors import DataError
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.false_alarms import describe_false_alarms
from engine.evaluation.checks.target import CheckTarget, PastMetrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_seconds
from engine.outcome import CheckOutcome
from engine.pipeline.actions import Action
from engine.pipeline.changes import MAX_CANDIDATES, ChangeReason, explain_change
from engine.pipeline.context import BuildContext
from engine.pipeline.decision import Decision, list_sources
from engine.pipeline.kept_rows import keep_rows
from engine.pipeline.mutes import mark_muted_results
from engine.spec.metrics.catalogue import METRICS
from engine.spec.resources.checks import (
    PythonCheck,
    TypicalCheck,
    describe_inactive_checks,
    find_past_window,
    select_active_checks,
)
from engine.spec.resources.resource import facts_of

ALL_DATASET_METRICS = [
    f"{metric.name}.*" if metric.member else metric.name for metric in METRICS if metric.scope == "dataset"
]

_IN_SECONDS = tuple(f"{metric.name}." for metric in METRICS if metric.scope == "dataset" and metric.unit == "seconds")
"""Prefixes of the names of metrics in seconds: ages, which grow while the data stay the same."""

_NO_VALUE = "the column has no values, too few of them, or values so large that the result overflows"
"""Why a built-in metric has no value: the mean of nothing, the standard deviation of one value, a sum of 1e308s."""


class InspectedDataset(NamedTuple):
    """A dataset that passed its contract and its checks, with its table and metrics."""

    table: Table
    metrics: dict[str, MetricValue]
    reused: bool


class ChecksFailed(Exception):  # noqa: N818 - the outcome of checks, not an error of the program
    """A check of a dataset has the outcome ERROR, so nothing may be built from it."""


def inspect_dataset(name: str, context: BuildContext, *, force: bool = False) -> InspectedDataset:
    """Open a dataset; verify, measure and check its inputs, then the dataset itself. Record the checks in the journal.

    Parameters
    ----------
    force
        Measure even if nothing has changed.

    Raises
    ------
    DataError
        A dataset cannot be read, or violates its contract.
    ChecksFailed
        A check has the outcome ERROR.
    """
    if force and context.project.find_kept_place(name):
        context.datasets.compute_again(name)
    table = context.datasets.open(name)
    metrics: dict[str, MetricValue] = {}
    reused = True
    for part in table.lineage():  # inputs first; the last is the table itself
        source = table.lineage()[part]
        # An input without files or a table, without contract and checks, has nothing to verify.
        files = source.files if source.kept is None else None  # files of kept rows are the engine's own
        if source is table or files or source.place or source.columns or context.project.datasets[part].checks:
            metrics, unread = _verify_dataset(source, context, force=force)
            reused &= unread
        if keep_rows(source, context):
            table = context.datasets.open(name)
    return InspectedDataset(table, metrics, reused)


def _verify_dataset(table: Table, context: BuildContext, *, force: bool) -> tuple[dict[str, MetricValue], bool]:
    """Verify, measure and check one dataset; return its metrics, and whether they were known."""
    declared = context.project.datasets[table.name].checks
    decision = plan_dataset_read(table, context, force=force)
    metrics = decision.apply(context)
    if select_active_checks(declared):
        results = plan_dataset_checks(table, metrics, context).apply(context)
        context.journal.checks += results
        if failed := [check.check for check in results if check.counts_as is CheckOutcome.ERROR]:
            what = "check" if len(failed) == 1 else "checks"
            raise ChecksFailed(f"dataset {table.name!r}: {what} {', '.join(failed)} ended as ERROR")
    elif declared:
        context.log.info(f"dataset {table.name!r}: {describe_inactive_checks(declared)}")
    return metrics, decision.action.reused


def plan_dataset_read(
    table: Table, context: BuildContext, *, force: bool = False, every: bool = False
) -> Decision[dict[str, MetricValue]]:
    """Plan to read a dataset: verify it and compute the metrics that its checks need, or `every` metric.

    A dataset with custom metrics is always measured, because their functions may read anything else.
    """
    name, spec = table.name, context.project.datasets[table.name]
    checks = select_active_checks(spec.checks).values()
    checked = {check.metric for check in checks if not isinstance(check, PythonCheck)}
    every = every or any(isinstance(check, PythonCheck) for check in checks)
    wanted = ALL_DATASET_METRICS if every else sorted({"row_count", *(checked - spec.metrics.keys())})
    contract = {column: facts_of(declared) for column, declared in spec.columns.items()}
    fingerprint = digest_json([table.fingerprint, contract, wanted])
    now = context.clock()
    measured = context.store.measurements.find(name, fingerprint)
    stored = _increase_ages(measured[0], now - measured[1]) if measured else None
    notes = [
        f"{path.name} has a new modification time, but the same content" for path in _find_touched_files(table, context)
    ]
    read = list(table.notes)
    facts = context.secrets.redact_values(
        {"spec": {"dataset": {"columns": contract}}, "datasets": table.provenance(), "metrics": wanted}
    )

    def keep(values: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
        context.store.measurements.add(name, fingerprint, values, context.run, facts, now)
        return adjust_ages(values)

    def adjust_ages(values: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
        return _take_ages_at_moment(values, now - context.project.as_of)

    if stored is not None and not force and not spec.metrics:
        # other data were measured since: store these as the latest again, for checks of earlier values
        returned = find_past_window(checks) and context.store.measurements.find_first(name, table.fingerprint) is None
        reason = "they were measured before" if returned else "nothing has changed"
        reused = Action(kind="read", target=name, because="reused", reason=reason, notes=notes)
        return Decision(reused, lambda: keep(stored) if returned else adjust_ages(stored), lambda: adjust_ages(stored))
    if stored is None:
        earlier = context.store.measurements.list_facts(name, MAX_CANDIDATES)
        places = {"dataset": ("datasets", name)}
        why = explain_change(facts, earlier, places, context.project, never="it was never read", since="")
    elif force:
        why = ChangeReason("forced", "mode: force", [])
    else:
        why = ChangeReason("always", "its custom metrics are computed every time: what they read is not known", [])

    action = Action(
        kind="read",
        target=name,
        because=why.cause,
        reason=why.reason,
        changes=why.changes,
        reads=list_sources(table, context),
        # The content of a new dataset is unknown before.
        notes=read if why.cause == "new" else [*notes, *read],
    )
    return Decision(
        action, lambda: keep(_measure_dataset(table, wanted, now, context)), lambda: keep(dict(stored or {}))
    )


def plan_dataset_checks(
    table: Table, metrics: dict[str, MetricValue], context: BuildContext
) -> Decision[list[CheckResult]]:
    """Plan the checks of a dataset, which are always applied."""
    name, declared = table.name, context.project.datasets[table.name].checks
    reason = "; ".join(filter(None, [", ".join(select_active_checks(declared)), describe_inactive_checks(declared)]))
    notes = _expect_untypical_values(name, context)
    action = Action(kind="check", target=name, because="always", reason=reason, notes=notes)
    return Decision(action, lambda: check_dataset(table, metrics, context), list)


def _expect_untypical_values(name: str, context: BuildContext) -> list[str]:
    """Return a note on the expected false alarms of a dataset's checks, once per call of the engine."""
    checks = select_active_checks(context.project.datasets[name].checks)
    typical = {check: one for check, one in checks.items() if isinstance(one, TypicalCheck)}
    window = find_past_window(typical.values())
    if not window:
        return []
    since = context.clock() - window.age if window.age else None
    once = counts_same_data_once(name, context)
    earlier = context.store.measurements.list_earlier(name, None, window.count, since=since, same_data_once=once)
    text = describe_false_alarms(typical, 0.95, None, [one.created for one in earlier])
    return [text] if text and context.logged.add(f"{name}: {text}") else []


def _increase_ages(metrics: Mapping[str, MetricValue], passed: timedelta) -> dict[str, MetricValue]:
    """Return the metrics of unchanged data that were measured some time ago."""
    seconds = passed.total_seconds()
    return _change_ages(metrics, lambda age: age + seconds)


def _take_ages_at_moment(metrics: Mapping[str, MetricValue], passed: timedelta) -> dict[str, MetricValue]:
    """Return metrics that were measured now, with ages at the earlier moment of the run.

    Times after that moment are not in the future: their age is 0.
    """
    seconds = max(0.0, passed.total_seconds())
    return _change_ages(metrics, lambda age: max(age - seconds, min(age, 0.0)))


def _change_ages(metrics: Mapping[str, MetricValue], change: Callable[[float], float]) -> dict[str, MetricValue]:
    return {
        name: replace(metric, value=change(metric.value))
        if name.startswith(_IN_SECONDS) and metric.value is not None
        else metric
        for name, metric in metrics.items()
    }


def _find_touched_files(table: Table, context: BuildContext) -> Iterator[Path]:
    """Yield the files of a dataset that were rewritten with the same content since they were last read."""
    return (path for path in (table.files.paths if table.files else ()) if str(path) in context.hashes.touched)


def _measure_dataset(
    table: Table, wanted: Sequence[str], now: datetime, context: BuildContext
) -> dict[str, MetricValue]:
    """Verify a dataset, then compute the required built-in metrics and all custom metrics."""
    from engine.data import (
        compute_dataset_metrics,
        find_unmeasurable_metrics,
        require_unchanged_rows,
        verify_contract,
    )
    from engine.evaluation.custom_metrics import compute_custom_metrics

    spec = context.project.datasets[table.name]
    context.log.info(f"reading dataset {table.name}")
    for note in table.notes:
        context.log.info(f"dataset {table.name!r}: {note}")
    for warning in table.warnings:
        text = f"dataset {table.name!r}: {warning}"
        context.logged.add(text)
        context.log.warning(text)
    verify_contract(table)
    absent = find_unmeasurable_metrics(table, wanted)
    values = {metric: MetricValue(None, reason=reason, failed=True) for metric, reason in absent.items()}
    computed = compute_dataset_metrics(
        table, [metric for metric in wanted if metric not in absent and metric != "repeated_share"], now
    )
    none = "there are no rows" if computed.get("row_count") == 0 else _NO_VALUE
    values |= {name: MetricValue(value, reason=none if value is None else None) for name, value in computed.items()}
    if "repeated_share" in wanted:
        values["repeated_share"] = _compare_with_batch_before(table, context)
    values |= compute_custom_metrics(
        spec.metrics, table.frame, context.project.code_of("datasets", table.name), context.secrets.redact
    )
    context.datasets.files.verify()
    require_unchanged_rows(table)
    return values


def _compare_with_batch_before(table: Table, context: BuildContext) -> MetricValue:
    """Return the share of rows that the previous batch had too, and keep the rows for the next batch."""
    from engine.data import RowCounts, count_rows, find_incomparable_columns, measure_repeated_share

    counts = count_rows(table)
    context.datasets.files.verify()
    file = context.store.batch_rows.find_before(table.name, table.fingerprint)
    context.store.batch_rows.add(table.name, table.fingerprint, counts.save)
    if file is None:
        return MetricValue(
            None, reason="it is the first batch whose rows are counted, so there is none to compare with"
        )
    try:
        before = RowCounts.load(file)
    except DataError as error:
        return MetricValue(None, reason=f"the rows of the batch before cannot be used: {error}")
    if before.version != counts.version:
        return MetricValue(
            None, reason="the rows of the batch before were counted by another version of engine, whose counts differ"
        )
    if reason := find_incomparable_columns(counts, before):
        return MetricValue(None, reason=reason)
    if new := [column for column in counts.types if column not in before.types]:
        context.log.warning(
            f"dataset {table.name}: repeated_share leaves out {join_some(new)}, which the batch before did not have"
        )
        counts = count_rows(table, list(before.types))
    if not (counts.complete and before.complete):
        context.log.info(f"dataset {table.name}: repeated_share is estimated from a part of the rows")
    share = measure_repeated_share(counts, before)
    return MetricValue(share, reason=None if share is not None else "there are no rows to compare")


def check_dataset(table: Table, metrics: dict[str, MetricValue], context: BuildContext) -> list[CheckResult]:
    """Apply the checks of a dataset to its metrics.

    Earlier values are those of other data: unchanged data are always compared with the same earlier values, or an alarm
    would end by itself.
    """
    name = table.name
    checks = select_active_checks(context.project.datasets[name].checks)
    in_seconds = select_metrics_in_seconds(name, metrics, context)
    window, moment, before = find_past_window(checks.values()), context.clock(), None
    once = counts_same_data_once(name, context)
    if window and once and (first := context.store.measurements.find_first(name, table.fingerprint)):
        before, moment = first
    elif window and context.run is None:  # the new measurement is not an earlier one
        before = context.store.measurements.find_newest(name)
    since = moment - window.age if window.age else None
    run = None if once else context.run  # other data of the same run are earlier data too
    earlier = context.store.measurements.list_earlier(
        name, run, window.count, since=since, before=before, same_data_once=once
    )
    subject = CheckTarget(
        name=name,
        moment=moment,
        metrics=metrics,
        past=[PastMetrics(one.created, one.metrics) for one in earlier],
        code=context.project.code_of("datasets", name),
        redact=context.secrets.redact,
        in_seconds=in_seconds,
    )
    found = [
        result
        for check, declared in checks.items()
        for result in apply_check(check, declared, subject, context.project.position("datasets", name, "checks", check))
    ]
    for metric in dict.fromkeys(result.metric for result in found if result.metric in in_seconds):
        age = metrics[metric].value
        if age is not None and age < 0:
            context.log.warning(
                f"dataset {name}: {metric} is negative: its newest time is {format_seconds(-age)} ahead"
            )
    return mark_muted_results(name, found, context)


def counts_same_data_once(name: str, context: BuildContext) -> bool:
    """Return whether measurements of unchanged data count once; not with custom metrics, which may change."""
    return not context.project.datasets[name].metrics


def select_metrics_in_seconds(name: str, metrics: Iterable[str], context: BuildContext) -> set[str]:
    """Return the metrics of a dataset that are measured in seconds."""
    custom = context.project.datasets[name].metrics
    return {metric for metric in metrics if metric.startswith(_IN_SECONDS) and metric not in custom}
