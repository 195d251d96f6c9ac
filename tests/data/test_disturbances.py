"""Disturbances of a batch: the parser of their texts, which rows they concern, and what becomes of the values."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.disturbances import describe_disturbances, disturb_rows, require_possible
from engine.errors import UsageError
from engine.spec.disturbances import FORMS, Disturbance, DisturbanceKind, parse_disturbance, parse_term

COLUMNS = st.text(st.characters(exclude_characters="=", exclude_categories=["C", "Z"]), min_size=1)
NUMBERS = st.floats(-1e6, 1e6).filter(lambda number: number not in (0, 1))
VALUES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)
PERCENT = st.floats(0, 100, exclude_min=True)


def made(frame: pl.DataFrame, *terms: str) -> pl.DataFrame:
    return disturb_rows(frame.lazy(), [parse_term(term) for term in terms]).collect()


@given(column=COLUMNS, amount=NUMBERS, unit=st.sampled_from(["", "sd", "%", "d"]))
def test_a_shift_is_read_as_it_was_written(column: str, amount: float, unit: str) -> None:
    read = parse_disturbance("shift", f"{column}={amount:+}{unit}")
    seconds = unit == "d"
    assert (read.kind, read.column, read.unit) == ("shift", column, "seconds" if seconds else unit)
    assert read.amount == amount * (86_400 if seconds else 1)


@given(column=COLUMNS, value=VALUES, percent=PERCENT)
def test_a_category_is_read_as_it_was_written_whatever_the_value_holds(column: str, value: str, percent: float) -> None:
    read = parse_disturbance("category", f"{column}={value}:{percent}%")
    assert (read.column, read.value, read.amount) == (column, value, percent / 100)


@given(kind=st.sampled_from(list(FORMS)), text=st.text())
def test_any_text_is_a_disturbance_or_an_error_that_shows_the_form(kind: DisturbanceKind, text: str) -> None:
    try:
        read = parse_disturbance(kind, text)
    except UsageError as wrong:
        told = str(wrong)
    else:
        told = f"--{read.kind} {FORMS[read.kind]}"
    assert f"--{kind}" in told
    assert FORMS[kind] in told


@pytest.mark.parametrize(
    ("term", "why"),
    [
        ("missing age=120%", "a share is more than 0% and at most 100%, not 120%"),
        ("missing age=0%", "not 0%"),
        ("missing age=0.1", "'0.1' is not a share in percent"),
        ("missing age", "write COLUMN=SHARE, such as card_age=10%"),
        ("category country=:20%", "write COLUMN=VALUE:SHARE"),
        ("category country=Atlantis", "write COLUMN=VALUE:SHARE"),
        ("shift age=much", "'much' is not an amount"),
        ("shift age=+0sd", "a shift by 0 changes nothing"),
        ("shift age=1e999", "'1e999' is not an amount"),
        ("shift paid=+9999999w", "+9999999w is more than 10,000 years"),
        ("scale age=1", "a factor of 1 changes nothing"),
        ("rows 0", "write a whole number of rows, such as 500"),
        ("rows many", "write a whole number of rows"),
        ("drop ", "write COLUMN, such as card_age"),
        ("shit age=3", "there is no disturbance 'shit'; did you mean 'shift'?"),
    ],
)
def test_a_malformed_disturbance_says_what_is_allowed(term: str, why: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse_term(term)
    assert why in str(wrong.value)


NOON = datetime(2026, 1, 1, 12)
EVERY_TYPE = pl.DataFrame(
    {
        "whole": [1, 2, 3],
        "number": [1.5, 2.5, None],
        "text": ["a", "b", "c"],
        "flag": [True, False, None],
        "day": [date(2026, 1, 1)] * 3,
        "time": [NOON] * 3,
        "span": [timedelta(hours=1)] * 3,
        "list": [[1], [2], [3]],
    }
)


@pytest.mark.parametrize(
    ("term", "why"),
    [
        ("drop wole", "dataset 'batch' has no column 'wole'; did you mean 'whole'?"),
        ("shift text=+3", "holds values of type text: only numbers and times can be shifted"),
        ("shift flag=+3", "only numbers and times can be shifted"),
        ("scale day=3", "only numbers can be multiplied"),
        ("shift day=+3", "shift it by a time, such as day=+3d"),
        ("shift day=+3h", "have no time of day: shift it by whole days"),
        ("shift time=+0.5sd", "shift it by a time, such as time=+3d"),
        ("shift number=+3d", "shift it by number=+0.5sd, number=+10% or number=-3"),
        ("shift whole=+0.4", "0.4, rounded to a whole number, changes nothing"),
        ("category whole=many:10%", "holds values of type integer, and 'many' is none"),
        ("category flag=maybe:10%", "and 'maybe' is none"),
        ("category list=1:10%", "a value can be set in columns of text, booleans, numbers and dates"),
    ],
)
def test_what_a_type_does_not_allow_is_refused_with_what_it_does(term: str, why: str) -> None:
    with pytest.raises(UsageError) as wrong:
        require_possible([parse_term(term)], EVERY_TYPE.schema, "batch")
    assert why in str(wrong.value)


def test_a_column_that_was_dropped_before_is_gone() -> None:
    terms = [parse_term("drop whole"), parse_term("shift whole=+1")]
    with pytest.raises(UsageError, match="has no column 'whole'; it is dropped before"):
        require_possible(terms, EVERY_TYPE.schema, "batch")
    require_possible(terms[::-1], EVERY_TYPE.schema, "batch")


def test_values_keep_their_type_and_missing_ones_stay_missing() -> None:
    frame = EVERY_TYPE.with_columns(
        pl.col("number").cast(pl.Float32).alias("single"),
        pl.Series("exact", [Decimal("1.10"), Decimal("2.25"), None]),
    )
    shifted = made(
        frame, "shift whole=+1.6", "shift number=-1", "scale single=2", "shift exact=+10%", "shift day=+3d",
        "shift time=-2h", "shift span=+1d",
    )  # fmt: skip
    assert shifted.schema == frame.schema
    assert shifted["whole"].to_list() == [3, 4, 5]
    assert shifted["number"].to_list() == [0.5, 1.5, None]
    assert shifted["single"].to_list() == [3, 5, None]
    assert shifted["exact"].to_list() == [Decimal("1.21"), Decimal("2.48"), None]
    assert shifted["day"].to_list() == [date(2026, 1, 4)] * 3
    assert shifted["time"].to_list() == [NOON - timedelta(hours=2)] * 3
    assert shifted["span"].to_list() == [timedelta(hours=25)] * 3


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int64, pl.UInt64])
def test_integers_that_leave_their_width_are_neither_wrapped_nor_missing(dtype: pl.DataType) -> None:
    low, high = pl.Series([0]).to_frame().select(low=dtype.min(), high=dtype.max()).row(0)
    frame = pl.DataFrame({"x": pl.Series([low, high], dtype=dtype)})
    up, down = made(frame, "shift x=+7")["x"], made(frame, "shift x=-7")["x"]
    assert up.dtype.is_integer()
    assert up.null_count() == down.null_count() == 0
    assert up[1] >= high
    assert down[0] <= low
    assert up[0] == low + 7
    assert down[1] == high - 7
    assert made(frame, "scale x=1000")["x"].to_list()[1] >= high


def test_a_category_may_be_new_in_an_enum_and_too_large_for_a_narrow_integer() -> None:
    frame = pl.DataFrame(
        {
            "kind": pl.Series(["a", "b"] * 5, dtype=pl.Enum(["a", "b"])),
            "code": pl.Series([1, 2] * 5, dtype=pl.Int8),
            "flag": [True] * 10,
            "day": [date(2026, 1, 1)] * 10,
        }
    )
    found = made(
        frame, "category kind=Atlantis:20%", "category code=9999:30%", "category flag=false:40%",
        "category day=1999-12-31:50%",
    )  # fmt: skip
    assert Counter(found["kind"].to_list())["Atlantis"] == 2
    assert Counter(found["code"].to_list())[9999] == 3
    assert Counter(found["flag"].to_list())[False] == 4
    assert Counter(found["day"].to_list())[date(1999, 12, 31)] == 5


ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None])), max_size=60)


def as_frame(rows: list[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, {"x": pl.Int64, "g": pl.String}, orient="row")


@given(rows=ROWS, percent=PERCENT)
def test_a_share_is_exact_however_many_rows_are_equal(rows: list[tuple[int, str | None]], percent: float) -> None:
    frame = as_frame(rows)
    found = made(frame, f"missing x={percent}%")
    assert found["x"].null_count() == round(percent / 100 * len(rows))
    assert found["g"].equals(frame["g"], null_equal=True)


@given(rows=ROWS, data=st.data())
def test_the_order_of_the_rows_plays_no_part(rows: list[tuple[int, str | None]], data: st.DataObject) -> None:
    other = data.draw(st.permutations(rows))
    terms = ["missing x=30%", "category g=new:25%", "shuffle x", "shift x=+2", "rows 20", "missing g=10%"]
    found, again = (Counter(made(as_frame(one), *terms).rows()) for one in (rows, other))
    assert found == again


@given(rows=ROWS, wanted=st.integers(1, 60))
def test_kept_rows_are_rows_of_the_batch(rows: list[tuple[int, str | None]], wanted: int) -> None:
    kept = Counter(made(as_frame(rows), f"rows {wanted}").rows())
    assert kept.total() == min(wanted, len(rows))
    assert kept <= Counter(rows)


@given(rows=ROWS)
def test_a_shuffled_column_keeps_its_values_and_the_others_their_rows(rows: list[tuple[int, str | None]]) -> None:
    frame = as_frame(rows).with_row_index()
    found = made(frame, "shuffle x")
    assert Counter(found["x"]) == Counter(frame["x"])
    assert found.drop("x").equals(frame.drop("x"), null_equal=True)


def test_a_shuffle_breaks_the_relation_of_two_columns() -> None:
    frame = pl.DataFrame({"x": range(2000), "y": range(2000)})
    assert abs(made(frame, "shuffle x").select(pl.corr("x", "y")).item()) < 0.1


def test_a_disturbance_concerns_the_same_rows_whatever_is_made_beside_it() -> None:
    frame = pl.DataFrame({"x": range(500), "y": range(500)})
    alone = made(frame, "missing x=10%")["x"]
    beside = made(frame, "missing y=40%", "shift y=+3", "missing x=10%")["x"]
    assert alone.equals(beside, null_equal=True)
    more = made(frame, "missing x=20%")["x"]
    assert more.filter(alone.is_null()).null_count() == 50  # a larger share concerns these rows and more


def test_a_column_whose_name_looks_like_a_pattern_is_meant_literally() -> None:
    frame = pl.DataFrame({"^a.*$": [1, 2], "ab": [1, 2]})
    assert made(frame, "drop ^a.*$").columns == ["ab"]
    found = made(frame, "shift ^a.*$=+1", "missing ^a.*$=50%", "category ^a.*$=7:50%", "shuffle ^a.*$")
    assert found["ab"].to_list() == [1, 2]
    assert sorted(found["^a.*$"].to_list(), key=str)[0] in (2, 3, 7)


def test_disturbances_are_made_in_their_order() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0]})
    assert made(frame, "shift x=+1", "scale x=10")["x"].to_list() == [20, 30]
    assert made(frame, "scale x=10", "shift x=+1")["x"].to_list() == [11, 21]


def test_what_was_done_is_reported_with_the_rows_that_it_has_changed() -> None:
    frame = pl.DataFrame({"x": [1, 2, 3, None], "n": [1.0, 2.0, 3.0, 4.0], "g": ["a", "a", "b", "b"]})
    shift = Disturbance("shift", "x=+0.5sd", "x", 0.5, "sd", deviation=5.0)
    terms = [shift, *map(parse_term, ["scale n=2", "category g=a:100%", "rows 2", "drop n"])]
    moved = "+0.5 standard deviations of the reference"
    assert describe_disturbances(frame.lazy(), terms) == [
        f"x: shifted by {moved}, which are 2.5, rounded to whole numbers, in 3 of 4 rows",
        "n: multiplied by 2 in 4 of 4 rows",
        "g: set to a in 2 of 4 rows",
        "2 of 4 rows were kept",
        "n: dropped",
    ]
