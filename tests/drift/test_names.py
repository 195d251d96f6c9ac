"""A column may have any name: polars takes some of them for patterns, and a query adds names of its own."""

import numpy as np
import polars as pl
import pytest

from engine.drift import Role, compare, domain_classifier, profile, roles, sample
from engine.errors import DataError

NAMES = ["x", "^x$", "^.*$", "*", "", "a b", "ü", "entity", "row", "value x", "x low", "\0row", "$", "^", "1", "None"]


@pytest.mark.parametrize("dtype", [pl.Float64, pl.UInt64, pl.String])
@pytest.mark.parametrize("entity", [None, "entity", "row", "value x", "^x$", "*"])
def test_a_column_may_have_any_name(dtype: type[pl.DataType], entity: str | None):
    frame = pl.DataFrame(
        {name: pl.Series([10 * i, 10 * i + 1, 10 * i + 1]).cast(dtype) for i, name in enumerate(NAMES)}
    )
    role = Role.CATEGORICAL if dtype == pl.String else Role.NUMERICAL
    assert roles(frame, entity=entity)[0] == {name: role for name in NAMES if name != entity}
    found = profile(frame, entity=entity)
    for name, column in found.columns.items():
        values = column.labels if dtype == pl.String else column.values
        assert dict(zip(map(float, values), column.counts.tolist(), strict=True)) == {
            10.0 * NAMES.index(name): 1,
            10.0 * NAMES.index(name) + 1: 2,
        }
    assert found.rows == 3
    assert (found.entities and len(found.entities.keys)) == (2 if entity is not None else None)
    assert list(compare(found, frame).columns) == list(found.columns)


def test_a_column_that_does_not_fit_its_role_is_found_beside_one_named_like_its_range():
    frame = pl.DataFrame({"x": pl.Series([2**63], dtype=pl.UInt64), "x low": ["a"]})
    with pytest.raises(DataError, match="'x low' is compared as numerical, but row 1 holds text: 'a'"):
        profile(frame, dict.fromkeys(frame.columns, Role.NUMERICAL))


def test_an_entity_is_the_same_in_any_type_that_holds_its_name():
    taking = {"x": Role.NUMERICAL}
    whole = pl.DataFrame({"x": [1, 2, 3], "card": [7, 8, 8]})
    for dtype in (pl.Float64, pl.UInt8, pl.String):
        other = whole.with_columns(pl.col("card").cast(pl.Int64).cast(dtype))
        both = profile(whole, taking, entity="card").merge(profile(other, taking, entity="card"))
        assert both.entities is not None
        assert len(both.entities.keys) == 2


def test_the_drift_model_and_its_sample_take_any_name():
    random = np.random.default_rng(0)

    def frame(n, moved):
        columns = {"^x$": random.normal(moved, 1, n), "*": random.choice(["a", "b"], n), "x": random.normal(0, 1, n)}
        return pl.DataFrame(columns | {"^.*$": random.integers(0, n // 3, n)})

    taking = {"^x$": Role.NUMERICAL, "*": Role.CATEGORICAL, "x": Role.NUMERICAL}
    told_apart = domain_classifier(frame(3_000, 0), frame(3_000, 1), taking, entity="^.*$")
    assert told_apart.accuracy > 0.6
    assert max(told_apart.importance, key=told_apart.importance.get) == "^x$"
    assert sample(frame(3_000, 0).lazy(), list(taking), 100, entity="^.*$").shape == (100, 4)
