"""Conditions that the engine writes select, as SQL, the rows that they name, whatever columns and values are called."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Table
from engine.data.segments import SegmentRules, find_members
from engine.errors import Position
from engine.spec.sql.row_conditions import bind_row_condition, find_row_condition_problems, write_row_condition

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8)


def select_rows(frame: pl.DataFrame, condition: str) -> list[bool]:
    assert find_row_condition_problems(condition, []) == []
    rules = SegmentRules(conditions={"a": bind_row_condition(condition, {})}, places={"a": Position("spec.yaml")})
    return find_members(Table("rows", frame.lazy(), ""), rules).rows["a"].to_list()


@settings(max_examples=40)
@given(TEXT, TEXT)
def test_a_text_selects_its_rows(column: str, value: str) -> None:
    frame = pl.DataFrame({column: [value, f"{value}x", None]})
    assert select_rows(frame, write_row_condition(column, "=", value)) == [True, False, False]


@pytest.mark.parametrize("column", ["user", "interval", "exists", "order", "select", "current_date", "Äge", "IF"])
def test_words_of_sql_are_columns_too(column: str) -> None:
    assert select_rows(pl.DataFrame({column: [1, 5]}), write_row_condition(column, "<=", 3.0)) == [True, False]


@settings(max_examples=40)
@given(st.floats(-1e12, 1e12, allow_subnormal=False))
def test_a_number_is_written_so_that_it_selects_itself(value: float) -> None:
    frame = pl.DataFrame({"order": [value, value + abs(value) + 1, None]})
    assert select_rows(frame, write_row_condition("order", "<=", value)) == [True, False, False]
    assert select_rows(frame, write_row_condition("order", ">", value)) == [False, True, False]


@pytest.mark.parametrize(
    ("column", "relation", "value", "written"),
    [
        ("age", "<=", 25.0, "age <= 25"),
        ("share", ">", 1e-7, "share > 1e-07"),
        ("first name", "=", "O'Hara", "\"first name\" = 'O''Hara'"),
        ("group", "missing", None, '"group" IS NULL'),
        ("vip", "=", True, "vip"),
        ("vip", "=", False, "NOT vip"),
        ("price", "=", "${free}", "price = '$${free}'"),
    ],
)
def test_conditions_read_as_a_person_would_write_them(column, relation, value, written):
    assert write_row_condition(column, relation, value) == written


def test_nan_is_missing_to_conditions_as_it_is_to_the_rest():
    frame = pl.DataFrame(
        {"age": [20.0, 30.0, float("nan"), None], "share": pl.Series([0, 1, float("nan"), 1], dtype=pl.Float32)}
    )
    assert select_rows(frame, write_row_condition("age", ">", 25.0)) == [False, True, False, False]
    assert select_rows(frame, write_row_condition("age", "missing", None)) == [False, False, True, True]
    assert select_rows(frame, "NOT age <= 25 OR share BETWEEN 0 AND 0.5") == [True, True, False, False]
