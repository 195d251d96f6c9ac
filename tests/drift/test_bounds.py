"""Bounds appear where a side is not exact, nowhere else, and the exact figure lies between them."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.drift import Drift, Profile, compare, profile
from engine.drift.profiles import accumulators, profiling

X = {"x": "numerical"}
BIG = 2**60
KINDS = {
    "normal": lambda r, n: r.normal(size=n),
    "heavy": lambda r, n: r.standard_cauchy(n),
    "tied": lambda r, n: r.integers(0, 9, n).astype(float),
    "offset": lambda r, n: 1e9 + r.integers(0, 5000, n) / 128,
    "zeros": lambda r, n: np.where(r.random(n) < 0.3, 0.0, r.exponential(size=n)),
    "infinite": lambda r, n: np.where(r.random(n) < 0.01, np.inf, r.normal(size=n)),
    "tiny": lambda r, n: r.normal(size=n) * 1e-310,
    "scales": lambda r, n: r.normal(size=n) * 10.0 ** r.integers(-300, 300, n),
    "wholes": lambda r, n: r.integers(BIG, BIG + 4000, n),
    # these differ by 256 at least, and the whole numbers between them become equal to them
    "wholes as floats": lambda r, n: r.integers(BIG, BIG + 4000, n).astype(float),
    # sums of distances have more than 64 bits
    "all wholes": lambda r, n: r.integers(-(2**63), 2**63 - 1, n),
}
BY_BINS = {"psi", "js", "hellinger", "total_variation", "chi2", "chi2_p"}
"""Edges may be other ones where a side is not exact; the statistics are exact for those."""


def frame(values: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"x": pl.Series(values)})


def outside(rough: Drift, sharp: Drift, rounding: float) -> Iterator[str]:
    """Give what does not hold; `rounding` is how far values may be from themselves as floats."""
    a, b = rough.columns["x"], sharp.columns["x"]
    ends = [b.statistics[name] or 0.0 for name in ("min", "max", "reference_min", "reference_max")]
    for name, value in b.statistics.items():
        found = a.statistics[name]
        if name in BY_BINS or value is None or found is None:  # an end may be infinite
            continue
        low, high = a.bounds.get(name, (found, found))
        in_units = name not in ("ks", "ks_p", "wasserstein_normed") and not name.endswith(("share", "share_change"))
        near = 1e-9 * abs(value) + (rounding + 1e-12 * max(map(abs, ends)) if in_units else 0.0)
        near += rounding / (b.statistics["reference_std"] or 1.0) if name == "wasserstein_normed" else 0.0
        if not (low - near <= value <= high + near and low <= found <= high):
            yield f"{name}: {value} is not in {low} to {high}"


@pytest.fixture(scope="module", autouse=True)
def few_rungs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accumulators, "GRID_POINTS", 64)
        yield


SIDES = [(name, name) for name in KINDS] + [
    ("wholes", "wholes as floats"),
    ("wholes as floats", "wholes"),
    ("normal", "tied"),
    ("tied", "normal"),
]


@pytest.mark.parametrize("sides", SIDES, ids=" and ".join)
@settings(max_examples=5)
@given(st.integers(0, 2**32), st.sampled_from([1, 20, 100]))
def test_the_exact_figure_lies_between(sides: tuple[str, str], seed: int, most: int):
    random = np.random.default_rng(seed)
    a, b = (KINDS[side](random, int(random.integers(200, 2000))) for side in sides)
    rounding = 600.0 if "wholes as floats" in sides else 0.0

    def rough(values: np.ndarray, against: Profile | None = None) -> Profile:
        return profile(frame(values), X, against=against, most_values=most)

    exact, sharp = profile(frame(a), X), compare(profile(frame(a), X), profile(frame(b), X))
    assert sharp.columns["x"].bounds == {}
    gapped = rough(a)
    for comparison in (
        compare(gapped, frame(b)),
        compare(gapped, profile(frame(b), X)),
        compare(gapped, rough(b)),
        compare(gapped, rough(b, gapped)),
        compare(exact, rough(b)),
        compare(exact, rough(b[::2], exact).merge(rough(b[1::2], exact))),
        compare(rough(a[::2]).merge(rough(a[1::2])), frame(b)),
    ):
        assert list(outside(comparison, sharp, rounding)) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "MAX_DISTINCT_VALUES", most)
        for comparison in (compare(exact, frame(b)), compare(exact, rough(b, exact))):
            assert comparison.columns["x"].bounds == {}
            assert list(outside(comparison, sharp, 0.0)) == []


def test_a_reference_that_is_not_exact_is_said():
    values = np.arange(1000.0)
    note = compare(profile(frame(values), X, most_values=50), frame(values)).notes[-1]
    assert note.startswith("the reference has too many distinct values in 'x' to keep all of them")
    notes = compare(profile(frame(values), X), profile(frame(values), X, most_values=50)).notes
    assert not any(note.startswith("the reference") for note in notes)
