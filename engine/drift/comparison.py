"""Compare the profiles of a reference and a batch: statistics and one verdict per column.

The verdicts are adjusted for the number of columns, so they hold for all columns together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.drift import NOTABLE_DRIFT, verdict
from engine.drift.alignment import Alignment, align_columns, find_type_changes
from engine.drift.column_statistics import ColumnStatistics, measure_column
from engine.drift.columns import Categorical, Column, Numerical
from engine.drift.profiles import Profile, profile, read_batch_columns
from engine.drift.roles import Role
from engine.drift.sources import open_table
from engine.drift.threads import parallel_map
from engine.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """The result of the comparison for one column.

    Attributes
    ----------
    drift
        The effect size of the verdict, 0 to 1; 0 where the difference is not significant.
    drift_p
        The p-value of the verdict, adjusted for the number of columns (Holm 1979).
    statistics
        All other statistics by name; None where one cannot be computed.
    reasons
        For each statistic that is None, why.
    bounds
        For each statistic that is not exact, the two numbers that it certainly lies between; `statistics` then has the
        middle.
    type_change
        If the batch holds the column in another family of types than the reference: what it is, what it was, and how
        it is read; else an empty text.
    measured
        Whether the batch has the column, and it can be read.
    histogram
        Ready for JSON: `edges` (inner edges; bins include their right edge, the outer bins are unbounded) or `labels`
        (and `other`, the rows of the categories not listed), the counts `reference` and `batch`, and `missing` rows of
        both sides.
    """

    role: Role
    drift: float | None
    drift_p: float | None
    significant: bool
    statistics: Mapping[str, float | None]
    reasons: Mapping[str, str]
    histogram: Mapping[str, Any]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    type_change: str = ""
    measured: bool = True


@dataclass(frozen=True, slots=True)
class Drift:
    """The comparison of a batch with a reference, column by column."""

    columns: Mapping[str, ColumnDrift]
    notes: tuple[str, ...] = ()

    @property
    def drifted_columns(self) -> int:
        """Number of columns whose drift is at least 0.1."""
        return sum((c.drift or 0) >= NOTABLE_DRIFT for c in self.columns.values())

    @property
    def drifted_share(self) -> float | None:
        """Share of the columns with a verdict whose drift is at least 0.1; None if no column has one."""
        judged = sum(column.drift is not None for column in self.columns.values())
        return self.drifted_columns / judged if judged else None


def compare(
    reference: Profile | Any, batch: Profile | Any, *, confidence: float = 0.95, seed: int = 0, exact: bool = True
) -> Drift:
    """Compare `batch` with `reference`, column by column.

    Statistics and effect sizes use all rows. Where the profiles have an entity, p-values use one row per entity and
    side, since the rows of one entity are not independent. Where a side is not exact, p-values are upper bounds.

    Parameters
    ----------
    reference
        A profile, which is made once for any number of batches; or the data to make one from (see `profile`).
    batch
        A profile of the same columns in the same roles; or data (see `profile`), which is read in bounded memory and
        brought to the types of the reference. A column that is gone or cannot be read has no statistics, for a reason;
        all others are compared. Columns that only the batch has are named in a note.
    confidence
        The confidence of all verdicts together: without drift, at most a share of 1 - confidence of all comparisons
        has any column with a drift above 0.
    seed
        Seed of the random permutations that the test uses: they change which rows count as the reference's and which
        as the batch's. Apart from it, verdicts depend only on the counts.
    exact
        True to read data of more than a million rows a second time where exact numbers need it. False to read it once:
        the distances and quantiles of columns with too many values then have `bounds`, about 1e-5 of the rows apart.

    Raises
    ------
    UsageError
        The confidence is not between 0 and 1.
    DataError
        The batch has no column of the reference that can be compared; only one of the two has an entity; or the
        product of their numbers of rows is 2**63 or more, which is three billion rows per side.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be a share between 0 and 1, such as 0.95; found {confidence}")
    read: dict[str, None] = {}  # what must be told about how files are read
    if not isinstance(reference, Profile):
        reference, said = open_table(reference)
        reference = profile(reference)
        read |= dict.fromkeys(f"reference: {note}" for note in said)
    if isinstance(batch, Profile):
        unmeasured, changes = _find_differences(reference, batch)
        single = {name for name, kind in batch.types.items() if kind == "float32"}
        rounded = {name for name, column in reference.describe_known_columns().items() if column.exact} & single
    else:
        frame, said = open_table(batch)
        read |= dict.fromkeys(f"batch: {note}" for note in said)
        batch = align_columns(frame, reference.describe_known_columns())
        unmeasured, changes, rounded = batch.unmeasured, batch.changes, set(batch.rounded)
    if unmeasured and len(unmeasured) == len(reference.columns):
        raise DataError(_explain_nothing_in_common(reference, batch, unmeasured))
    measured = reference.select([name for name in reference.columns if name not in unmeasured]).round_columns(rounded)
    level, tests = 1 - confidence, len(measured.columns)

    def measure(name: str, column: Column) -> ColumnStatistics:
        return measure_column(measured.columns[name], column, name=name, level=level, tests=tests, seed=seed)

    if isinstance(batch, Profile):
        columns_of_batch = batch.columns
        found = parallel_map(lambda name: measure(name, columns_of_batch[name]), measured.columns)
        findings = dict(zip(measured.columns, found, strict=True))
    else:
        findings = read_batch_columns(measured, batch.frame, measure, exact=exact)
    # the family of tests is all columns that are measured
    adjusted = verdict.adjust_p_values([f.p for f in findings.values()]).tolist()
    judged = {
        name: _judge_column(reference.columns[name].role, f, p, level)
        for (name, f), p in zip(findings.items(), adjusted, strict=True)
    }
    judged |= {name: _describe_unmeasured(reference.columns[name], reason) for name, reason in unmeasured.items()}
    columns = {name: replace(judged[name], type_change=changes.get(name, "")) for name in reference.columns}
    notes = [*read, *unmeasured.values(), *(changes[name] for name in changes if name not in unmeasured)]
    notes += [note for f in findings.values() for note in f.notes]
    wide = [name for name, column in reference.columns.items() if isinstance(column, Numerical) and column.intervals]
    if wide:
        notes.append(
            f"the reference has too many distinct values in {', '.join(map(repr, wide))} to keep all of them: "
            "distances and quantiles of these columns are given with bounds"
        )
    return Drift(columns, tuple(notes))


