"""Measure the predictions of a side: their profiles, and the performance as metric values."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

import polars as pl

from engine import drift
from engine.evaluation.record import MetricValue
from engine.models import FittedModel, Performance


def profile_predictions(
    scored: pl.DataFrame, model: FittedModel, entity: str | None, against: drift.Profile | None
) -> drift.Profile:
    """Profile the predictions: the class or value, and the probability of the positive class if there is one."""
    predictions = scored.select("prediction", *([entity] if entity else []))
    roles = {"prediction": drift.Role.NUMERICAL if model.task == "regression" else drift.Role.CATEGORICAL}
    if model.task != "regression" and not scored["prediction"].dtype.is_float():  # drift writes the class 1.0 as 1
        predictions = predictions.with_columns(pl.col("prediction").cast(pl.String))
    if model.positive is not None:
        column = f"probability_{model.classes.index(model.positive)}"
        if column in scored.columns:
            predictions = predictions.with_columns(scored[column].alias("probability"))
            roles["probability"] = drift.Role.NUMERICAL
        elif not scored.height and against is not None and "probability" in against.columns:
            # A batch without rows was not scored; it needs the columns that are compared.
            predictions = predictions.with_columns(pl.lit(None, pl.Float64).alias("probability"))
            roles["probability"] = drift.Role.NUMERICAL
    return drift.profile(predictions, roles, entity=entity, against=against)


def performance_metrics(measured: Performance) -> dict[str, MetricValue]:
    """Return the performance as metric values, with the shares of the rows that cannot be measured.

    These shares have no interval, because they count the rows of this batch and estimate nothing.
    """
    unlabelled = measured.unlabelled
    shares = {
        "labelled_share": measured.labelled_share,
        "prediction_missing_share": measured.prediction_missing_share,
    }
    return {
        **{
            name: MetricValue(share, reason=None if share is not None else "there are no rows")
            for name, share in shares.items()
        },
        **{
            name: MetricValue(
                value,
                measured.intervals[name][0] if name in measured.intervals else None,
                measured.intervals[name][1] if name in measured.intervals else None,
                reason=measured.reasons.get(name) or measured.interval_reasons.get(name),
                counts_as_ok=value is None and unlabelled,
            )
            for name, value in measured.metrics.items()
        },
    }
