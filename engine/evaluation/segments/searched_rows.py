"""The rows of both sides for a search for segments: their two halves, the columns for conditions, and conditions."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import drift
from engine.data import Table
from engine.data.segments import SegmentRules, find_members
from engine.errors import Position
from engine.evaluation.performance.scored_performance import measure_losses
from engine.evaluation.snapshots.scored_rows import PREDICTED, SCORE, ScoredRows
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.sql.row_conditions import bind_row_condition, write_row_condition

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SearchedSide:
    """The rows of one side.

    Attributes
    ----------
    scored
        The same rows with the model's predictions; None without comparable scores.
    losses
        NaN if a loss is unknown, shape (rows,).
    searched, unseen
        The rows that are searched and those that are not, one per entity, ordered by a hash.
    tested
        Mask of the rows left for the test, shape (rows,).
    """

    frame: pl.DataFrame
    scored: ScoredRows | None
    losses: Floats
    searched: Ints
    unseen: Ints
    tested: Bools

    def take(self, rows: Ints) -> SearchedSide:
        """Return the selected rows, for the test."""
        scored = self.scored and replace(self.scored, frame=self.scored.frame[rows])
        return SearchedSide(
            self.frame[rows], scored, self.losses[rows], self.searched[:0], self.unseen[:0], self.tested[rows]
        )


def have_comparable_scores(reference: Snapshot, batch: Snapshot) -> bool:
    """Return whether both sides keep rows scored by the same model."""
    reference_rows, batch_rows = reference.scored_rows, batch.scored_rows
    if reference_rows is None or batch_rows is None:
        return False
    return (reference_rows.scored_by, reference_rows.classes) == (batch_rows.scored_by, batch_rows.classes)


def divide_rows(of: Snapshot, frame: pl.DataFrame, entity: str | None, seed: int, *, scored: bool) -> SearchedSide:
    """Divide the rows of a side by a hash of the entity, or of the row."""
    half = drift.number_folds(frame, 2, entity=entity, seed=seed)
    order = np.argsort(drift.number_folds(frame, 2**62, seed=seed + 1), kind="stable")
    if entity is not None:
        entities = frame[entity][order]
        order = order[(entities.is_first_distinct() | entities.is_null()).to_numpy()]
    rows = of.scored_rows if scored else None
    losses = np.full(frame.height, np.nan) if rows is None else measure_losses(rows)
    return SearchedSide(frame, rows, losses, order[half[order] == 0], order[half[order] == 1], half == 1)


def choose_columns(
    roles: Mapping[str, drift.Role], frames: Sequence[pl.DataFrame], wanted: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the columns that conditions may use, and those of the wanted ones (or all) that they cannot."""
    kinds = {
        name: {_name_kind(frame.schema[name], role) for frame in frames}
        for name, role in roles.items()
        if not wanted or name in wanted
    }
    usable = [name for name, found in kinds.items() if len(found) == 1 and "" not in found]
    return usable, [name for name in wanted or roles if name not in usable]


def _name_kind(dtype: pl.DataType, role: drift.Role) -> str:
    """Return the kind of literals in conditions on a column; empty if it can have none."""
    if role is drift.Role.NUMERICAL:
        return "number" if dtype.is_numeric() else ""
    if dtype == pl.Boolean or dtype.is_integer():
        return "truth" if dtype == pl.Boolean else "number"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else ""


def write_condition(one: drift.Condition, schema: Mapping[str, pl.DataType]) -> str:
    """Return a condition in SQL, given the types of the columns."""
    value: float | str | bool | None = one.value
    dtype = schema[one.column]
    if isinstance(value, str) and dtype == pl.Boolean:
        value = value == "true"
    elif isinstance(value, str) and dtype.is_integer():
        value = int(value)
    return write_row_condition(one.column, one.relation, value)


def find_rows(frame: pl.DataFrame, condition: str) -> Bools:
    """Return the mask of rows for which a condition holds, as for a declared segment."""
    rules = SegmentRules(
        conditions={condition: bind_row_condition(condition, {})}, places={condition: Position("find_segments")}
    )
    return find_members(Table("rows", frame.lazy(), ""), rules).rows[condition].to_numpy()


def list_prediction_columns(scored: ScoredRows | None) -> dict[str, drift.Role]:
    """Return the columns of scored rows that show changes of predictions, with their roles."""
    if scored is None:
        return {}
    if scored.task == "regression":
        return {PREDICTED: drift.Role.NUMERICAL}
    probability = f"{SCORE}{len(scored.classes) - 1}"
    binary = scored.task == "binary_classification" and probability in scored.frame.columns
    return {PREDICTED: drift.Role.CATEGORICAL, **({probability: drift.Role.NUMERICAL} if binary else {})}


def score_excess(
    sides: Sequence[SearchedSide],
    members: Sequence[Bools],
    before: Sequence[Sequence[Bools]],
    roles: Mapping[str, drift.Role],
) -> dict[str | None, float]:
    """Return the drift of each column, and of the losses, in a group beyond their drift in all rows.

    Parameters
    ----------
    members
        Masks of each side's rows in the group, shape (rows,) each.
    before
        The same for the groups proposed before: the group must stand out without their rows.
    """
    rows = [
        side.unseen[~np.any([np.zeros(side.frame.height, np.bool_), *(one[i] for one in before)], axis=0)[side.unseen]]
        for i, side in enumerate(sides)
    ]
    losses = [side.losses[of] for side, of in zip(sides, rows, strict=True)]
    return drift.score_subgroup(
        sides[0].frame[rows[0]],
        sides[1].frame[rows[1]],
        roles,
        (members[0][rows[0]], members[1][rows[1]]),
        losses=(losses[0], losses[1]) if all(np.isfinite(one).any() for one in losses) else None,
    )


def describe_sample(
    snapshots: Sequence[Snapshot], sides: Sequence[SearchedSide], columns: int, split_by: int
) -> list[str]:
    """Return a note for each side if only a sample of its rows is used."""
    most = drift.count_searched_rows(columns, split_by)
    notes = []
    for of, side, name in zip(snapshots, sides, ("reference", "batch"), strict=True):
        searched, tested = min(most, len(side.searched)), int(side.tested.sum())
        if side.frame.height < of.columns.rows or searched < len(side.searched):
            notes.append(
                f"of {of.columns.rows:,} rows of the {name}, {searched:,} are searched and {tested:,} kept for the test"
            )
    return notes
