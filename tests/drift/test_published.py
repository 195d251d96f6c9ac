"""Numbers that the tests and documentation of other libraries state, for the same samples and the same definition.

Where definitions differ, `DIFFERENT` says why, with both numbers. Legacy random streams of numpy are frozen by its own
policy, so samples that those tests draw can be drawn here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine.drift import Role, compare, profile

EVIDENTLY = "evidently, tests/stattests/test_stattests.py, 05d85bb"
NANNYML = "nannyml, tests/drift/test_univariate_drift_methods.py, 8172b0a"
POPMON = "popmon, tests/popmon/analysis/comparison/test_comparisons.py, 797aeac"
SCIPY_KS = "scipy, stats/tests/test_stats.py, TestKSTwoSamples, 1.17"
SCIPY_DOC = "scipy, examples in the reference of 1.17"

NUMERICAL, CATEGORICAL = Role.NUMERICAL, Role.CATEGORICAL


def times(values: Any, counts: list[int]) -> list[Any]:
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def drawn(*draws: Callable[[Any], Any]) -> tuple[Any, ...]:
    random = np.random.RandomState(1)
    return tuple(draw(random) for draw in draws)


SIX = range(1, 7)
SHARES = times(SIX, [16, 18, 16, 14, 12, 12]), times(SIX, [16, 16, 16, 16, 16, 8])
DOUBLED = times(SIX, [32, 36, 32, 28, 24, 24]), SHARES[1]
HALVES = times("abcd", [85, 5, 5, 5]), times("abcd", [25, 25, 25, 25])
ABC = ["a", "a", "b", "b", "c", "c"]
SOME = np.array([1.0, 2.0])
HUNDRED, HUNDRED_TEN = np.linspace(1, 100, 100), np.linspace(1, 100, 110)
TIED = times([2, 3, 5, 6], [3, 4, 5, 4])
LETTERS = drawn(lambda r: r.choice(list("abcd"), 10_000), lambda r: r.choice(list("abce"), 1_000))
STEPS = drawn(lambda r: r.choice(np.linspace(0, 2, 6), 10_000), lambda r: r.choice(np.linspace(0, 2, 3), 1_000))
SHIFTED = drawn(lambda r: r.normal(0, 1, 10_000), lambda r: r.normal(1, 1, 1_000))
FAR = drawn(lambda r: r.normal(0, 1, 100_000), lambda r: r.normal(-4, 1, 1_000))
LOWER = drawn(lambda r: r.normal(0, 1, 10_000), lambda r: r.normal(-2, 1, 10_000))
LARGE = np.linspace(1, 200, 10_000) - 1 / 4_400_000, np.linspace(2, 100, 110)
BOTH_LARGE = np.linspace(1, 200, 10_000) - 1 / 440_000_000, np.linspace(2, 200, 11_000)

SAME = [
    (EVIDENTLY, CATEGORICAL, SHARES, "hellinger", 0.06812, 1e-5),
    (EVIDENTLY, CATEGORICAL, DOUBLED, "hellinger", 0.06812, 1e-5),
    (EVIDENTLY, CATEGORICAL, (times("ab", [45, 45]), times("ab", [30, 60])), "p", 0.033, 1e-3),
    (EVIDENTLY, CATEGORICAL, (times("ab", [3, 3]), times("a", [6])), "p", 0.181, 1e-3),
    (EVIDENTLY, CATEGORICAL, (times("a", [6]), times("a", [6])), "p", 1.0, 1e-3),
    (EVIDENTLY, CATEGORICAL, (times("a", [6]), times("b", [6])), "p", 0.0021, 1e-3),
    (EVIDENTLY, CATEGORICAL, (times("ab", [90, 60]), times("ab", [60, 90])), "p", 0.00078, 1e-5),
    (NANNYML, CATEGORICAL, LETTERS, "js", 0.5, 5e-3),
    (NANNYML, CATEGORICAL, LETTERS, "hellinger", 0.5, 5e-3),
    (NANNYML, CATEGORICAL, (ABC, [*ABC, "d"]), "l_infinity", 0.14, 5e-3),
    (NANNYML, CATEGORICAL, (ABC, ["b"] * 5), "l_infinity", 0.67, 5e-3),
    (NANNYML, NUMERICAL, STEPS, "js", 0.73, 5e-3),
    (NANNYML, NUMERICAL, STEPS, "hellinger", 0.72, 5e-3),
    (NANNYML, NUMERICAL, SHIFTED, "wasserstein", 1.01, 5e-3),
    (NANNYML, NUMERICAL, FAR, "wasserstein", 3.99, 5e-3),
    (POPMON, CATEGORICAL, (times("abcd", [1, 2, 0, 5]), times("abcd", [3, 4, 0, 2])), "chi2", 2.9036, 1e-4),
    (POPMON, CATEGORICAL, (times("abcd", [1, 2, 0, 5]), times("abcd", [3, 4, 0, 2])), "chi2_p", 0.2341, 1e-4),
    (SCIPY_KS, NUMERICAL, ([0], [1]), "ks_p", 1.0, 1e-6),
    (SCIPY_KS, NUMERICAL, (SOME - 0.01, [1.0, 2.0, 3.0]), "ks", 2 / 3, 1e-6),
    (SCIPY_KS, NUMERICAL, (SOME - 0.01, [1.0, 2.0, 3.0]), "ks_p", 0.6, 1e-6),
    (SCIPY_KS, NUMERICAL, (SOME + 0.01, [1.0, 2.0, 3.0, 4.0]), "ks_p", 14 / 15, 1e-6),
    (SCIPY_KS, NUMERICAL, (SOME - 0.01, [1.0, 2.0, 3.0, 4.0]), "ks_p", 6 / 15, 1e-6),
    (SCIPY_KS, NUMERICAL, (HUNDRED, HUNDRED + 2.1), "ks", 3 / 100, 1e-6),
    (SCIPY_KS, NUMERICAL, (HUNDRED, HUNDRED + 2.1), "ks_p", 0.9999999999962055, 1e-12),
    (SCIPY_KS, NUMERICAL, (HUNDRED, HUNDRED_TEN + 20.1), "ks", 232 / 1100, 1e-12),
    (SCIPY_KS, NUMERICAL, (HUNDRED, HUNDRED_TEN + 20.1), "ks_p", 0.015739183865607353, 1e-12),
    (SCIPY_KS, NUMERICAL, (HUNDRED, HUNDRED_TEN + 19.9), "ks_p", 0.017803803861026313, 1e-12),
    (SCIPY_KS, NUMERICAL, (TIED, [x + 1 for x in TIED]), "ks", 5 / 16, 1e-12),
    (SCIPY_KS, NUMERICAL, (TIED, [x + 1 for x in TIED]), "ks_p", 0.4262934613454952, 1e-12),
    (SCIPY_KS, NUMERICAL, LARGE, "ks", 55275 / 110_000, 1e-12),
    (SCIPY_KS, NUMERICAL, BOTH_LARGE, "ks_p", 0.9990660108966576, 1e-9),
    (SCIPY_DOC, NUMERICAL, ([0, 1, 3], [5, 6, 8]), "wasserstein", 5.0, 1e-12),
    (SCIPY_DOC, NUMERICAL, (times([0, 1], [3, 1]), times([0, 1], [2, 2])), "wasserstein", 0.25, 1e-12),
    (
        SCIPY_DOC,
        NUMERICAL,
        (times([3.4, 3.9, 7.5, 7.8], [14, 9, 31, 72]), times([4.5, 1.4], [32, 35])),
        "wasserstein",
        4.0781331438047861,
        1e-12,
    ),
    (SCIPY_DOC, CATEGORICAL, (times("abc", [10, 10, 20]), times("abc", [20, 20, 20])), "chi2", 25 / 9, 1e-12),
    (
        SCIPY_DOC,
        CATEGORICAL,
        (times("abc", [10, 10, 20]), times("abc", [20, 20, 20])),
        "chi2_p",
        0.249352208777296,
        1e-12,
    ),
    (SCIPY_DOC, CATEGORICAL, (times("ab", [1, 0]), times("ab", [0, 1])), "js", 1.0, 1e-12),
    # its default is in nats
    (
        SCIPY_DOC,
        CATEGORICAL,
        (times("a", [2]), times("ab", [1, 1])),
        "js",
        0.46450140402245893 / np.log(2) ** 0.5,
        1e-12,
    ),
]

DIFFERENT = [
    # chi-squared of the batch against shares taken to be known without error
    (EVIDENTLY, CATEGORICAL, SHARES, "chi2_p", 0.67309, 0.89853, 1e-5),
    # the p of the total variation distance, by shuffling; here it is that of chi-squared
    (EVIDENTLY, CATEGORICAL, (SHARES[0], times(SIX, [10, 10, 24, 24, 10, 10])), "p", 0.085, 0.15, 0.02),
    # bins of equal width, as many as Doane's rule says; here each holds a tenth of the reference
    (NANNYML, NUMERICAL, LOWER, "hellinger", 0.63, 0.593, 5e-3),
    # adds 1e-5 to every share; here only to what is empty
    (POPMON, CATEGORICAL, HALVES, "psi", 1.699815077214137, 0.6 * np.log(3.4) + 0.6 * np.log(5), 1e-12),
]


def measured(role: Role, sides: tuple[Any, Any], statistic: str) -> float | None:
    frames = [pl.DataFrame({"x": pl.Series(np.asarray(side))}) for side in sides]
    column = compare(profile(frames[0], {"x": role}), frames[1]).columns["x"]
    return column.drift_p if statistic == "p" else column.statistics[statistic]


@pytest.mark.parametrize(("source", "role", "sides", "statistic", "published", "within"), SAME)
def test_a_published_number_is_reproduced(
    source: str, role: Role, sides: Any, statistic: str, published: float, within: float
):
    assert measured(role, sides, statistic) == pytest.approx(published, rel=0, abs=within), source


@pytest.mark.parametrize(("source", "role", "sides", "statistic", "published", "ours", "within"), DIFFERENT)
def test_published_by_another_definition(
    source: str, role: Role, sides: Any, statistic: str, published: float, ours: float, within: float
):
    found = measured(role, sides, statistic)
    assert found == pytest.approx(ours, rel=0, abs=within), source
    assert found != pytest.approx(published, rel=0, abs=within)
