"""The numbers of a column that are present, read from its memory, against polars' own way."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift.reading.arrow_memory import present_numbers

TYPES = [pl.Int8, pl.Int32, pl.Int64, pl.Float32, pl.Float64]


@given(
    st.lists(st.none() | st.integers(-99, 99), max_size=200),
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 200), max_size=4),
    st.integers(0, 70),
    st.integers(0, 150),
)
def test_present_numbers_are_those_that_polars_keeps(values, dtype, cuts, start, length):
    whole = pl.Series("a", values, dtype)
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    # a slice starts amid the bytes of the mask, and has several parts of memory
    column = pl.concat([whole[a:b] for a, b in pairwise(ends)], rechunk=False).slice(start, length)
    found = present_numbers(column)
    assert found.tolist() == column.drop_nulls().to_list()
    assert pl.Series(found).dtype == (dtype if dtype.is_float() else pl.Int64)


@pytest.mark.parametrize("dtype", TYPES)
def test_many_numbers_are_read_by_compiled_code(dtype):
    random = np.random.default_rng(0)
    column = pl.Series(random.integers(0, 100, 300_000)).cast(dtype)
    column = pl.select(pl.when(pl.Series(random.random(300_000) < 0.9)).then(column)).to_series()[13:]
    assert present_numbers(column).tolist() == column.drop_nulls().to_list()
