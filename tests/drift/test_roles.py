"""Which columns take part, as what, and what is said of the others."""

from datetime import date, datetime, time
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift import Role, roles
from engine.errors import DataError

N = 40
FRAME = pl.LazyFrame(
    {
        "amount": np.linspace(5, 1, N),
        "age": [30 + i % 7 for i in range(N)],
        "row": pl.Series(range(10, 10 + N), dtype=pl.UInt64),
        "flag": [i % 2 == 0 for i in range(N)],
        "city": [f"city {i % 5}" for i in range(N)],
        "token": [f"token {i}" for i in range(N)],
        "day": [date(2017, 1, 1)] * N,
        "when": [datetime(2017, 1, 1)] * N,
        "hour": [time(1)] * N,
        "took": pl.Series([90] * N).cast(pl.Duration("ms")),
        "tags": [["a"]] * N,
        "nothing": [None] * N,
        "level": pl.Series(["low", "high"] * (N // 2), dtype=pl.Enum(["low", "high"])),
    }
)


def test_roles_follow_types_and_the_rest_is_left_out_with_a_reason():
    taking, left_out = roles(FRAME)
    assert taking == {
        "amount": Role.NUMERICAL,
        "age": Role.NUMERICAL,
        "took": Role.NUMERICAL,
        "flag": Role.CATEGORICAL,
        "city": Role.CATEGORICAL,
        "nothing": Role.CATEGORICAL,
        "level": Role.CATEGORICAL,
    }
    assert left_out == {
        "day": "a date, which always differs between two periods",
        "when": "a datetime, which always differs between two periods",
        "hour": "a time of day, which always differs between two periods",
        "tags": "List(String) values are not compared",
        "row": "counts up with row order",
        "token": "an identifier: nearly every value is different",
    }


def test_declared_roles_win():
    declared = {"row": "numerical", "age": "categorical", "city": "ignore", "amount": "identifier", "day": "numerical"}
    taking, left_out = roles(FRAME, declared | {"token": "categorical"})
    assert (taking["row"], taking["age"], taking["day"]) == (Role.NUMERICAL, Role.CATEGORICAL, Role.NUMERICAL)
    assert taking["token"] == Role.CATEGORICAL
    assert (left_out["city"], left_out["amount"]) == ("declared ignore", "declared identifier")


def test_a_models_features_take_part_and_no_other_column():
    taking, left_out = roles(FRAME, only=["row", "city", "day", "token"], exclude=["city"])
    assert taking == {"row": Role.NUMERICAL}
    assert list(left_out) == ["city", "day", "token"]
    assert left_out["city"] == "excluded from drift"


def test_the_entity_is_not_compared():
    assert roles(FRAME, entity="age")[1]["age"] == "the entity: it says which rows belong together"


def test_few_rows_are_not_taken_for_an_identifier():
    assert roles(FRAME.head(15))[0]["token"] == Role.CATEGORICAL
    assert roles(FRAME.head(15))[0]["row"] == Role.NUMERICAL
    assert roles(FRAME.head(0))[0]["row"] == Role.NUMERICAL


def test_wrong_columns_and_roles_are_refused():
    with pytest.raises(DataError, match="has no columns 'a', 'b'; it has amount, age"):
        roles(FRAME, only=["a", "b", "age"])
    with pytest.raises(DataError, match="'city' is declared numerical, but holds text"):
        roles(FRAME, {"city": "numerical"})


def test_any_form_of_data(tmp_path: Path):
    FRAME.select("amount", "city", "token").collect().write_parquet(tmp_path / "t.parquet")
    assert roles(tmp_path / "t.parquet") == roles(FRAME, only=["amount", "city", "token"])
    assert roles(FRAME.collect())[0] == roles(FRAME)[0]


@given(
    st.lists(st.none() | st.integers(0, 30), max_size=70),
    st.integers(0, 70),
    st.integers(1, 80),
)
def test_the_first_rows_decide_nothing_that_the_rest_could_change(repeats: list[int | None], ascending: int, head: int):
    """Against the definitions, with columns on either side of them, however many rows are looked at first."""
    texts = [
        None if value is None else f"repeated {value}" if value < 3 else f"new {i}" for i, value in enumerate(repeats)
    ]
    numbers = [i if i < ascending else 0 for i in range(len(texts))]
    frame = pl.LazyFrame({"text": pl.Series(texts, dtype=pl.String), "number": pl.Series(numbers, dtype=pl.Int32)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("engine.drift.reading.identifying_columns"), "HEAD_ROWS", head)
        _, left_out = roles(frame)
    present = [text for text in texts if text is not None]
    assert ("text" in left_out) == (len(present) >= 20 and len(set(present)) * 100 > 95 * len(present))
    rises = all(a < b for a, b in pairwise(numbers))
    assert ("number" in left_out) == (len(numbers) >= 20 and rises)
