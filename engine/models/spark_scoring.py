"""Score rows in Spark: executors compute the scores, and the columns needed for performance are read into this process.

An estimator is sent as the bytes of a .skops file, written here after the estimator was loaded by the rules of trust. A
user's function is not sent, because its module may be missing there: its rows are read and scored in this process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from engine.data.spark.spark_rows import SparkRows
from engine.drift.reading.normalization import column_named
from engine.drift.reading.segment_marks import SegmentMarks
from engine.models.fitted_model import FittedModel, RowError, score_frame
from engine.models.loading import EstimatorPredictor
from engine.models.training import TrainedPredictor
from engine.models.versions.skops_files import dump_estimator, load_estimator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Score = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]
"""Returns a batch with its columns converted to the model's types, and its scores."""

Join = Callable[[FittedModel, pl.DataFrame, pl.DataFrame], pl.DataFrame]

MEMBERS = "\0members"
"""The name of the column with the segments of a row."""

MAX_SCORED_ROWS = 50_000_000
"""Maximum number of rows whose scores are read into this process: 40 bytes each, and several times that for
intervals."""


def explain_too_many_rows(rows: SparkRows) -> str:
    """Return why rows in Spark are too many to score; an empty text if they are not."""
    if rows.count <= MAX_SCORED_ROWS:
        return ""
    return f"of {rows.count:,} rows, no scores are read: at most {MAX_SCORED_ROWS:,} are held; evaluate a part of them"


def score_spark_rows(
    model: FittedModel,
    rows: SparkRows,
    aligning: Mapping[str, pl.Expr],
    keep: Sequence[str],
    marks: SegmentMarks | None,
) -> pl.DataFrame:
    """Score rows in Spark.

    Parameters
    ----------
    aligning
        The expressions of the columns that must be converted before.
    keep
        Columns to return with the scores, such as target and entity.
    marks
        Marks the rows of segments; None if not wanted.

    Returns
    -------
    DataFrame
        Like that of `score_frame`, with the rows in the order of the partitions; and, if wanted, `MEMBERS`, a structure
        with the mask of each segment.

    Raises
    ------
    ModelError
        As in `score_frame`; the row of a malformed prediction is counted within its batch.
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
    """Return the result of `join` for rows in Spark and their scores; they are scored whenever the result is read.

    Parameters
    ----------
    aligning
        See `score_spark_rows`.
    keep
        The columns of the rows that are passed to `join`, each read by its expression.
    scored
        A frame without rows that has the score columns, and the target if the rows have it.
    join
        Returns rows, possibly fewer, from the model, some rows and their scores; a function of a module.
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
        read, scores = score_batch(model, aligned, batch)
        with_target = pl.concat([read.select(target), scores], how="horizontal")
        return join(model, batch.select(keep.values()), with_target).cast(empty.schema)

    # all rows and columns are scored, whatever part of the result is used
    return frame.map_batches(
        join_here,
        schema=empty.schema,
        streamable=True,
        predicate_pushdown=False,
        projection_pushdown=False,
        slice_pushdown=False,
    )


def score_batch(
    model: FittedModel, aligned: Sequence[pl.Expr], batch: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a batch with some columns converted, and its scores; raises ModelError."""
    rows = batch.with_columns(aligned)
    try:
        return rows, model.score(rows)
    except RowError as fault:
        raise fault.name_place(f"row {fault.row + 1:,} of {batch.height:,} that were read at once") from None


def is_sent(model: FittedModel) -> bool:
    """Return whether executors can score rows with a model themselves."""
    return isinstance(model.predictor, EstimatorPredictor | TrainedPredictor)


@dataclass(frozen=True, slots=True)
class SentModel:
    """A model in the form in which it is sent to executors.

    Attributes
    ----------
    model
        The model without its estimator.
    estimator
        The estimator, as the bytes of a .skops file.
    aligning
        The serialized expressions of columns that must be converted before.
    """

    model: FittedModel
    estimator: bytes
    aligning: Sequence[bytes]

    @classmethod
    def pack(cls, model: FittedModel, aligning: Mapping[str, pl.Expr], needed: Sequence[str]) -> "SentModel":
        """Return a model to send, with the expressions of the needed columns."""
        assert isinstance(model.predictor, EstimatorPredictor | TrainedPredictor)  # noqa: S101 - no other is sent
        packed = [one.meta.serialize() for name, one in aligning.items() if name in needed]
        sent = replace(model, predictor=replace(model.predictor, estimator=None))
        return cls(sent, dump_estimator(model.predictor.estimator), packed)

    def open(self) -> Score:
        """Return the function that scores batches on an executor."""
        predictor = self.model.predictor
        assert isinstance(predictor, EstimatorPredictor | TrainedPredictor)  # noqa: S101 - no other is sent
        loaded, _ = load_estimator(self.estimator, None, f"model {self.model.name}", "its estimator", "")
        fitted = replace(self.model, predictor=replace(predictor, estimator=loaded))
        return partial(score_batch, fitted, [pl.Expr.deserialize(one) for one in self.aligning])


def _score_batches(
    sent: SentModel, keep: Sequence[str], marks: SegmentMarks | None, batches: Iterator[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """Yield the scores of each batch, with the columns to keep and the members of segments."""
    score = sent.open()
    for batch in batches:
        rows, scores = score(batch)
        members = _mark_members(batch.lazy(), marks).select(MEMBERS).collect() if marks else pl.DataFrame()
        yield pl.concat([rows.select(keep), scores, members], how="horizontal")


def _join_batches(
    sent: SentModel, keep: Sequence[bytes], target: Sequence[str], join: Join, batches: Iterator[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    kept = [pl.Expr.deserialize(one) for one in keep]
    score = sent.open()
    for batch in batches:
        rows, scores = score(batch)
        yield join(sent.model, batch.select(kept), pl.concat([rows.select(target), scores], how="horizontal"))


def _mark_members(frame: pl.LazyFrame, marks: SegmentMarks | None) -> pl.LazyFrame:
    """Return a frame with the segment members, if they are wanted."""
    if marks is None:
        return frame

    def mark(rows: pl.Series) -> pl.Series:
        members = marks.mark(rows.struct.unnest())
        return pl.DataFrame(dict(members)).to_struct(MEMBERS)

    masks = pl.Struct(dict.fromkeys(marks.names, pl.Boolean))
    columns = pl.struct(map(column_named, marks.columns))
    return frame.with_columns(columns.map_batches(mark, masks, is_elementwise=True).alias(MEMBERS))