def _find_differences(reference: Profile, batch: Profile) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the columns of the reference that the batch's profile cannot be compared in, and those of another family.

    Raises
    ------
    DataError
        Only one of the two profiles has an entity.
    """
    if (reference.entities is None) != (batch.entities is None):
        having, lacking = ("reference", "batch") if batch.entities is None else ("batch", "reference")
        raise DataError(f"the {having} has an entity, and the {lacking} has none; declare the same entity for both")
    unmeasured = {}
    for name, column in reference.columns.items():
        if name not in batch.columns:
            unmeasured[name] = batch.unmeasured.get(name, f"the batch has no column {name!r}")
        elif (other := batch.columns[name].role) is not column.role:
            unmeasured[name] = f"column {name!r} is {column.role} in the reference, but {other} in the batch"
    changes = find_type_changes(batch.types, reference.describe_known_columns())
    return unmeasured, {
        **changes,
        **{name: change for name, change in batch.type_changes.items() if name in reference.columns},
    }


def _explain_nothing_in_common(reference: Profile, batch: Profile | Alignment, unmeasured: Mapping[str, str]) -> str:
    """Return the message for a batch that no column of the reference can be compared in."""
    if isinstance(batch, Profile) and not batch.rows:
        return "the batch has no rows, so there is nothing to compare"
    if isinstance(batch, Profile) and not batch.columns.keys() & reference.columns.keys():
        names = ", ".join(map(repr, reference.columns))
        return f"the batch lacks {names}, which the reference has; give both the same columns"
    return f"no column can be compared: {'; '.join(list(unmeasured.values())[:3])}"


def _describe_unmeasured(reference: Column, reason: str) -> ColumnDrift:
    """Return the result of a column that the batch does not have: what the reference is, and no other statistic."""
    if isinstance(reference, Numerical):
        nothing: Column = Numerical.exact(reference.values[:0], reference.counts[:0], 0)
    else:
        nothing = Categorical.from_labels([], np.empty(0, np.int64), 0)
    measured = measure_column(reference, nothing, name="", level=0.0, tests=1, seed=0)
    reasons = {name: reason for name, value in measured.statistics.items() if value is None}
    return ColumnDrift(
        reference.role, None, None, False, measured.statistics,
        {**reasons, "drift": reason, "drift_p": reason}, measured.histogram, measured=False,
    )  # fmt: skip


def _judge_column(role: Role, measured: ColumnStatistics, p: float, level: float) -> ColumnDrift:
    """Return the result of a column, given its p-value after adjustment for the number of columns."""
    if measured.bins is None:
        reasons = {"drift": measured.reasons["psi"], "drift_p": measured.reasons["psi"]}
        return ColumnDrift(role, None, None, False, measured.statistics, measured.reasons | reasons, measured.histogram)
    significant = p < level
    drift = verdict.effect_size(*measured.bins) if significant else 0.0
    return ColumnDrift(
        role, drift, p, significant, measured.statistics, measured.reasons, measured.histogram, measured.bounds
    )
