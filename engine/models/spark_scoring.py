"""Scores of rows that stay with Spark: executors compute them, and what performance needs is read into this machine.

An estimator travels as the bytes of a .skops file that was written here, after it was loaded by the rules of trust. A
model that is a function of the user's is not sent: its module may not be there, so its rows are read and scored here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import polars as pl

from engine.data.spark.spark_rows import SparkRows
from engine.models.fitted_model import FittedModel, score_frame
from engine.models.loading import EstimatorPredictor
from engine.models.skops_files import dump_estimator, load_estimator
from engine.models.training import TrainedPredictor

MAX_SCORED_ROWS = 50_000_000
"""The most rows whose scores are read into this machine: 40 bytes each, and several times that for intervals."""


def explain_too_many_rows(rows: SparkRows) -> str:
    """Return why rows in Spark are not scored; an empty text if they are."""
    if rows.count <= MAX_SCORED_ROWS:
        return ""
    return f"of {rows.count:,} rows, no scores are read: at most {MAX_SCORED_ROWS:,} are held; evaluate a part of them"


def score_spark_rows(
    model: FittedModel, rows: SparkRows, aligning: Mapping[str, pl.Expr], keep: Sequence[str]
) -> pl.DataFrame:
    """Score rows that stay with Spark.

    Parameters
    ----------
    aligning
        The expressions of the columns that must be brought to another type before.
    keep
        Columns to return beside the scores, such as target and entity.

    Returns
    -------
    DataFrame
        As that of `score_frame`, with the rows in the order of the partitions.

    Raises
    ------
    ModelError
        As `score_frame`; the row of a malformed prediction is counted within its batch.
    DatabaseError
        Spark does not answer.
    """
    frame = rows.scan().with_columns(aligning.values())
    predictor = model.predictor
    if not isinstance(predictor, EstimatorPredictor | TrainedPredictor):
        return score_frame(model, frame, keep)
    score_frame(model, frame.limit(0), keep)  # which checks the columns
    needed = dict.fromkeys([*predictor.columns, *keep])
    sent = replace(model, predictor=replace(predictor, estimator=None))
    packed = [one.meta.serialize() for name, one in aligning.items() if name in needed]
    work = partial(_score_batches, sent, dump_estimator(predictor.estimator), packed, list(keep))
    parts = list(rows.run(list(needed), work))
    return pl.concat(parts, how="vertical_relaxed") if parts else score_frame(model, frame.limit(0), keep)


def _score_batches(
    model: FittedModel,
    estimator: bytes,
    aligning: Sequence[bytes],
    keep: Sequence[str],
    batches: Iterator[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """Yield the scores of each batch, with the columns to keep; the model has come without its estimator."""
    loaded, _ = load_estimator(estimator, None, f"model {model.name}", "its estimator", "")
    assert isinstance(model.predictor, EstimatorPredictor | TrainedPredictor)  # noqa: S101 - no other is sent
    fitted = replace(model, predictor=replace(model.predictor, estimator=loaded))
    aligned = [pl.Expr.deserialize(one) for one in aligning]
    for batch in batches:
        rows = batch.with_columns(aligned)
        yield pl.concat([rows.select(keep), fitted.score(rows)], how="horizontal")
