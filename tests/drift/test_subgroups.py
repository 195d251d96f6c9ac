"""The search for groups that have drifted: what it finds, what it does not propose, and what its test promises."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from engine.drift import ComparedGroup, Condition, Role, compare_groups, find_subgroups, profile
from engine.drift.kernels.joint_counts import count_joint
from engine.drift.significance.hierarchy import weigh_groups
from engine.drift.subgroups.conditions import choose_bounds

ROLES = {"age": Role.NUMERICAL, "amount": Role.NUMERICAL, "country": Role.CATEGORICAL}


def draw_rows(rng: np.random.Generator, rows: int, *, hidden: float = 0.0, everywhere: float = 0.0) -> pl.DataFrame:
    """Draw rows whose amounts rise by `everywhere`, and by `hidden` where young people live in Italy."""
    country, age = rng.choice(["IT", "FR", "DE"], rows, p=[0.2, 0.5, 0.3]), rng.integers(18, 80, rows)
    amount = rng.normal(size=rows) + everywhere + hidden * ((country == "IT") & (age < 40))
    return pl.DataFrame({"age": age, "amount": amount, "country": country})


@pytest.mark.parametrize("everywhere", [0.0, 0.5])
def test_the_hidden_group_comes_first_also_where_all_rows_have_drifted(everywhere):
    rng = np.random.default_rng(1)
    before, now = draw_rows(rng, 6000), draw_rows(rng, 6000, hidden=1.5, everywhere=everywhere)
    first = find_subgroups(before, now, ROLES, split_by=list(ROLES))[0]
    assert first.moved == "amount"
    assert Condition("country", "=", "IT") in first.conditions
    [bound] = [one.value for one in first.conditions if one.column == "age" and one.relation == "<="]
    assert 30 <= bound <= 45


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(2)
    before, now = draw_rows(rng, 3000), draw_rows(rng, 3000, hidden=1.0)
    shuffled = [side.sample(fraction=1, shuffle=True, seed=3) for side in (before, now)]
    assert find_subgroups(*shuffled, ROLES, split_by=["age", "country"]) == find_subgroups(
        before, now, ROLES, split_by=["age", "country"]
    )


def test_a_group_whose_losses_have_risen_is_found_by_them():
    rng = np.random.default_rng(4)
    before, now = draw_rows(rng, 4000), draw_rows(rng, 4000)
    losses = rng.random(4000), rng.random(4000) + 0.3 * (now["country"] == "DE").to_numpy()
    first = find_subgroups(before, now, ROLES, split_by=["country", "age"], losses=losses, max_depth=1)[0]
    assert (first.conditions, first.moved) == ((Condition("country", "=", "DE"),), None)


def test_no_group_is_smaller_than_asked_and_equal_sides_have_none():
    rng = np.random.default_rng(5)
    before, now = draw_rows(rng, 1000), draw_rows(rng, 1000, hidden=3.0)
    assert find_subgroups(before, before, ROLES, split_by=list(ROLES)) == []
    assert all(one.conditions != (Condition("country", "=", "IT"),)
               for one in find_subgroups(before, now, ROLES, split_by=["country"], min_rows=400))  # fmt: skip


def test_bounds_are_quantiles_that_can_be_read():
    rng = np.random.default_rng(6)
    bounds = choose_bounds(np.r_[rng.normal(1000, 200, 5000), np.nan])
    assert len(bounds) == 19
    assert_array_equal(bounds, np.round(bounds))
    assert_array_equal(choose_bounds(np.array([3.0, 1.0, 2.0, np.nan])), [1.0, 2.0])
    assert not len(choose_bounds(np.array([7.0, 7.0])))
    assert not len(choose_bounds(np.array([np.nan])))


def test_compiled_counts_are_those_of_numpy():
    rng = np.random.default_rng(7)
    bins = rng.integers(0, 3, (40_000, 60)).astype(np.uint8)
    groups, starts = rng.integers(0, 4, len(bins)), np.arange(60) * 3
    counts = np.zeros((4, 180), np.int64)
    count_joint(bins, starts, groups, counts)
    for column in (0, 59):
        for group in range(4):
            expected = np.bincount(bins[groups == group, column], minlength=3)
            assert_array_equal(counts[group, 3 * column : 3 * column + 3], expected)


@pytest.mark.parametrize(("segments", "found"), [(0, None), (3, None), (0, 0), (0, 3), (4, 0), (4, 2)])
def test_the_part_of_what_is_found_is_kept_whether_or_not_anything_is_proposed(segments, found):
    whole, *others = weigh_groups(segments, found)
    assert whole + sum(others) == pytest.approx(1)
    assert whole == (1 if not segments and found is None else 0.5)
    if found is not None:
        assert sum(others[segments:]) == pytest.approx(0.25 if segments else 0.5)


def test_the_test_on_other_rows_confirms_hardly_anything_without_drift():
    """Of 40 comparisons at a level of 20 %, 8 may alarm; more than 15 do by chance 3 times in 1,000."""
    rng, alarms, proposed = np.random.default_rng(8), 0, 0
    for _ in range(40):
        sides = [draw_rows(rng, 1200) for _ in (0, 1)]
        halves = [(side.head(600), side.tail(600)) for side in sides]
        groups = find_subgroups(halves[0][0], halves[1][0], ROLES, split_by=["age", "country"], min_rows=40)
        weight, *weights = weigh_groups(0, len(groups))
        compared = [ComparedGroup([(profile(sides[0], ROLES), profile(sides[1], ROLES))], weight=weight)]
        for group, part in zip(groups, weights, strict=False):
            rows = [half[1].filter([_select(one) for one in group.conditions]) for half in halves]
            compared.append(ComparedGroup([(profile(rows[0], ROLES), profile(rows[1], ROLES))], weight=part))
        if not groups:
            compared.append(ComparedGroup([], [1.0], weights[0]))
        proposed += len(groups)
        judged = compare_groups(compared, confidence=0.8)
        alarms += any(column.drift for drifts, _ in judged for one in drifts for column in one.columns.values())
    assert proposed > 40
    assert alarms <= 15


def _select(one: Condition) -> pl.Expr:
    column = pl.col(one.column)
    if one.relation == "missing":
        return column.is_null()
    return {"<=": column <= one.value, ">": column > one.value, "=": column == one.value}[one.relation]
