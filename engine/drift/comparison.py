"""Compare the profiles of a reference and a batch: statistics and one verdict per column.

Verdicts are adjusted for the number of tests, so they hold for all columns together, and for any other tests of the
same family.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np

from engine.drift import NOTABLE_DRIFT
from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.columns import Column
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles.merged_tables import MAX_DISTINCT_VALUES
from engine.drift.profiles.opened_samples import open_sample
from engine.drift.profiles.profile import Profile
from engine.drift.profiles.profiling import profile_sample, read_batch_columns
from engine.drift.reading.alignment import Alignment, find_type_changes
from engine.drift.reading.normalization import Role
from engine.drift.significance import verdict
from engine.drift.significance.hierarchy import GroupedTests, adjust_groups
from engine.drift.statistics.column_statistics import ColumnStatistics, VerdictCounts, measure_column
from engine.drift.threads import parallel_map
from engine.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """The result of the comparison for one column.

    Attributes
    ----------
    drift
        The effect size of the verdict, 0 to 1; 0 where the difference is not significant.
        None where no difference could be significant, because a side has too few rows.
    drift_low
        The one-sided lower bound of the effect size at the confidence of the comparison, 0 to `drift`. With an entity
        it is computed from one row per entity and side.
    drift_p
        The p-value of the verdict, adjusted for the number of tests (Holm 1979).
    statistics
        All other statistics by name; None where one cannot be computed.
    reasons
        For each number that is None, the reason.
    undecidable
        Whether the drift is None because no difference could be significant.
    bounds
        For each inexact statistic, the two numbers that it certainly lies between; `statistics` then has the middle.
    type_change
        If the batch holds the column in another family of types than the reference: what it is, what it was, and how
        it is read; else an empty text.
    measured
        Whether the batch has the column and it can be read.
    histogram
        Ready for JSON: `edges` (inner edges; bins include their right edge, the outer bins are unbounded) or `labels`
        (and `other`, the rows of the categories not listed), the counts `reference` and `batch`, and `missing` rows of
        both sides.
    """

    role: Role
    drift: float | None
    drift_low: float | None
    drift_p: float | None
    significant: bool
    statistics: Mapping[str, float | None]
    reasons: Mapping[str, str]
    histogram: Mapping[str, Any]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    type_change: str = ""
    measured: bool = True
    undecidable: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """The comparison of a batch with a reference, column by column."""

    columns: Mapping[str, ColumnDrift]
    notes: tuple[str, ...] = ()

    @property
    def drifted_columns(self) -> int:
        """The number of columns whose drift is at least 0.1."""
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
        A profile, which can be used for any number of batches; or data to make one from (see `profile`).
    batch
        A profile of the same columns in the same roles; or data (see `profile`), which is read in bounded memory and
        converted to the types of the reference. A column that is gone or cannot be read has no statistics, only a
        reason; all others are compared. A note names the columns that only the batch has.
    confidence
        Confidence of all verdicts together: without drift, at most a share 1 - confidence of comparisons has any column
        with a drift above 0.
    seed
        Seed of the random permutations of the labels "reference" and "batch" in the test. Otherwise verdicts depend
        only on the counts.
    exact
        True to read data of more than a million rows a second time where exact numbers need it. False to read it once:
        the distances and quantiles of columns with too many values then have `bounds`, about 6e-5 of the rows apart.

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
    notes: dict[str, None] = {}  # notes on how files are read, each once
    if not isinstance(reference, Profile):
        sample, remarks = open_sample(reference)
        notes |= dict.fromkeys(f"reference: {note}" for note in remarks)
        reference = profile_sample(sample)
    measured = _measure(reference, batch, (confidence, len(reference.columns)), seed, exact)
    [[[drift], _]] = _judge([([measured], [], 1.0)], confidence)
    return replace(drift, notes=(*notes, *drift.notes))


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """Comparisons and p-values of other tests that share a part of the level, `weight`.

    `pairs` are the reference and batch of each comparison.
    """

    pairs: Sequence[tuple[Profile, Profile]]
    p_values: Sequence[float] = ()
    weight: float = 1.0

    @property
    def tests(self) -> int:
        """The number of tests."""
        return sum(len(reference.columns) for reference, _ in self.pairs) + len(self.p_values)


def compare_groups(
    groups: Sequence[ComparedGroup], *, confidence: float = 0.95, seed: int = 0
) -> list[tuple[list[Drift], list[float]]]:
    """Compare groups of pairs of profiles so that all verdicts hold together; each group has its part of the level.

    Parameters
    ----------
    groups
        Their weights add up to 1; see `engine.drift.significance.hierarchy`.
    confidence, seed
        See `compare`; the confidence holds for all verdicts of all groups together.

    Returns
    -------
    list of (drifts, p_values)
        Per group, the comparisons and the adjusted p-values of the other tests.

    Raises
    ------
    UsageError, DataError
        As in `compare`.
    """
    measured = []
    for group in groups:
        # a group with a part of the level needs p-values as small as if it had so many more tests
        tests = ceil(group.tests / group.weight)
        sides = [_measure(reference, batch, (confidence, tests), seed, exact=True) for reference, batch in group.pairs]
        measured.append((sides, group.p_values, group.weight))
    return _judge(measured, confidence)


def compare_family(
    pairs: Sequence[tuple[Profile, Profile]], p_values: Sequence[float] = (), *, confidence: float = 0.95, seed: int = 0
) -> tuple[list[Drift], list[float]]:
    """Compare several pairs of profiles so that all verdicts hold together, also with tests computed elsewhere.

    Parameters
    ----------
    pairs
        Reference and batch of each comparison.
    p_values
        The p-values of the other tests.
    confidence, seed
        See `compare`; the confidence holds for all verdicts and the other tests together.

    Returns
    -------
    drifts, p_values
        The comparisons, and the p-values of the other tests adjusted for the number of all tests (Holm 1979).

    Raises
    ------
    UsageError, DataError
        As in `compare`.
    """
    [compared] = compare_groups([ComparedGroup(pairs, p_values)], confidence=confidence, seed=seed)
    return compared


@dataclass(frozen=True, slots=True)
class _Measured:
    """The measurements of each column of a reference, before any verdict.

    `unmeasured` gives the reason for each column that cannot be compared, `changes` describes the type change of each
    column whose type family changed, and `notes` say how the batch was read.
    """

    reference: Profile
    findings: Mapping[str, ColumnStatistics]
    unmeasured: Mapping[str, str]
    changes: Mapping[str, str]
    notes: tuple[str, ...] = ()


def _measure(
    reference: Profile, batch: Profile | Any, confidence_of_tests: tuple[float, int], seed: int, exact: bool
) -> _Measured:
    """Measure every column that both sides have; the confidence holds for the given number of tests together."""
    confidence, tests = confidence_of_tests
    if not 0 < confidence < 1:
        raise UsageError(f"confidence must be a share between 0 and 1, such as 0.95; found {confidence}")
    notes: tuple[str, ...] = ()
    if isinstance(batch, Profile):
        unmeasured, changes = _find_differences(reference, batch)
        single = {name for name, kind in batch.types.items() if kind == "float32"}
        rounded = {name for name, column in reference.describe_known_columns().items() if column.exact} & single
    else:
        sample, remarks = open_sample(batch)
        notes = tuple(f"batch: {note}" for note in remarks)
        sample, batch = sample.align(reference.describe_known_columns())
        unmeasured, changes, rounded = batch.unmeasured, batch.changes, set(batch.rounded)
    if unmeasured and len(unmeasured) == len(reference.columns):
        raise DataError(_explain_nothing_in_common(reference, batch, unmeasured))
    known = reference.select([name for name in reference.columns if name not in unmeasured]).round_columns(rounded)

    def measure(name: str, column: Column) -> ColumnStatistics:
        one = known.columns[name]
        found = measure_column(one, column, name=name, level=1 - confidence, tests=tests, seed=seed)
        if isinstance(one, Numerical) and column.present > MAX_DISTINCT_VALUES:
            one.table.release()  # rereading it costs little compared with reading this many rows
        return found

    if isinstance(batch, Profile):
        columns_of_batch = batch.columns
        found = parallel_map(lambda name: measure(name, columns_of_batch[name]), known.columns)
        findings: Mapping[str, ColumnStatistics] = dict(zip(known.columns, found, strict=True))
    else:
        findings = read_batch_columns(known, sample, measure, exact=exact)
    return _Measured(reference, findings, unmeasured, changes, notes)


def _judge(
    groups: Sequence[tuple[Sequence[_Measured], Sequence[float], float]], confidence: float
) -> list[tuple[list[Drift], list[float]]]:
    """Return the comparisons of each group with verdicts, and its other p-values adjusted.

    A group consists of measurements, the other p-values, and the part of the level that they share.
    """
    level = 1 - confidence
    tested = []
    for measured, p_values, weight in groups:
        findings = [f for one in measured for f in one.findings.values()]
        smallest = [*(f.smallest_p for f in findings), *(0.0 for _ in p_values)]
        tested.append(GroupedTests([*(f.p for f in findings), *p_values], smallest, weight))
    judged_groups = []
    for (measured, _, _), family in zip(groups, adjust_groups(tested, level), strict=True):
        judged = iter(zip(family.adjusted, family.decidable, strict=True))
        drifts = []
        for one in measured:
            known = one.reference.columns
            found = {
                name: _judge_column(known[name].role, f, *next(judged), family.tests, level)
                for name, f in one.findings.items()
            }
            found |= {name: _describe_unmeasured(known[name], why) for name, why in one.unmeasured.items()}
            columns = {name: replace(found[name], type_change=one.changes.get(name, "")) for name in known}
            drifts.append(Drift(columns, tuple(_collect_notes(one))))
        judged_groups.append((drifts, [p for p, _ in judged]))
    return judged_groups


def _collect_notes(measured: _Measured) -> Iterator[str]:
    """Yield the notes about all columns, then one about the reference columns that are not exact."""
    yield from measured.notes
    yield from measured.unmeasured.values()
    yield from (change for name, change in measured.changes.items() if name not in measured.unmeasured)
    for finding in measured.findings.values():
        yield from finding.notes
    columns = measured.reference.columns.items()
    wide = [name for name, column in columns if isinstance(column, Numerical) and column.intervals]
    if wide:
        yield (
            f"the reference has too many distinct values in {', '.join(map(repr, wide))} to keep all of them: "
            "distances and quantiles of these columns are given with bounds"
        )


def _find_differences(reference: Profile, batch: Profile) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the reference columns that cannot be compared with the batch, and those whose type family changed.

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
    """Return the message for a batch in which no column of the reference can be compared."""
    if isinstance(batch, Profile) and not batch.rows:
        return "the batch has no rows, so there is nothing to compare"
    if isinstance(batch, Profile) and not batch.columns.keys() & reference.columns.keys():
        names = ", ".join(map(repr, reference.columns))
        return f"the batch lacks {names}, which the reference has; give both the same columns"
    return f"no column can be compared: {'; '.join(list(unmeasured.values())[:3])}"


def _describe_unmeasured(reference: Column, reason: str) -> ColumnDrift:
    """Return the result of a column that the batch does not have: only its statistics in the reference."""
    if isinstance(reference, Numerical):
        nothing: Column = Numerical.exact(reference.values[:0], reference.counts[:0], 0)
    else:
        nothing = Categorical.from_labels([], np.empty(0, np.int64), 0)
    measured = measure_column(reference, nothing, name="", level=0.0, tests=1, seed=0)
    reasons = {name: reason for name, value in measured.statistics.items() if value is None}
    return ColumnDrift(
        reference.role, None, None, None, False, measured.statistics,
        {**reasons, **dict.fromkeys(("drift", "drift_low", "drift_p"), reason)}, measured.histogram, measured=False,
    )  # fmt: skip


def _judge_column(
    role: Role, measured: ColumnStatistics, p: float, decidable: bool, tests: int, level: float
) -> ColumnDrift:
    """Return the result of a column.

    `p` is adjusted for the number of tests. `decidable` is False if no labels could bring it below the level.
    """
    no_drift = ColumnDrift(
        role, 0.0, 0.0, p, False, measured.statistics, measured.reasons, measured.histogram, measured.bounds
    )
    counts = measured.counts
    if counts is None:
        reasons = measured.reasons | dict.fromkeys(("drift", "drift_low", "drift_p"), measured.reasons["psi"])
        return replace(no_drift, drift=None, drift_low=None, drift_p=None, reasons=reasons)
    if not decidable and _may_hide_drift(counts):
        n, m = (int(side.sum()) for side in counts.independent)
        why = (
            f"too few rows: with {n:,} independent rows in the reference and {m:,} in the batch, no difference of this "
            f"column could be significant among {tests:,} tests"
        )
        reasons = measured.reasons | dict.fromkeys(("drift", "drift_low"), why)
        return replace(no_drift, drift=None, drift_low=None, reasons=reasons, undecidable=True)
    if p >= level:
        return no_drift
    drift = verdict.effect_size(*counts.rows)
    low = min(drift, verdict.effect_lower_bound(*counts.independent, level))
    return replace(no_drift, drift=drift, drift_low=low, significant=True)


def _may_hide_drift(counts: VerdictCounts) -> bool:
    """Return whether some division of the pooled rows between the sides would show a notable drift.

    If not, such as in a column with one value, "no drift" is right although no difference could be significant.
    """
    r, b = counts.independent
    return verdict.largest_divergence(r + b, int(r.sum())) >= NOTABLE_DRIFT**2
