"""Which columns take part, as what, and what is said of the others."""

from datetime import date, datetime, time

import numpy as np
import polars as pl
import pytest

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
        "when": [datetime(2017, 1, 1)] * N,  # noqa: DTZ001  naive datetimes are what most tables hold
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
        "day": "a date: it would tell any two periods apart",
        "when": "a datetime: it would tell any two periods apart",
        "hour": "a time of day: it would tell any two periods apart",
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


def test_few_rows_are_no_evidence_of_an_identifier():
    assert roles(FRAME.head(15))[0]["token"] == Role.CATEGORICAL
    assert roles(FRAME.head(15))[0]["row"] == Role.NUMERICAL
    assert roles(FRAME.head(0))[0]["row"] == Role.NUMERICAL


def test_what_cannot_be_is_said():
    with pytest.raises(DataError, match="lacks the model's columns 'a', 'b'; it has amount, age"):
        roles(FRAME, only=["a", "b", "age"])
    with pytest.raises(DataError, match="'city' is declared numerical, but holds text"):
        roles(FRAME, {"city": "numerical"})
