"""The smallest drift that a comparison would detect with so many rows: how much an OK for a small batch is worth."""

from math import log2, sqrt

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles.profile import Profile
from engine.drift.significance.chi_squared import find_noncentrality

POWER = 0.8
"""Share of comparisons that detect a drift of the smallest detectable size."""


def smallest_detectable_drift(rows: int, batch_rows: int, bins: int, level: float) -> float | None:
    """Return the effect size, 0 to 1, found significant in 4 of 5 comparisons; None if no drift would be significant.

    The power is that of the chi-squared test, whose statistic has a noncentral chi-squared distribution (Cohen 1988,
    chapter 7), for a drift in no particular direction: half of the mass gains what the other half loses. With shares (1
    + d) / 2 and (1 - d) / 2 of the two halves in the reference, exchanged in the batch, the effect size is sqrt(1 -
    h((1 + d) / 2)) with the binary entropy h, and the noncentrality n m / (n + m) 4 d^2 / (1 - c^2 d^2) with c = (n -
    m) / (n + m). A drift to which the Kolmogorov-Smirnov test is more sensitive, such as a shift of all values, is
    found at smaller sizes.

    Parameters
    ----------
    rows, batch_rows
        n and m: the independent rows of reference and batch.
    bins
        Number of bins or categories, missing values included.
    level
        The level of the test, after adjustment for the number of tests.
    """
    if min(rows, batch_rows) < 1 or bins < 2:
        return None
    noncentrality = find_noncentrality(bins - 1, level, POWER)
    needed = noncentrality * (rows + batch_rows) / (rows * batch_rows)
    c = (rows - batch_rows) / (rows + batch_rows)
    d = sqrt(needed / (4 + c * c * needed))
    if not d < 1:
        return None
    larger, smaller = (1 + d) / 2, (1 - d) / 2
    return sqrt(max(0.0, 1 + larger * log2(larger) + smaller * log2(smaller)))


def detectable_drifts(
    reference: Profile, batch: Profile, confidence: float, tests: int | None = None
) -> dict[str, float | None]:
    """Return the smallest detectable drift of each column that both profiles have.

    `tests` is the number of tests for which the confidence holds together; by default the number of tests of the
    columns. The level is that of the first step of Holm's procedure; half of it for a numerical column, which has two
    tests.
    """
    n, m = (side.rows if side.entities is None else len(side.entities.keys) for side in (reference, batch))
    level = (1 - confidence) / max(1, len(reference.columns) if tests is None else tests)
    return {
        name: smallest_detectable_drift(
            n, m, _count_bins(column, other), level / 2 if isinstance(column, Numerical) else level
        )
        for name, column in reference.columns.items()
        if (other := batch.columns.get(name)) is not None
    }


NUMERICAL_BINS = 10
"""Maximum number of bins of the values of a numerical column."""


def _count_bins(reference: Numerical | Categorical, batch: Numerical | Categorical) -> int:
    """Return the number of bins or categories of a column on both sides, missing values included; at least two.

    A column with one value or none can drift to another value: the second bin.
    """
    values = max(len(reference.counts), len(batch.counts))
    missing = reference.missing + batch.missing > 0
    return max(2, (min(values, NUMERICAL_BINS) if isinstance(reference, Numerical) else values) + missing)
