"""Propose ranges that each batch of some number of rows without drift rarely leaves by chance."""

import math
from collections.abc import Iterable, Iterator, Sequence

import polars as pl
from scipy.special import bdtrik, betaincinv

from engine.cli.proposal.yaml_writing import can_be_key, format_yaml_number, round_digits
from engine.data import Table, explain_read_errors
from engine.data.inspection import ColumnSummary
from engine.drift import Role
from engine.drift.reading.normalization import column_named

RISK = 1e-4
"""Approximate probability of leaving a range of one column by chance alone."""


def limit_share(share: float, known: int, rows: int) -> float:
    """Return a limit for a share in a batch of `rows` rows, given the share in `known` rows; at most 1.

    The true share is at most the upper Clopper-Pearson bound. The limit is the quantile of the binomial distribution
    with that share, plus one percentage point.
    """
    count = min(known, round(share * known))
    highest = float(betaincinv(count + 1, known - count, 1 - 10 * RISK)) if count < known else 1.0
    if highest >= 1:
        return 1.0
    most = math.ceil(float(bdtrik(1 - RISK, rows, highest)))
    return min(1.0, math.ceil((most / rows + 0.01) * 1000) / 1000)


def limit_missing_shares(
    columns: Iterable[ColumnSummary], known: int, rows: int
) -> tuple[float, list[tuple[str, float]]]:
    """Return the limit of missing values for all columns, and the columns that need a higher limit of their own.

    A column whose name cannot be a YAML key cannot have its own entry, so the common limit is at least the limit of
    every such column.
    """
    limits = {c.name: limit_share(c.missing, known, rows) for c in columns}
    common = max(
        [0.02, limit_share(0, known, rows), *(limit for name, limit in limits.items() if not can_be_key(name))]
    )
    return common, [(name, limit) for name, limit in limits.items() if limit > common]


def limit_unseen_shares(
    table: Table, columns: Sequence[ColumnSummary], known: int, rows: int
) -> tuple[float, list[tuple[str, float]]]:
    """Return the limit of the share of new categories for all columns, and the columns that need a higher one.

    Parameters
    ----------
    table, columns
        The rows of the reference, and its categorical columns.
    known
        The number of rows with which a batch will be compared: those of the reference, or of its held-out part.

    Notes
    -----
    A category with the share p is absent from `known` rows with probability (1 - p)^known, so a row of the batch has a
    new category with probability sum p (1 - p)^known, plus the probability of categories that have not occurred yet:
    the share of those seen once (Good 1953, Turing's estimate).
    """
    limits = {}
    for column in columns:
        with explain_read_errors(table):
            counts = table.frame.select(column_named(column.name).drop_nulls()).group_by(column.name).len()
            tally = counts.select(pl.col("len").alias("count")).collect(engine="streaming")["count"].cast(pl.Float64)
        total = float(tally.sum())
        if not total:
            continue
        shares = tally / total
        expected = float((shares * (1 - shares) ** known).sum()) + float((tally == 1).sum()) / total
        limits[column.name] = limit_share(min(1.0, expected), round(total), rows)
    common = max([0.01, *(limit for name, limit in limits.items() if not can_be_key(name))])
    return common, [(name, limit) for name, limit in limits.items() if limit > common]


def propose_mean_ranges(columns: Sequence[ColumnSummary], known: int, rows: int) -> Iterator[tuple[str, str, str]]:
    """Yield each numerical column with bounds of its mean: half a standard deviation around it, or more if need be.

    By Bernstein's inequality the mean of n values, none of which is further than z from the mean, is off by more than
    sqrt(2 L / n) + 2 z L / (3 n) with probability 2 exp(-L), all in standard deviations. The mean of the reference is
    itself a mean of `known` values.
    """
    tail = math.log(2 / RISK)
    for column in columns:
        mean, std, low, high = (column.statistics[one] for one in ("mean", "std", "min", "max"))
        if column.role is not Role.NUMERICAL or not can_be_key(column.name) or mean is None or not std:
            continue
        if low is None or high is None or not all(map(math.isfinite, (mean, std, low, high))):
            continue
        farthest = max(mean / std - low / std, high / std - mean / std)
        present = rows * (1 - column.missing)
        if not present or not math.isfinite(farthest):
            continue
        chance = math.sqrt(2 * tail * (1 / present + 1 / known)) + 2 * farthest * tail / (3 * present)
        width = max(0.5, chance) * std
        lowest, highest = round_digits(mean - width), round_digits(mean + width)
        if math.isfinite(lowest) and math.isfinite(highest) and lowest <= mean <= highest and lowest < highest:
            yield column.name, format_yaml_number(lowest), format_yaml_number(highest)
