"""The change of a batch's performance from that of its reference."""

from dataclasses import replace

from engine.evaluation.changes import change_between
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.spec.metrics.names import MetricName


def compare_performance(reference: Snapshot, batch: Snapshot) -> dict[str, MetricValue]:
    """Return the change of each performance metric from the reference's value, absolute and relative.

    The rows of the reference are not kept, so nothing can be paired: the intervals of the changes treat both sides as
    independent. They are too wide if the sides share rows or entities, never too narrow.
    """
    changes: dict[str, MetricValue] = {}
    for name, old in reference.performance.items():  # not over a set, whose order differs from process to process
        new = batch.performance.get(name)
        if new is None or name not in PERFORMANCE_METRICS:
            continue
        absolute, relative = (
            str(MetricName("performance_change", name)),
            str(MetricName("performance_change_relative", name)),
        )
        if old.value is None or new.value is None:
            lacking = old if old.value is None else new
            side = "the reference" if old.value is None else "the batch"
            unknown = replace(lacking, reason=f"unknown for {side}: {lacking.reason}")
            changes[absolute] = changes[relative] = unknown
            continue
        comparable = reference.confidence == batch.confidence
        before = old if comparable else MetricValue(old.value, reason=_explain_other_confidence(reference))
        changes[absolute] = change_between(new, before, "absolute")
        changes[relative] = (
            change_between(new, before, "relative")
            if old.value
            else MetricValue(None, reason=f"the reference's {name} is 0")
        )
    return changes


def _explain_other_confidence(reference: Snapshot) -> str:
    if reference.confidence is None:
        return "no interval: the reference was measured by an earlier version, without intervals"
    return f"no interval: that of the reference has another confidence, {reference.confidence:g}"
