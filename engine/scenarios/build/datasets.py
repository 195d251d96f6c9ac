"""Build a dataset: verify its contract, compute its metrics, apply its checks; and so for all that it reads.

What was verified and measured is remembered under a fingerprint of content, contract and metrics, so a dataset that
nothing has changed is not read again; its checks are applied every time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.data import Table, dataset_metrics, unmeasurable, verify
from engine.evaluation.checks import Subject, judge
from engine.evaluation.own_metrics import own_metrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.evaluation.snapshot import digest
from engine.outcome import CheckOutcome
from engine.scenarios.actions import Action
from engine.scenarios.build.decision import Decision, reads_of
from engine.scenarios.changes import CANDIDATES, Why, why
from engine.scenarios.context import Context
from engine.spec.metrics import METRICS
from engine.spec.resources.checks import PythonCheck
from engine.spec.resources.resource import facts_of

EVERY_METRIC = [f"{metric.name}.*" if metric.member else metric.name for metric in METRICS if metric.scope == "dataset"]


@dataclass(frozen=True, slots=True)
class Inspected:
    """A dataset that was read and may be built on: its table and its metrics."""

    table: Table
    metrics: dict[str, MetricValue]
    reused: bool


class ChecksFailed(Exception):  # noqa: N818 - not an error: the data are as they are, and a check says so
    """Checks of a dataset are ERROR, so that nothing is built on it."""


def inspect(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> Inspected:
    """Open a dataset, then verify, measure and check everything that it reads, inputs first, and itself.

    What the checks found is added to `found`.

    Raises
    ------
    DataError
        It cannot be read, or its contract or that of an input does not hold.
    ChecksFailed
        A check is ERROR.
    """
    table = context.datasets.open(name)
    metrics: dict[str, MetricValue] = {}
    reused = True
    for one in table.lineage().values():
        if not (one is table or one.files or one.columns or context.project.datasets[one.name].checks):
            continue
        decision = decide(one, context, force=force)
        metrics = decision.act(context)
        reused &= decision.action.reused
        if not context.project.datasets[one.name].checks:
            continue
        judged = decide_checks(one.name, metrics, context).act(context)
        found += judged
        if failed := [check.check for check in judged if check.counts_as is CheckOutcome.ERROR]:
            raise ChecksFailed(f"dataset {one.name}: {', '.join(failed)} is ERROR")
    return Inspected(table, metrics, reused)


def decide(
    table: Table, context: Context, *, force: bool = False, every: bool = False
) -> Decision[dict[str, MetricValue]]:
    """Decide whether a dataset is to be verified and measured: the metrics that its checks need, or `every` metric.

    A dataset with metrics of the user's is always measured: nobody knows what a function reads besides.
    """
    name, spec = table.name, context.project.datasets[table.name]
    checked = {check.metric for check in spec.checks.values() if not isinstance(check, PythonCheck)}
    every = every or any(isinstance(check, PythonCheck) for check in spec.checks.values())
    wanted = EVERY_METRIC if every else sorted({"row_count", *(checked - spec.metrics.keys())})
    contract = {column: facts_of(declared) for column, declared in spec.columns.items()}
    fingerprint = digest([table.fingerprint, contract, wanted])
    known = context.store.dataset_metrics(name, fingerprint)
    notes = [f"{path.name} was touched; its content is the same" for path in _touched(table, context)]
    if known is not None and not force and not spec.metrics:
        reused = Action(kind="read", target=name, because="reused", reason="nothing has changed", notes=notes)
        return Decision(reused, lambda: known, lambda: known)
    facts = {"spec": {"dataset": {"columns": contract}}, "datasets": table.provenance(), "metrics": wanted}
    if known is None:
        earlier = context.store.dataset_facts(name, CANDIDATES)
        places = {"dataset": ("datasets", name)}
        reason = why(facts, earlier, places, context.project, never="it was never read", since="")
    elif force:
        reason = Why("forced", "mode: force", [])
    else:
        reason = Why("always", "it has metrics of your own, and nobody knows what a function reads besides", [])

    def keep(values: dict[str, MetricValue]) -> dict[str, MetricValue]:
        context.store.add_dataset_metrics(name, fingerprint, values, context.run, facts)
        return values

    action = Action(
        kind="read",
        target=name,
        because=reason.because,
        reason=reason.reason,
        changes=reason.changes,
        reads=reads_of(table, context),
        notes=notes,
    )
    return Decision(action, lambda: keep(_measure(table, wanted, context)), lambda: keep(dict(known or {})))


def decide_checks(name: str, metrics: dict[str, MetricValue], context: Context) -> Decision[list[CheckResult]]:
    """Decide on a dataset's checks: they are applied every time."""
    checks = list(context.project.datasets[name].checks)
    action = Action(kind="check", target=name, because="always", reason=", ".join(checks))
    return Decision(action, lambda: judge_dataset(name, metrics, context), list)


def _touched(table: Table, context: Context) -> Iterator[Path]:
    """Give the files of a dataset that were written again with the same content since they were read last."""
    return (path for path in (table.files.paths if table.files else ()) if str(path) in context.touched)


def _measure(table: Table, wanted: Sequence[str], context: Context) -> dict[str, MetricValue]:
    """Verify a dataset, then compute metrics: those of the table of metrics that are wanted, and the user's own."""
    spec = context.project.datasets[table.name]
    context.log.info(f"reading dataset {table.name}")
    verify(table)
    absent = unmeasurable(table, wanted)
    values = {metric: MetricValue(None, reason=why, failed=True) for metric, why in absent.items()}
    values |= {
        metric: MetricValue(value, reason=None if value is not None else "there are no values")
        for metric, value in dataset_metrics(table, [metric for metric in wanted if metric not in absent]).items()
    }
    return values | own_metrics(
        spec.metrics, table.frame, context.project.folder_of("datasets", table.name), context.secrets.redact
    )


def judge_dataset(name: str, metrics: dict[str, MetricValue], context: Context) -> list[CheckResult]:
    """Apply a dataset's checks to its metrics."""
    subject = Subject(
        target=name,
        metrics=metrics,
        past=context.store.earlier_dataset_metrics(name, context.run),
        folder=context.project.folder_of("datasets", name),
        redact=context.secrets.redact,
    )
    return [
        result
        for check, declared in context.project.datasets[name].checks.items()
        for result in judge(check, declared, subject, context.project.position("datasets", name, "checks", check))
    ]
