"""Build a dataset: verify its contract, compute its metrics, apply its checks; and so for all that it reads.

What was verified and measured is remembered under a fingerprint of content, contract and metrics, so a dataset that
nothing has changed is not read again; its checks are applied every time.
"""

from dataclasses import dataclass

from engine.data import Table, dataset_metrics, verify
from engine.evaluation.checks import Subject, judge
from engine.evaluation.own_metrics import own_metrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.evaluation.snapshot import digest
from engine.outcome import CheckOutcome
from engine.scenarios.context import Context
from engine.spec.metrics import METRICS
from engine.spec.resources.checks import PythonCheck

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
        metrics, known = measure(one, context, force=force)
        reused &= known
        judged = judge_dataset(one.name, metrics, context)
        found += judged
        if failed := [check.check for check in judged if check.counts_as is CheckOutcome.ERROR]:
            raise ChecksFailed(f"dataset {one.name}: {', '.join(failed)} is ERROR")
    return Inspected(table, metrics, reused)


def measure(
    table: Table, context: Context, *, force: bool = False, every: bool = False
) -> tuple[dict[str, MetricValue], bool]:
    """Verify a dataset and compute the metrics that its checks need, or every metric.

    Returns
    -------
    The metrics, and whether they were known already. A dataset with metrics of the user's is always measured: nobody
    knows what a function reads besides.
    """
    spec = context.project.datasets[table.name]
    checked = {check.metric for check in spec.checks.values() if not isinstance(check, PythonCheck)}
    every = every or any(isinstance(check, PythonCheck) for check in spec.checks.values())
    wanted = EVERY_METRIC if every else sorted({"row_count", *(checked - spec.metrics.keys())})
    contract = {column: declared.model_dump(mode="json") for column, declared in spec.columns.items()}
    fingerprint = digest([table.fingerprint, contract, wanted])
    known = None if force or spec.metrics else context.store.dataset_metrics(table.name, fingerprint)
    if known is not None:
        return known, True
    context.log.info(f"reading dataset {table.name}")
    verify(table)
    values = {
        metric: MetricValue(value, reason=None if value is not None else "there are no values")
        for metric, value in dataset_metrics(table, wanted).items()
    }
    values |= own_metrics(spec.metrics, table.frame, context.project.folder_of("datasets", table.name))
    context.store.add_dataset_metrics(table.name, fingerprint, values, context.run)
    return values, False


def judge_dataset(name: str, metrics: dict[str, MetricValue], context: Context) -> list[CheckResult]:
    """Apply a dataset's checks to its metrics."""
    subject = Subject(
        target=name,
        metrics=metrics,
        past=context.store.earlier_dataset_metrics(name, context.run),
        folder=context.project.folder_of("datasets", name),
    )
    return [
        result
        for check, declared in context.project.datasets[name].checks.items()
        for result in judge(check, declared, subject, context.project.position("datasets", name, "checks", check))
    ]
