"""Adjusted p-values of groups: against closed testing of every combination, and their promise by simulation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift.significance.hierarchy import GroupedTests, adjust_groups, adjust_in_groups, weigh_groups

from .holm import adjust_by_holm

LEVEL = 0.05
P = st.sampled_from([0.0001, 0.001, 0.004, 0.01, 0.012, 0.02, 0.03, 0.05, 0.3, 1.0])


def closed_testing(groups, weights):
    """Adjust by the definition: the largest p-value of all combinations of tests that a test is part of.

    A combination shares the level among the groups that it has tests of, in the proportion of their weights, and a
    group among its tests in the combination (Bonferroni).
    """
    tests = [(g, i) for g, group in enumerate(groups) for i in range(len(group))]
    adjusted = [[0.0] * len(group) for group in groups]
    for size in range(1, len(tests) + 1):
        for chosen in combinations(tests, size):
            there = {g for g, _ in chosen}
            total = sum(weights[g] for g in there)
            of_group = {g: sum(h == g for h, _ in chosen) for g in there}
            p = min(1.0, *(groups[g][i] * of_group[g] * total / weights[g] for g, i in chosen))
            for g, i in chosen:
                adjusted[g][i] = max(adjusted[g][i], p)
    return adjusted


@given(st.lists(st.lists(P, max_size=2), min_size=1, max_size=4))
def test_adjusted_p_values_are_those_of_closed_testing(groups):
    weights = weigh_groups(len(groups) - 1)
    for mine, theirs in zip(adjust_in_groups(groups, weights), closed_testing(groups, weights), strict=True):
        assert mine == pytest.approx(theirs)


@given(st.lists(P, min_size=1, max_size=8))
def test_one_group_is_adjusted_as_holm_does(p_values):
    assert adjust_in_groups([p_values], [1.0])[0] == pytest.approx(adjust_by_holm(p_values))


def test_tests_that_can_never_be_significant_take_nothing_from_the_others():
    whole, segment = GroupedTests([0.02], [0.0], 0.5), GroupedTests([0.4, 0.9], [0.3, 0.8], 0.5)
    families = adjust_groups([whole, segment], LEVEL)
    assert families[0].adjusted == [0.02]
    assert families[1].decidable == [False, False]
    assert min(families[1].adjusted) >= LEVEL


@pytest.mark.parametrize("drifting", [0, 1, 3])
def test_no_more_than_the_level_of_evaluations_has_a_false_alarm(drifting):
    """10 segments of 8 columns beside a whole of 10 tests; the first segments drift in half of their columns."""
    rng = np.random.default_rng(7)
    weights, alarms, runs = weigh_groups(10), 0, 2000
    for _ in range(runs):
        groups = [rng.random(10).tolist(), *(rng.random(8).tolist() for _ in range(10))]
        for g in range(1, 1 + drifting):
            groups[g][:4] = [1e-9] * 4
        adjusted = adjust_in_groups(groups, weights)
        null = [
            p for g, group in enumerate(adjusted) for i, p in enumerate(group) if not (1 <= g <= drifting and i < 4)
        ]
        alarms += min(null) < LEVEL
    # 3 standard errors of a share of 0.05 in 2,000 runs are 0.015
    assert 0.02 < alarms / runs < 0.065
