"""Compare the profiles of a reference and a batch: statistics and one verdict per column.

The verdicts are adjusted for the number of columns, so they hold for all columns together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.drift import NOTABLE_DRIFT, verdict
from engine.drift.column_statistics import ColumnStatistics, measure_column
from engine.drift.columns import Column, Numerical
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
        """Share of columns whose drift is at least 0.1; None if no columns were compared."""
        return self.drifted_columns / len(self.columns) if self.columns else None


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
        A profile of the same columns in the same roles; or data (see `profile`), which is read in bounded memory.
        Columns that only the batch has are ignored.
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
        The batch lacks a column of the reference or has it in another role; only one of the two has an entity; or the
        product of their numbers of rows is 2**63 or more, which is three billion rows per side.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be a share between 0 and 1, such as 0.95; found {confidence}")
    read: dict[str, None] = {}  # what must be told about how files are read
    if not isinstance(reference, Profile):
        reference, said = open_table(reference)
        reference = profile(reference)
        read |= dict.fromkeys(f"reference: {note}" for note in said)
    if not isinstance(batch, Profile):
        batch, said = open_table(batch)
        read |= dict.fromkeys(f"batch: {note}" for note in said)
    level, tests = 1 - confidence, len(reference.columns)

    def measure(name: str, column: Column) -> ColumnStatistics:
        return measure_column(reference.columns[name], column, name=name, level=level, tests=tests, seed=seed)

    if isinstance(batch, Profile):
        batch_columns = _require_same_columns(reference, batch)
        measured = parallel_map(lambda name: measure(name, batch_columns[name]), reference.columns)
        findings = dict(zip(reference.columns, measured, strict=True))
    else:
        findings = read_batch_columns(reference, batch, measure, exact=exact)
    # the family of tests is all columns of the reference
    adjusted = verdict.adjust_p_values([f.p for f in findings.values()]).tolist()
    columns = {
        name: _judge_column(reference.columns[name].role, f, p, level)
        for (name, f), p in zip(findings.items(), adjusted, strict=True)
    }
    notes = [*read, *(note for f in findings.values() for note in f.notes)]
    wide = [name for name, column in reference.columns.items() if isinstance(column, Numerical) and column.intervals]
    if wide:
        notes.append(
            f"the reference has too many distinct values in {', '.join(map(repr, wide))} to keep all of them: "
            "distances and quantiles of these columns are given with bounds"
        )
    return Drift(columns, tuple(notes))


def _require_same_columns(reference: Profile, batch: Profile) -> Mapping[str, Column]:
    """Return the batch's columns after checking that they have the names, roles and entity of the reference."""
    if absent := [name for name in reference.columns if name not in batch.columns]:
        if not batch.rows:
            raise DataError("the batch has no rows, so there is nothing to compare")
        raise DataError(
            f"the batch lacks {', '.join(map(repr, absent))}, which the reference has; give both the same columns"
        )
    for name, column in reference.columns.items():
        if (other := batch.columns[name].role) is not column.role:
            raise DataError(
                f"column {name!r} is {column.role} in the reference, but {other} in the batch; "
                "give it the same role in both"
            )
    if (reference.entities is None) != (batch.entities is None):
        having, lacking = ("reference", "batch") if batch.entities is None else ("batch", "reference")
        raise DataError(f"the {having} has an entity, and the {lacking} has none; declare the same entity for both")
    return batch.columns


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
