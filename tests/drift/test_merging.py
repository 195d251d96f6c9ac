"""What parts of the rows have collected, merged, gives the column of all rows, however they were divided."""

import numpy as np
import polars as pl
import pytest

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles.accumulators import CategoryAccumulator, ExactAccumulator, create_part
from engine.drift.profiles.states import pack_state, unpack_state

MANY = 90_000


def divide(values, parts, random):
    """So many parts of very unequal sizes, some without rows."""
    shares = random.exponential(size=parts) ** 3
    cuts = np.sort(random.choice(len(values) + 1, parts - 1)) if parts < 10 else np.cumsum(shares)[:-1] / shares.sum()
    return np.split(values, cuts if parts < 10 else (cuts * len(values)).astype(int))


def read(accumulator, values, parts=None, random=None, missing=0):
    """The column of the values as a whole, or of parts of them, each read for itself and merged in two steps."""
    if parts is None:
        blocks = [pl.Series(values[i : i + 10_000]) for i in range(0, len(values), 10_000)]
        column = accumulator
        while not isinstance(column, Numerical | Categorical):
            for block in blocks:
                column.add(block)
            column = column.finish(len(values) + missing)
        return column
    while True:
        setup = pack_state(accumulator.setup())
        merged = [create_part(unpack_state(setup)) for _ in range(2)]
        for k, part in enumerate(divide(values, parts, random)):
            collecting = create_part(unpack_state(setup))
            for i in range(0, len(part), 10_000):
                collecting.add(pl.Series(part[i : i + 10_000]))
            merged[k % 2].merge(unpack_state(pack_state(collecting.state())))
        for one in merged:
            accumulator.merge(unpack_state(pack_state(one.state())))
        accumulator = accumulator.finish(len(values) + missing)
        if isinstance(accumulator, Numerical | Categorical):
            return accumulator


def require_same(a, b):
    """Equal to the last bit, but for sums of floats."""
    assert a.values.dtype == b.values.dtype
    assert np.array_equal(a.values, b.values)
    assert np.array_equal(a.counts, b.counts)
    assert (a.missing, a.moments.rows) == (b.missing, b.moments.rows)
    assert (a.moments.low, a.moments.high) == (b.moments.low, b.moments.high)
    scale = np.sqrt(a.moments.squares / max(a.moments.rows, 1))
    assert a.moments.mean == pytest.approx(b.moments.mean, rel=1e-12, abs=1e-12 * scale)
    assert a.moments.squares == pytest.approx(b.moments.squares, rel=1e-12)
    assert (a.intervals is None) == (b.intervals is None)
    if a.intervals is not None:
        assert np.array_equal(a.intervals.counts, b.intervals.counts)
        assert a.intervals.sums == pytest.approx(b.intervals.sums, rel=1e-9, abs=1e-12 * a.moments.rows * scale)


SHAPES = {
    "continuous": lambda random, n: random.standard_normal(n),
    "tied": lambda random, n: random.poisson(30, n).astype(np.float64),
    "integers": lambda random, n: random.integers(-(10**12), 10**12, n),
    "floats of 32 bits": lambda random, n: random.lognormal(0, 2, n).astype(np.float32),
}


@pytest.mark.parametrize("parts", [1, 7, 200])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["exact", "sampled", "gridded", "gridded later", "certified"])
def test_parts_of_any_size_give_the_column_of_all_rows(shape, way, parts):
    random = np.random.default_rng([parts, len(shape)])
    values, before = (SHAPES[shape](random, n) for n in (MANY, 60_000))
    whole = values.dtype == np.int64
    reference = read(ExactAccumulator(whole, None, 1 << 20), before)

    def create():
        if way in ("exact", "sampled"):
            return ExactAccumulator(whole, None, 1 << 20 if way == "exact" else 20_000)
        most = 70_000 if way == "gridded later" else 1 << 20
        return ExactAccumulator(whole, reference, most, keep=way == "gridded later", exact=way != "certified")

    # of a whole of up to a million rows, the values are sorted where those of parts are counted on a grid
    undivided = read(create(), values, 1 if way == "gridded" else None, random)
    require_same(undivided, read(create(), values, parts, random))


@pytest.mark.parametrize("parts", [3, 100])
def test_a_grid_has_the_frequent_values_of_all_rows_as_points_for_any_division(parts):
    """A third of the rows are zero, and thirty values have 2 in 1,000; nearly all values of a part are others."""
    random = np.random.default_rng(parts)
    values = random.standard_normal(MANY)
    values[random.random(MANY) < 1 / 3] = 0.0
    ties = random.random(MANY) < 0.06
    values[ties] = random.integers(1, 31, ties.sum()) / 10
    columns = [read(ExactAccumulator(False, None, 10_000), values, n, random) for n in (1, 2, parts)]
    for column in columns:
        require_same(column, columns[0])
        assert column.intervals is not None
        for frequent in np.arange(31) / 10:
            assert column.counts[column.values == frequent] == [(values == frequent).sum()]


@pytest.mark.parametrize("parts", [1, 7, 200])
def test_categories_of_parts_are_those_of_all_rows(parts):
    random = np.random.default_rng(parts)
    values = np.array([f"{'é' * (i % 5)}{i}" for i in random.integers(0, 3000, 30_000)])
    a = read(CategoryAccumulator(), values)
    b = read(CategoryAccumulator(), values, parts, random)
    assert (a.labels, a.counts.tolist(), a.missing) == (b.labels, b.counts.tolist(), b.missing)


def test_parts_without_rows_are_a_column_without_rows():
    for accumulator in (ExactAccumulator(False, None, 9), ExactAccumulator(True, None, 9), CategoryAccumulator()):
        accumulator.merge(create_part(accumulator.setup()).state())
        column = accumulator.finish(4)
        assert (column.present, column.missing) == (0, 4)
