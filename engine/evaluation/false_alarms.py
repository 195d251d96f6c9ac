"""How often checks alarm although nothing has drifted, as far as the level of the tests says.

Without drift, any column, the drift model or the predictions is significant in at most a share of 1 - `confidence` of
the evaluations: all their tests are one family (Holm 1979). A check on a metric that is 0 unless its test is
significant cannot alarm more often, wherever its bound is. The lower bound of `data_drift` has a test of its own, at
the same level. Of other metrics, such as psi or performance, nothing is known in advance.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median

from engine.formatting.lists import join_some
from engine.formatting.numbers import format_cell, format_seconds
from engine.spec.metric_names import normalize_metric_name
from engine.spec.resources.checks import Check, Range, RangeCheck

FAMILY_METRICS = frozenset(
    {"drift", "drift_low", "prediction_drift.drift", "drifted_columns", "drifted_share", "data_drift_significant"}
)
"""Metrics that are 0 unless a test of the family is significant; `drift.age` is one of `drift`."""
NO_DATA_DRIFT = 0.5
"""The value of `data_drift` and the least useful bound of `data_drift_low` without drift."""
SHORTEST_PERIOD = 300.0
"""Seconds. Evaluations that follow each other faster were computed for the past: they do not tell how many come."""
YEAR = 365.25 * 86_400
SHOWN_CHECKS = 5


def describe_false_alarms(checks: Mapping[str, Check], confidence: float, evaluated: Sequence[datetime]) -> str | None:
    """Return how often the checks of a store alarm by chance: `at most 5 in 100 evaluations, 2.6 a year`.

    Parameters
    ----------
    evaluated
        The times of the latest evaluations, oldest first: from them follows how many there are a year.

    Returns
    -------
    None if nothing is known of any of the checks.
    """
    family = [name for name, check in checks.items() if _alarms_if_significant(check)]
    bounded = [name for name, check in checks.items() if _alarms_if_bound_exceeded(check)]
    level = (bool(family) + bool(bounded)) * (1 - confidence)
    if level == 0:
        return None
    share = f"at most {format_cell(100 * level)} of 100 evaluations"
    told = f"without drift, chance alarms in {share}: {join_some([*family, *bounded], SHOWN_CHECKS)}"
    period = _estimate_period(evaluated)
    if period is None:
        return told
    return f"{told}; {format_cell(level * YEAR / period)} a year with one every {format_seconds(period)}"


def _alarms_if_significant(check: Check) -> bool:
    if not isinstance(check, RangeCheck) or check.compare is not None:
        return False
    metric = normalize_metric_name(check.metric)
    known = metric in FAMILY_METRICS or metric.partition(".")[0] in FAMILY_METRICS
    return known and _all_bounds_at_least(0, (check, *check.except_.values()))


def _alarms_if_bound_exceeded(check: Check) -> bool:
    if not isinstance(check, RangeCheck) or check.compare is not None:
        return False
    return normalize_metric_name(check.metric) == "data_drift_low" and _all_bounds_at_least(NO_DATA_DRIFT, (check,))


def _all_bounds_at_least(least: float, ranges: Iterable[Range]) -> bool:
    """Return whether the ranges have upper bounds alone, and none below `least`: values there are not alarms."""
    return all(
        bound >= least and key in ("soft_max", "max") for limits in ranges for key, bound in limits.bounds.items()
    )


def _estimate_period(evaluated: Sequence[datetime]) -> float | None:
    """Return the usual seconds from one evaluation to the next; None if there are too few to tell."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(evaluated)]
    period = median(gaps) if len(gaps) >= 2 else 0
    return period if period >= SHORTEST_PERIOD else None
