"""Rows of a side with the model's predictions and, if known, the true values: the input of performance estimates.

They are a bounded sample of the rows with a prediction, drawn by content, and stored with the snapshot: so performance
can be estimated against any reference, and again when an evaluation is compared with another one.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine import drift
from engine.data.spark.spark_rows import SparkRows
from engine.drift.reading.normalization import column_named
from engine.evaluation.snapshots.files import SCORED_ROWS_FILE
from engine.models import FittedModel, encode_classes, find_predicted, label_of
from engine.models.spark_scoring import join_spark_scores

PREDICTED, TRUTH, SCORE = "__predicted", "__truth", "__score_"
"""Columns besides the features: the index of the predicted or true class, or the number; and the probability by
class."""

USABLE = "__usable"
"""The column that marks the rows that can be drawn."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """A sample of rows with predictions.

    Attributes
    ----------
    frame
        The compared columns, the entity, `PREDICTED`, `TRUTH` (null without a label) and the probabilities.
    task
        The task of the model.
    classes
        The labels of the classes by index, the positive one of two last; empty for a regression.
    scored_by
        The fingerprint of the model.
    """

    frame: pl.DataFrame
    task: str
    classes: tuple[str, ...]
    scored_by: str

    def facts(self) -> dict[str, Any]:
        """Return everything except the rows, ready for JSON."""
        return {"task": self.task, "classes": list(self.classes), "scored_by": self.scored_by}

    @classmethod
    def load(cls, folder: Path, facts: Mapping[str, Any] | None) -> ScoredRows | None:
        """Load the rows of a snapshot; None if it has none."""
        if facts is None:
            return None
        frame = pl.read_parquet(folder / SCORED_ROWS_FILE)
        return cls(frame, facts["task"], tuple(facts["classes"]), facts["scored_by"])

    @classmethod
    def union(cls, parts: Sequence[ScoredRows | None], roles: Mapping[str, drift.Role]) -> ScoredRows | None:
        """Unite the rows of several batches; None unless all have rows scored by the same model."""
        known = [one for one in parts if one is not None]
        if len(known) < len(parts) or len({(one.scored_by, one.classes) for one in known}) != 1:
            return None
        first = known[0]
        shared = [name for name in first.frame.columns if all(name in one.frame.columns for one in known)]
        frame = drift.unite_samples([one.frame.select(shared) for one in known], roles)
        return cls(frame, first.task, first.classes, first.scored_by)


def sample_scored_rows(
    frame: pl.LazyFrame,
    scored: pl.DataFrame,
    columns: Sequence[str],
    model: FittedModel,
    scored_by: str,
    *,
    entity: str | None,
    rows: int,
    seed: int,
) -> ScoredRows:
    """Draw rows with a prediction.

    Parameters
    ----------
    frame, scored
        The rows, and their scores with the target, in the same order.
    columns
        The compared columns.
    rows
        Maximum number of rows to keep.
    """
    described = _describe_scores(model, scored, complete=bool(find_predicted(scored).any()))
    kept = _list_kept(columns, entity)
    joined = pl.concat([frame.select(kept), described.lazy()], how="horizontal").filter(USABLE)
    return _draw_scored_rows(joined, [*kept, *described.columns], model, scored_by, entity, rows, seed)


def sample_spark_scored_rows(
    held: SparkRows,
    aligning: Mapping[str, pl.Expr],
    reading: Mapping[str, pl.Expr],
    scored: pl.DataFrame,
    columns: Sequence[str],
    model: FittedModel,
    scored_by: str,
    *,
    entity: str | None,
    rows: int,
    seed: int,
) -> ScoredRows:
    """Draw rows with a prediction from rows in Spark, which are scored while they are read.

    Parameters
    ----------
    held
        The rows.
    aligning, reading
        The expressions of columns that must be converted: for the model, and for the comparison.
    scored
        The scores of all rows with the target, in any order.
    columns, rows
        See `sample_scored_rows`.
    """
    describe = partial(_describe_scores, complete=bool(find_predicted(scored).any()))
    described = describe(model, scored.clear())
    kept = {name: reading.get(name, column_named(name)) for name in _list_kept(columns, entity)}
    joined = join_spark_scores(model, held, aligning, kept, scored.clear(), partial(_select_usable, describe))
    return _draw_scored_rows(joined, [*kept, *described.columns], model, scored_by, entity, rows, seed)


def _draw_scored_rows(
    joined: Any,
    names: Sequence[str],
    model: FittedModel,
    scored_by: str,
    entity: str | None,
    rows: int,
    seed: int,
) -> ScoredRows:
    drawn = drift.sample(joined, [one for one in names if one not in (entity, USABLE)], rows, entity=entity, seed=seed)
    return ScoredRows(drawn, model.task, tuple(map(label_of, _order_outcomes(model))), scored_by)


def _select_usable(
    describe: Callable[[FittedModel, pl.DataFrame], pl.DataFrame],
    model: FittedModel,
    rows: pl.DataFrame,
    scored: pl.DataFrame,
) -> pl.DataFrame:
    """Return the usable rows, with the description of their scores."""
    return pl.concat([rows, describe(model, scored)], how="horizontal").filter(USABLE).drop(USABLE)


def _list_kept(columns: Sequence[str], entity: str | None) -> list[str]:
    kept = [name for name in columns if not name.startswith("__")]
    return [*kept, *([entity] if entity and entity not in kept else [])]


def _order_outcomes(model: FittedModel) -> list[Any]:
    """Return the classes of a model, the positive one of two last."""
    outcomes = list(model.classes)
    if model.positive is not None and outcomes.index(model.positive) == 0:
        outcomes.reverse()
    return outcomes


def _describe_scores(model: FittedModel, scored: pl.DataFrame, *, complete: bool) -> pl.DataFrame:
    """Return predictions and true values of rows in the form of `ScoredRows`, and which rows are `USABLE`.

    `complete` means that some row has a prediction with all its probabilities: then only such rows are usable.
    """
    outcomes = _order_outcomes(model)
    has_target = model.target in scored.columns
    if model.task == "regression":
        added = {PREDICTED: scored["prediction"].cast(pl.Float64)}
        truth = scored[model.target].cast(pl.Float64, strict=False) if has_target else None
        added[TRUTH] = pl.Series([None] * scored.height, dtype=pl.Float64) if truth is None else truth
        added = {name: one.replace([np.inf, -np.inf, np.nan], None) for name, one in added.items()}
    else:
        wanted = {PREDICTED: scored["prediction"], **({TRUTH: scored[model.target]} if has_target else {})}
        added = {name: _number_classes(values, outcomes) for name, values in wanted.items()}
        if not has_target:
            added[TRUTH] = pl.Series([None] * scored.height, dtype=pl.Int64)
        for i, one in enumerate(outcomes):
            name = f"probability_{model.classes.index(one)}"
            if name in scored.columns:
                added[f"{SCORE}{i}"] = scored[name]
    usable = find_predicted(scored) if complete else np.ones(scored.height, bool)
    return pl.DataFrame({name: one.rename(name) for name, one in added.items()}).with_columns(
        pl.Series(USABLE, usable) & added[PREDICTED].is_not_null()
    )


def _number_classes(values: pl.Series, outcomes: Sequence[Any]) -> pl.Series:
    """Return the index of each value's class, null if it is missing or unknown."""
    numbers = pl.Series(encode_classes(values, outcomes))
    return numbers.set(numbers < 0, None)
