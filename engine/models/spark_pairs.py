"""Score rows in Spark with two models in one pass: another pass might read the rows in another order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.data.repeated_rows import hash_rows_by
from engine.data.spark.executor_tasks import filter_rows
from engine.data.spark.spark_rows import SparkRows
from engine.models.fitted_model import FittedModel, score_frame
from engine.models.spark_scoring import Score, SentModel, is_sent, score_batch

Columns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoredSide:
    """One of the models that score the same rows.

    Attributes
    ----------
    aligning
        The expressions of the columns that must be converted for the model.
    keep
        Columns to return with the scores, such as target and entity.
    """

    model: FittedModel
    aligning: Mapping[str, pl.Expr]
    keep: Sequence[str]


def score_spark_pair(
    sides: Sequence[ScoredSide], rows: SparkRows, hashed: Sequence[Columns]
) -> tuple[list[pl.DataFrame], dict[Columns, npt.NDArray[np.uint64]]]:
    """Score rows in Spark with several models; the executors do it if all models can be sent to them.

    Parameters
    ----------
    hashed
        The sets of columns to hash, one hash per set.

    Returns
    -------
    scores, hashes
        Per model, the scores as in `score_frame`; and per set of columns the row hashes, shape (n,). All have the same
        order.

    Raises
    ------
    ModelError
        A model cannot score the rows.
    DatabaseError
        Spark does not answer.
    """
    frame = rows.scan()
    empty = [score_frame(one.model, frame.with_columns(one.aligning.values()).limit(0), one.keep) for one in sides]
    of_sides = [name for one in sides for name in (*one.model.predictor.columns, *one.keep)]
    needed = list(dict.fromkeys([*of_sides, *(name for columns in hashed for name in columns)]))
    keep = [list(one.keep) for one in sides]
    if all(is_sent(one.model) for one in sides):
        sent = [SentModel.pack(one.model, one.aligning, needed).open for one in sides]
        parts = list(rows.run(needed, partial(_score_pairs, sent, keep, hashed)))
    else:
        here = [partial(_open_here, one, needed) for one in sides]
        parts = list(_score_pairs(here, keep, hashed, rows.run(needed, partial(filter_rows, None))))
    if not parts:
        return empty, {columns: np.empty(0, np.uint64) for columns in hashed}
    whole = pl.concat(parts, how="vertical_relaxed")
    scores = [whole[f"scores {number}"].struct.unnest() for number in range(len(sides))]
    return scores, {columns: whole[f"hash {number}"].to_numpy() for number, columns in enumerate(hashed)}


def _open_here(side: ScoredSide, needed: Sequence[str]) -> Score:
    return partial(score_batch, side.model, [one for name, one in side.aligning.items() if name in needed])


def _score_pairs(
    models: Sequence[Callable[[], Score]],
    keep: Sequence[Sequence[str]],
    hashed: Sequence[Columns],
    batches: Iterator[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """Yield, per batch, the scores by each model as a column of structures, and the hashes of the rows."""
    scorers = [open_model() for open_model in models]
    for batch in batches:
        columns = []
        for number, (score, kept) in enumerate(zip(scorers, keep, strict=True)):
            aligned, scores = score(batch)
            columns.append(pl.concat([aligned.select(kept), scores], how="horizontal").to_struct(f"scores {number}"))
        yield pl.concat([pl.DataFrame(columns), hash_rows_by(batch.lazy(), hashed).collect()], how="horizontal")
