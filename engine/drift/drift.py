"""Two profiles in, every statistic of every column out, and one verdict each that holds over all columns together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.drift import verdict
from engine.drift.columns import Column, Numerical
from engine.drift.findings import Findings, find
from engine.drift.profiles import Profile, columns_for, profile
from engine.drift.roles import Role
from engine.drift.threads import each
from engine.errors import DataError, UsageError

NOTABLE = 0.1
"""A column with a drift of as much counts as drifted."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What was measured of one column.

    `drift` is the verdict's effect, 0 to 1, and 0 where not significant; `drift_p` is adjusted (Holm) over the columns.
    `statistics` are the rest by name; where one is None, `reasons` says why; where one is not exact, `bounds` has the
    two numbers that it certainly lies between, and it is the middle of them. `histogram` is ready for JSON: `edges`
    (inner; bins are right-closed, the ends open) or `labels` (with `other`, the rows of categories not listed), the
    counts `reference` and `batch`, and `missing` of both.
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
        """How many columns have a drift of 0.1 or more."""
        return sum((c.drift or 0) >= NOTABLE for c in self.columns.values())

    @property
    def drifted_share(self) -> float | None:
        """The share of such columns; None of no columns."""
        return self.drifted_columns / len(self.columns) if self.columns else None


def compare(
    reference: Profile | Any, batch: Profile | Any, *, confidence: float = 0.95, seed: int = 0, exact: bool = True
) -> Drift:
    """Compare `batch` with `reference`, column by column.

    Effects rest on all rows; p-values on one row per entity and side where the profiles are by entity. Where a side
    is not exact the p-values are the largest that they can be.

    Parameters
    ----------
    reference
        A profile: it is read once, however many batches there are. Or the data to make one of (see `profile`).
    batch
        A profile of the same columns in the same roles, or data to read (see `profile`), in bounded memory. Columns
        that only the batch has are not looked at.
    confidence
        Of the verdicts together: without drift, at most 1 - confidence of comparisons have any drift above 0.
    seed
        Of the relabelling; apart from it the numbers depend on nothing but the counts.
    exact
        Read data of more than a million rows twice where that is needed for exact numbers. Else it is read once, and
        the distances and quantiles of columns of too many values are intervals (`bounds`), about 1e-5 of the rows wide.

    Raises
    ------
    UsageError
        The confidence is no share.
    DataError
        The batch lacks a column of the reference, or has it in another role, or only one of them is by entity;
        or the product of their rows is 2**63 or more: three billion a side.
    """
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is a share between 0 and 1, such as 0.95, not {confidence}")
    if not isinstance(reference, Profile):
        reference = profile(reference)
    level, tests = 1 - confidence, len(reference.columns)

    def found(name: str, column: Column) -> Findings:
        return find(reference.columns[name], column, name=name, level=level, tests=tests, seed=seed)

    if isinstance(batch, Profile):
        its = _fitting(reference, batch)
        measured = each(lambda name: found(name, its[name]), reference.columns)
        findings = dict(zip(reference.columns, measured, strict=True))
    else:
        findings = columns_for(reference, batch, found, exact=exact)
    adjusted = verdict.holm([f.p for f in findings.values()]).tolist()
    columns = {
        name: _judged(reference.columns[name].role, f, p, level)
        for (name, f), p in zip(findings.items(), adjusted, strict=True)
    }
    notes = [note for f in findings.values() for note in f.notes]
    wide = [name for name, column in reference.columns.items() if isinstance(column, Numerical) and column.gaps]
    if wide:
        notes.append(
            f"the reference has too many different values in {', '.join(map(repr, wide))} to keep them all: "
            "distances and quantiles there are intervals"
        )
    return Drift(columns, tuple(notes))


def _fitting(reference: Profile, batch: Profile) -> Mapping[str, Column]:
    """Return the batch's columns, if they are those of the reference."""
    if absent := [name for name in reference.columns if name not in batch.columns]:
        raise DataError(f"the batch lacks {', '.join(map(repr, absent))}, which the reference has")
    for name, column in reference.columns.items():
        if (other := batch.columns[name].role) is not column.role:
            raise DataError(f"column {name!r} is {column.role} in the reference, but {other} in the batch")
    if (reference.entities is None) != (batch.entities is None):
        raise DataError("one of reference and batch is by entity, the other is not: declare the entity for both")
    return batch.columns


def _judged(role: Role, found: Findings, p: float, level: float) -> ColumnDrift:
    if found.bins is None:
        why = {"drift": found.reasons["psi"], "drift_p": found.reasons["psi"]}
        return ColumnDrift(role, None, None, False, found.statistics, found.reasons | why, found.histogram)
    significant = p < level
    drift = verdict.effect(*found.bins) if significant else 0.0
    return ColumnDrift(role, drift, p, significant, found.statistics, found.reasons, found.histogram, found.bounds)
