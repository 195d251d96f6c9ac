"""Test whether the rows with a label are representative, because performance is measured on them alone.

Labels rarely arrive at random: refused customers never pay back, and simple cases are decided first. Whether that
matters shows in the predictions, which all rows have: those of the labelled rows are compared with those of the others,
by the test that compares a batch with its reference.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from dataclasses import dataclass

from engine import drift
from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_figure


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The profiles of the predictions of the rows with a label, and of the rows without."""

    labelled: drift.Profile
    unlabelled: drift.Profile


def compare_labelled_rows(
    sides: LabelledRows | None, labelled_share: MetricValue | None, confidence: float
) -> tuple[dict[str, MetricValue], tuple[str, ...]]:
    """Return the metric `labelled_drift`, and a note if the two sides differ.

    Parameters
    ----------
    sides
        None if all rows have a label or none has.
    labelled_share
        The metric of the batch; None without a model, and then there is no `labelled_drift` either.
    """
    if labelled_share is None:
        return {}, ()
    if sides is None:
        share = labelled_share.value
        which = {0.0: "no row has a label", 1.0: "every row has a label"}
        reason = labelled_share.reason if share is None else which.get(share, "it was not measured")
        return {"labelled_drift": MetricValue(None, reason=reason, counts_as_ok=share in which)}, ()
    compared = drift.compare(sides.unlabelled, sides.labelled, confidence=confidence)
    what = "probability" if "probability" in compared.columns else "prediction"
    column = compared.columns[what]
    metric = MetricValue(column.drift, p_value=column.drift_p, reason=column.reasons.get("drift"))
    if not column.drift:
        return {"labelled_drift": metric}, ()
    note = (
        f"the {sides.labelled.rows:,} labelled rows differ from the {sides.unlabelled.rows:,} unlabelled ones in the "
        f"{what} (drift {format_figure(column.drift)}): performance may not hold for all rows"
    )
    return {"labelled_drift": metric}, (note,)
