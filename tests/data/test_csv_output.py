"""CSV that a spreadsheet opens: no text is run as a formula, no number is changed."""

import polars as pl
import pytest

from engine.data.output.spreadsheet_csv import disarm_formulas


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=LINK(1)", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"],
)
def test_a_formula_becomes_text(text: str) -> None:
    assert disarm_formulas(pl.DataFrame({"a": [text]})).item() == f"'{text}"
    assert disarm_formulas(pl.DataFrame({"a": pl.Series([text], dtype=pl.Categorical)})).item() == f"'{text}"
    assert disarm_formulas(pl.DataFrame({text: [1]})).columns == [f"'{text}"]


@pytest.mark.parametrize("text", ["", "plain", "a=b", "-5", "+3.5e-4", "-1,200.50", "-12 %", "'=1", "2026-11-28"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert disarm_formulas(pl.DataFrame({"a": [text, None]}))["a"].to_list() == [text, None]


def test_numbers_and_the_order_of_columns_stay() -> None:
    frame = pl.DataFrame({"=n": [-1.5, None], "'=n": [1, -2], "d": [True, None]})
    made = disarm_formulas(frame)
    assert made.columns == ["'=n", "''=n", "d"]
    assert made.rows() == frame.rows()
