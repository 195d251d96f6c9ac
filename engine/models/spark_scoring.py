"""Scores of rows that stay with Spark: executors compute them, and what performance needs is read into this machine.

An estimator travels as the bytes of a .skops file that was written here, after it was loaded by the rules of trust. A
model that is a function of the user's is not sent: its module may not be there, so its rows are read and scored here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from engine.data.spark.spark_rows import SparkRows
from engine.drift.reading.normalization import column_named
from engine.drift.reading.segment_marks import SegmentMarks
from engine.models.fitted_model import FittedModel, score_frame
from engine.models.loading import EstimatorPredictor
from engine.models.training import TrainedPredictor
from engine.models.versions.skops_files import dump_estimator, load_estimator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Join = Callable[[FittedModel, pl.DataFrame, pl.DataFrame], pl.DataFrame]

MEMBERS = "\0members"
"""The column of the segments that a row belongs to."""

MAX_SCORED_ROWS = 50_000_000
"""The most rows whose scores are read into this machine: 40 bytes each, and several times that for intervals."""


def explain_too_many_rows(rows: SparkRows) -> str:
    """Return why rows in Spark are not scored; an empty text if they are."""
    if rows.count <= MAX_SCORED_ROWS:
        return ""
    return f"of {rows.count:,} rows, no scores are read: at most {MAX_SCORED_ROWS:,} are held; evaluate a part of them"


def score_spark_rows(
    model: FittedModel,
    rows: SparkRows,
    aligning: Mapping[str, pl.Expr],
    keep: Sequence[str],
    marks: SegmentMarks | None = None,
) -> pl.DataFrame:
    """Score rows that stay with Spark.

    Parameters
    ----------
    aligning
        The expressions of the columns that must be brought to another type before.
    keep
        Columns to return beside the scores, such as target and entity.
    marks
        What tells which rows belong to which segment; None if that is not wanted.

    Returns
    -------
    DataFrame
        As that of `score_frame`, with the rows in the order of the partitions; and `MEMBERS`, a structure with the mask
        of each segment, if it is wanted.

    Raises
    ------
    ModelError
        As `score_frame`; the row of a malformed prediction is counted within its batch.
    DatabaseError
        Spark does not answer.
    """
    frame = _mark_members(rows.scan(), marks).with_columns(aligning.values())
    wanted = [*keep, *([MEMBERS] if marks else [])]
    if not is_sent(model):
        return score_frame(model, frame, wanted)
    score_frame(model, frame.limit(0), wanted)  # which checks the columns
    needed = list(dict.fromkeys([*model.predictor.columns, *keep, *(marks.columns if marks else ())]))
    work = partial(_score_batches, SentModel.pack(model, aligning, needed), list(keep), marks)
    parts = list(rows.run(needed, work))
    return pl.concat(parts, how="vertical_relaxed") if parts else score_frame(model, frame.limit(0), wanted)


def join_spark_scores(
    model: FittedModel,
    rows: SparkRows,
    aligning: Mapping[str, pl.Expr],
    keep: Mapping[str, pl.Expr],
    scored: pl.DataFrame,
    join: Join,
) -> "DataFrame | pl.LazyFrame":
    """Return what is made of rows that stay with Spark and of their scores: they are scored whenever it is read.

    Parameters
    ----------
    aligning
        See `score_spark_rows`.
    keep
        The columns that `join` is given of the rows, each as its expression reads it.
    scored
        A frame without rows that has the columns of the scores, and the target if the rows have it.
    join
        Returns rows, which may be fewer, for the model, some rows and their scores; a function of a module.
    """
    target = [model.target] if model.target in scored.columns else []
    needed = list(dict.fromkeys([*model.predictor.columns, *keep, *target]))
    frame = rows.scan().select(map(column_named, needed))
    empty = join(model, frame.select(keep.values()).limit(0).collect(), scored)
    if is_sent(model):
        kept = [one.meta.serialize() for one in keep.values()]
        work = partial(_join_batches, SentModel.pack(model, aligning, needed), kept, target, join)
        return rows.give_frames(needed, work, empty)
    aligned = [one for name, one in aligning.items() if name in needed]

    def join_here(batch: pl.DataFrame) -> pl.DataFrame:
        if not batch.height:
            return empty
        read = batch.with_columns(aligned)
        scores = pl.concat([read.select(target), model.score(read)], how="horizontal")
        return join(model, batch.select(keep.values()), scores).cast(empty.schema)

    # rows and columns are scored as they are, whatever is wanted of the result
    return frame.map_batches(
        join_here,
        schema=empty.schema,
        streamable=True,
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )


def is_sent(model: FittedModel) -> bool:
    """Tell whether executors score rows with a model themselves."""
    return isinstance(model.predictor, EstimatorPredictor | TrainedPredictor)


@dataclass(frozen=True, slots=True)
class SentModel:
    """A model as it is sent to executors.

    Attributes
    ----------
    model
        The model without its estimator.
    estimator
        That, as the bytes of a .skops file.
    aligning
        The serialized expressions of columns that must be brought to another type before.
    """

    model: FittedModel
    estimator: bytes
    aligning: Sequence[bytes]

    @classmethod
    def pack(cls, model: FittedModel, aligning: Mapping[str, pl.Expr], needed: Sequence[str]) -> "SentModel":
        """Return a model to send, with the expressions of those columns that are needed."""
        assert isinstance(model.predictor, EstimatorPredictor | TrainedPredictor)  # noqa: S101 - no other is sent
        packed = [one.meta.serialize() for name, one in aligning.items() if name in needed]
        sent = replace(model, predictor=replace(model.predictor, estimator=None))
        return cls(sent, dump_estimator(model.predictor.estimator), packed)

    def score(self, batches: Iterator[pl.DataFrame]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
        """Yield each batch as it came, with its columns brought to the types of the model, and its scores."""
        predictor = self.model.predictor
        assert isinstance(predictor, EstimatorPredictor | TrainedPredictor)  # noqa: S101 - no other is sent
        loaded, _ = load_estimator(self.estimator, None, f"model {self.model.name}", "its estimator", "")
        fitted = replace(self.model, predictor=replace(predictor, estimator=loaded))
        aligned = [pl.Expr.deserialize(one) for one in self.aligning]
        for batch in batches:
            rows = batch.with_columns(aligned)
            yield batch, rows, fitted.score(rows)


def _score_batches(
    sent: SentModel, keep: Sequence[str], marks: SegmentMarks | None, batches: Iterator[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Yield the scores of each batch, with the columns to keep and the members of segments."""
    for batch, rows, scores in sent.score(batches):
        members = _mark_members(batch.lazy(), marks).select(MEMBERS).collect() if marks else pl.DataFrame()
        yield pl.concat([rows.select(keep), scores, members], how="horizontal")


def _join_batches(
    sent: SentModel, keep: Sequence[bytes], target: Sequence[str], join: Join, batches: Iterator[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    kept = [pl.Expr.deserialize(one) for one in keep]
    for batch, rows, scores in sent.score(batches):
        yield join(sent.model, batch.select(kept), pl.concat([rows.select(target), scores], how="horizontal"))


def _mark_members(frame: pl.LazyFrame, marks: SegmentMarks | None) -> pl.LazyFrame:
    """Return a frame with the members of segments, if they are wanted."""
    if marks is None:
        return frame

    def mark(rows: pl.Series) -> pl.Series:
        members = marks.mark(rows.struct.unnest())
        return pl.DataFrame(dict(members)).to_struct(MEMBERS)

    masks = pl.Struct(dict.fromkeys(marks.names, pl.Boolean))
    columns = pl.struct(map(column_named, marks.columns))
    return frame.with_columns(columns.map_batches(mark, masks, is_elementwise=True).alias(MEMBERS))
