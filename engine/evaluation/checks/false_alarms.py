"""How often the checks of an evaluation store alarm without drift, as far as theory can tell.

Four kinds of checks have a known rate. Those on the calibrated verdict (`drift.*`, `drift_low.*`, `prediction_drift`,
`data_drift_significant`, `drifted_columns`, `drifted_share`) are one family of tests: in at most a share 1 - confidence
of all evaluations without drift, any of them is above 0 (Holm 1979). `data_drift_low` is above 0.5 in at most that
share too, because it is a one-sided bound at the same confidence. The accuracy `data_drift` is that of a fair coin, so
how often it exceeds a bound follows from the number of held-out rows, which the size of its interval shows. For a check
of kind `typical`, the share depends on the number of earlier values, if all are independent and normal. Other metrics
have no known rate.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import NormalDist, median
from typing import NamedTuple

from engine.evaluation.checks.typical import count_typical_values, estimate_false_alarm_rate
from engine.evaluation.record import MetricValue
from engine.formatting.lists import join_some
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.checks import FEWEST_TYPICAL_VALUES, Check, PythonCheck, TypicalCheck, ValuesCheck

FAMILY = ("drift", "drift_low", "prediction_drift.drift", "prediction_drift.drift_low", "drifted_columns",
          "drifted_share", "data_drift_significant", "segment_drift", "found_segments")  # fmt: skip
"""Metrics of which any is above 0 in at most a share 1 - confidence of the evaluations without drift."""

ONE_CALL = timedelta(minutes=5)
"""Evaluations made within this time of each other count as one call, which may evaluate many past months."""

FEWEST_CALLS = 3
"""Minimum number of calls for estimating how often evaluations are made."""

YEAR = timedelta(days=365.25)


class FalseAlarms(NamedTuple):
    """Checks that alarm without drift in at most (or about) a share of evaluations; `given` states the condition."""

    checks: Sequence[str]
    share: float
    at_most: bool
    given: str = ""


def expect_false_alarms(
    checks: Mapping[str, Check], confidence: float, data_drift: MetricValue | None, created: Sequence[datetime] = ()
) -> list[FalseAlarms]:
    """Return the shares of evaluations without drift in which checks alarm; checks without a known rate are left out.

    Parameters
    ----------
    confidence
        The confidence of the store: verdicts have the level 1 - confidence.
    data_drift
        The newest value of this metric, whose interval shows the number of held-out rows; None if there is none.
    created
        The creation times of the stored evaluations, oldest first.
    """
    bounds = {name: upper for name, check in checks.items() if (upper := _find_upper_bound(check)) is not None}
    family = [name for name, (metric, bound) in bounds.items() if _is_of_family(metric) and bound >= 0]
    lows = [name for name, (metric, bound) in bounds.items() if metric == "data_drift_low" and bound >= 0.5]
    found = [FalseAlarms(names, 1 - confidence, at_most=True) for names in (family, lows) if names]
    rows = _count_held_out_rows(data_drift, confidence)
    for name, (metric, bound) in bounds.items():
        if metric == "data_drift" and rows:
            share = 1 - NormalDist(0.5, 0.5 / rows**0.5).cdf(bound)
            found.append(FalseAlarms([name], share, at_most=False))
    return found + [one for name, check in checks.items() if (one := _expect_untypical(name, check, created))]


def _expect_untypical(name: str, check: Check, created: Sequence[datetime]) -> FalseAlarms | None:
    """Return the share for a check of kind `typical`; None for another kind, or if there are too few earlier values."""
    factor = (check.soft_factor or check.factor) if isinstance(check, TypicalCheck) else None
    if not isinstance(check, TypicalCheck) or factor is None:
        return None
    count = count_typical_values(created, check)
    if count < FEWEST_TYPICAL_VALUES:
        return None
    each = " of each metric" if check.metric.endswith("*") or "*" in (check.segment or "") else ""
    given = f"{each}, with {count} earlier values, if these are independent and normal"
    return FalseAlarms([name], estimate_false_alarm_rate(count, factor), at_most=False, given=given)


def _find_upper_bound(check: Check) -> tuple[str, float] | None:
    """Return the metric of a check and the value above which it alarms; None if it alarms for other reasons too."""
    if isinstance(check, PythonCheck | TypicalCheck):
        return None
    metric = normalize_metric_name(check.metric)
    if isinstance(check, ValuesCheck):
        fine = check.allowed if check.soft_allowed is None else check.soft_allowed
        return (metric, 0.0) if metric == "data_drift_significant" and 0 in fine and 1 not in fine else None
    limits = [check, *check.except_.values()]
    bounds = [bound for one in limits for bound in one.bounds]
    if check.compare is not None or any(bound.is_lower for bound in bounds):
        return None
    uppers = [bound.value for bound in bounds]
    return (metric, min(uppers)) if uppers and min(uppers) < 1 else None


def _is_of_family(metric: str) -> bool:
    return metric in FAMILY or metric.partition(".")[0] in ("drift", "drift_low")


def _count_held_out_rows(accuracy: MetricValue | None, confidence: float) -> float | None:
    """Return the number of rows of an accuracy, computed from its Wilson interval.

    The interval is [c - r, c + r] with c = (p + z²/2n) / (1 + z²/n) and r² = ... / (1 + z²/n)²; its ends are the roots
    of (p - x)² = z² x (1 - x) / n, so that n = z² x (1 - x) / (p - x)² for either end x.
    """
    if accuracy is None or accuracy.value is None or accuracy.low is None or not 0 < accuracy.low < accuracy.value:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return z * z * accuracy.low * (1 - accuracy.low) / (accuracy.value - accuracy.low) ** 2


def estimate_evaluations_a_year(created: Sequence[datetime]) -> tuple[float, timedelta] | None:
    """Return the number of evaluations per year, and the usual time between calls; None if unknown.

    Parameters
    ----------
    created
        The creation times of the stored evaluations, oldest first.
    """
    calls: list[list[datetime]] = []
    for moment in created:
        if calls and moment - calls[-1][-1] < ONE_CALL:
            calls[-1].append(moment)
        else:
            calls.append([moment])
    if len(calls) < FEWEST_CALLS:
        return None
    gaps = [(now[0] - was[0]).total_seconds() for was, now in pairwise(calls)]
    gap = timedelta(seconds=median(gaps))
    # the first call often makes the evaluations of an existing past
    return median(len(call) for call in calls[1:]) * (YEAR / gap), gap


def describe_false_alarms(
    checks: Mapping[str, Check], confidence: float, data_drift: MetricValue | None, created: Sequence[datetime]
) -> str:
    """Return the expected false alarms as one sentence, or an empty text if theory says nothing about these checks.

    `expected false alarms without drift: at most 2.6 a year (column drift: level 0.05; evaluated every 7 days)`
    """
    rate = estimate_evaluations_a_year(created)
    texts = []
    for found in expect_false_alarms(checks, confidence, data_drift, created):
        times = found.share * (rate[0] if rate else 100)
        period = "a year" if rate else "in 100 evaluations"
        level = f"{'level' if found.at_most else 'probability'} {found.share:.2g}"
        together = " together" if len(found.checks) > 1 else ""
        bound = "at most " if found.at_most else "about "
        texts.append(
            f"{bound}{_format_times(times)} {period} ({join_some(found.checks, 5)}: {level}{together}{found.given})"
        )
    if not texts:
        return ""
    often = f"; evaluated every {_format_gap(rate[1])} so far" if rate else ""
    return f"expected false alarms without drift: {', '.join(texts)}{often}"


def _format_times(times: float) -> str:
    return f"{times:.1f}" if 0.05 <= times < 100 else f"{times:,.0f}" if times >= 100 else "0 (less than 0.05)"


def _format_gap(gap: timedelta) -> str:
    days = gap / timedelta(days=1)
    return f"{days:.3g} days" if days >= 1.5 else f"{gap / timedelta(hours=1):.3g} hours"
