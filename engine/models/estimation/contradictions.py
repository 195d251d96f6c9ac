"""Test whether labels that arrived contradict the estimates made without them.

An estimate assumes that rows with the same score (and covariates, if they are weighted) have the same outcomes on
average. Rows with a label can test this assumption, whatever the reason why the others have none: each metric computed
from their labels is compared with its expected value for the same rows. A difference that chance does not explain means
that the relation between columns and target changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from engine.models.estimation.estimates import FEWEST_EXPECTED, Rows
from engine.models.estimation.expected_metrics import Expected, iterate_expected
from engine.models.estimation.expected_outcomes import OutcomeModel
from engine.models.metrics.intervals import FEWEST_UNITS
from engine.models.metrics.performance_detail import LabelComparison

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A comparison of labels with estimates: metrics by p-value, smallest first, or the reason why there is none."""

    compared: tuple[LabelComparison, ...] = ()
    reason: str = ""
    rows: int = 0


def compare_with_labels(rows: Rows, model: OutcomeModel, outcomes: Floats) -> Contradiction:
    """Compare the metrics of rows that all have a label with their expected values.

    Parameters
    ----------
    rows
        The rows with a label.
    outcomes
        Their outcomes, shape (n, outcomes).
    """
    units = rows.units
    if not len(outcomes) or units.count < FEWEST_UNITS:
        return Contradiction(
            reason=f"{units.count if len(outcomes) else 0:,} {units.noun} have a label, at least {FEWEST_UNITS} needed"
        )
    expected = model.expect(rows.scores)
    promised = rows.expect(expected)
    found = rows.measure(outcomes, np.zeros_like(outcomes), np.ones(len(outcomes)))
    # Metrics of a rare class need some rows of it, both expected and actual.
    rare = model.is_binary and min(outcomes.sum(axis=0).min(), expected.outcomes.sum(axis=0).min()) < FEWEST_EXPECTED
    whole = ("accuracy", "log_loss", "brier")
    raw: dict[str, tuple[float, float, float]] = {}
    for name, one in iterate_expected(promised):
        real = found[name]
        if name == "calibration_error" or not isinstance(real, Expected) or (rare and name not in whole):
            continue
        influence = (np.broadcast_to(one.influence, outcomes.shape) + real.influence) / 2
        off = (influence * (outcomes - expected.outcomes)).sum(axis=1)
        sums = units.add_up(off - off.mean())
        variance = float((sums * sums).sum()) * units.count / (units.count - 1) / len(off) ** 2
        variance += expected.variance_of_model(one)
        raw[name] = one.value, real.value, _two_sided(off.mean() / sqrt(variance), units.count) if variance > 0 else 1.0
    adjusted = _adjust({name: p for name, (_, _, p) in raw.items()})
    return Contradiction(
        tuple(LabelComparison(name, raw[name][0], raw[name][1], p) for name, p in adjusted.items()), rows=len(outcomes)
    )


def _two_sided(t: float, units: int) -> float:
    from scipy.special import stdtr  # imported late, as for the intervals

    return float(2 * stdtr(units - 1, -abs(t)))


def _adjust(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values adjusted for their number (Holm 1979), smallest first."""
    adjusted, last = {}, 0.0
    for i, (name, p) in enumerate(sorted(p_values.items(), key=lambda one: one[1])):
        last = adjusted[name] = max(last, min(1.0, p * (len(p_values) - i)))
    return adjusted
