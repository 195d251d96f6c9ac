"""Finds rows that came again where the data as a whole are other data: under a new load date, or each row twice.

The rows themselves are not kept. So the statistics of a batch are compared with those of earlier evaluations, and the
counts of its values with each other. Both were measured anyway.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from dataclasses import replace
from math import gcd, isclose
from typing import TYPE_CHECKING

import numpy as np

from engine import drift
from engine.evaluation.record import Evaluation, MetricValue
from engine.pipeline.evaluations.predecessors import COPIED_ROWS, SAME_ROWS
from engine.spec.metrics.names import MetricName
from engine.store import EvaluationFilter

if TYPE_CHECKING:
    from engine.evaluation.snapshots.snapshot import Snapshot
    from engine.pipeline.context import BuildContext

MIN_VALUES = 50
"""Number of distinct values that a column needs: with fewer, two batches or counts may agree by chance."""

MAX_COMPARED = 30
"""Maximum number of evaluations with as many rows that a batch is compared with, newest first."""

_STATISTICS = ("mean", "std", "min", "max")


def note_repeated_rows(
    evaluation: Evaluation, batch: drift.Profile, reference: Snapshot, context: BuildContext
) -> Evaluation:
    """Return an evaluation with notes on rows that came before, and on rows that are there several times."""
    notes = []
    metrics = dict(evaluation.metrics)
    if earlier := _find_same_rows(evaluation, batch, context):
        name, time = earlier.name, earlier.time
        of_time = f", evaluated for {time.text}" if time and time.text != name else ""
        notes.append(
            f"{SAME_ROWS}evaluation {name}{of_time}: there are as many, and the numerical columns have the same mean, "
            "standard deviation, minimum and maximum"
        )
        if "repeated_data" in metrics:
            metrics["repeated_data"] = MetricValue(1.0, reason=notes[0])
    copies = _count_copies(batch)
    if copies > 1 and _count_copies(reference.columns) % copies:
        notes.append(
            f"{COPIED_ROWS}{copies} times: the number of rows with each value of each column is a multiple "
            f"of {copies}, other than in the reference. If a join repeats rows, declare the column that identifies a "
            "row as `unique: true`"
        )
    return replace(evaluation, metrics=metrics, notes=(*notes, *evaluation.notes)) if notes else evaluation


def _find_same_rows(evaluation: Evaluation, batch: drift.Profile, context: BuildContext) -> Evaluation | None:
    """Return the newest evaluation of other data, and of another time, in which all statistics are the same."""
    numerical = {name: one for name, one in batch.columns.items() if isinstance(one, drift.Numerical)}
    widest = max(numerical, key=lambda name: numerical[name].table.size, default=None)
    if widest is None or numerical[widest].table.size < MIN_VALUES:
        return None
    history = context.store.evaluations.history
    others = EvaluationFilter(
        rows=evaluation.rows_read, other_dataset_than=evaluation.fingerprints.dataset, not_at=evaluation.time
    )
    of_widest = [str(MetricName(statistic, widest)) for statistic in _STATISTICS]
    for candidate in reversed(history(evaluation.store, MAX_COMPARED, metrics=of_widest, where=others)):
        if _have_equal_columns(evaluation, candidate, [widest]):
            where = replace(others, called=[candidate.id])
            # values that have been filled in since, such as labels, make rows complete: they did not come again
            filled = ["labelled_share", *(str(MetricName("missing_share", name)) for name in batch.columns)]
            families = [f"{statistic}.*" for statistic in ("missing_share", *_STATISTICS)]
            (whole,) = history(evaluation.store, 1, metrics=["labelled_share", *families], where=where)
            same = all(evaluation.find_value(metric) == whole.find_value(metric) for metric in filled)
            if same and _have_equal_columns(evaluation, whole, list(numerical)):
                return whole
    return None


def _have_equal_columns(now: Evaluation, before: Evaluation, columns: list[str]) -> bool:
    """Return whether columns have equal statistics; those with one value in each batch, such as a stamp, may differ."""
    for column in columns:
        values = [
            [one.find_value(str(MetricName(statistic, column))) for statistic in _STATISTICS] for one in (now, before)
        ]
        constant = all(low == high for *_, low, high in values)
        if not constant and not all(map(_are_equal, *values)):
            return False
    return True


def _are_equal(first: float | None, second: float | None) -> bool:
    """Return whether two numbers are equal; sums over many distinct values may differ in their last digits."""
    return first == second if first is None or second is None else isclose(first, second)


def _count_copies(profile: drift.Profile) -> int:
    """Return the largest number that divides the count of every value of every column; 1 if there are few values."""
    sizes = {
        name: one.table.size if isinstance(one, drift.Numerical) else len(one.counts)
        for name, one in profile.columns.items()
    }
    if max(sizes.values(), default=0) < MIN_VALUES:
        return 1
    copies = 0
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        column = profile.columns[name]
        counts = [column.counts]
        if isinstance(column, drift.Numerical) and column.intervals is not None:
            counts.append(column.intervals.counts)
        # the first counts decide in most cases
        parts = [counts[0][:MIN_VALUES], *counts]
        copies = gcd(copies, column.missing)
        for part in parts:
            copies = gcd(copies, int(np.gcd.reduce(part, initial=0)))
            if copies == 1:
                return 1
    return copies
