"""Column contracts: against a naive twin, row by row; and what is said when one is broken."""

import math
from datetime import date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import Table, verify_contract
from engine.data.contract import check_schema
from engine.errors import DataError
from engine.spec.resources.datasets import Column


def table(frame, **columns):
    return Table("t", frame.lazy(), "", columns={name: Column(**rules) for name, rules in columns.items()})


def broken(frame, **columns):
    with pytest.raises(DataError) as caught:
        verify_contract(table(frame, **columns))
    return str(caught.value)


def naive(values, rules):
    """Count the rows that break each rule, the obvious way."""
    present = [v for v in values if v is not None and not (isinstance(v, float) and math.isnan(v))]
    return {
        "missing, but the column is required": len(values) - len(present) if rules.required else 0,
        "below min": sum(v < rules.min for v in present) if rules.min is not None else 0,
        "above max": sum(v > rules.max for v in present) if rules.max is not None else 0,
        "not in allowed": sum(v not in rules.allowed for v in present) if rules.allowed is not None else 0,
        "equal to an earlier one, but the column must be unique": len(present) - len(set(present))
        if rules.unique
        else 0,
    }


numbers = st.one_of(st.none(), st.integers(-5, 5))
floats = st.one_of(st.none(), st.sampled_from([-math.inf, -1.5, 0.0, 0.5, 2.0, math.inf, math.nan]))
bounds = st.none() | st.integers(-4, 4).map(float)


@given(
    values=st.lists(numbers, max_size=12) | st.lists(floats, max_size=12),
    low=bounds,
    high=bounds,
    allowed=st.none() | st.lists(st.integers(-3, 3), min_size=1, max_size=4),
    required=st.booleans(),
    unique=st.booleans(),
)
def test_verification_agrees_with_a_naive_twin(values, low, high, allowed, required, unique):
    rules = Column(min=low, max=high, allowed=allowed, required=required, unique=unique)
    dtype = pl.Float64 if any(isinstance(v, float) for v in values) else pl.Int64
    one = Table("t", pl.LazyFrame({"x": pl.Series(values, dtype=dtype)}), "", columns={"x": rules})
    expected = {rule: count for rule, count in naive(values, rules).items() if count}
    if not expected:
        verify_contract(one)
        return
    with pytest.raises(DataError) as caught:
        verify_contract(one)
    message = str(caught.value)
    assert message.count("column 'x'") == len(expected)
    for rule, count in expected.items():
        assert f"column 'x': {count} of {len(values)} values {'is' if count == 1 else 'are'} {rule}" in message


def test_every_broken_rule_of_every_column_is_reported_with_its_first_rows():
    frame = pl.DataFrame(
        {"score": [300, 250, None, 900, 870, 851, 852, 853, 854], "flag": [0, 1, 2, 0, 1, 0, 1, None, 1]}
    )
    message = broken(frame, score={"min": 300, "max": 850, "required": True}, flag={"allowed": [0, 1]})
    assert message.splitlines() == [
        "dataset 't' breaks the rules of its columns:",
        "  column 'score': 1 of 9 values is missing, but the column is required: row 3",
        "  column 'score': 1 of 9 values is below min 300: row 2 (250)",
        (
            "  column 'score': 6 of 9 values are above max 850: "
            "row 4 (900), row 5 (870), row 6 (851), row 7 (852), row 8 (853)"
        ),
        "  column 'flag': 1 of 9 values is not in allowed (0, 1): row 3 (2)",
    ]


def test_values_that_occur_twice_are_shown():
    message = broken(pl.DataFrame({"id": ["a", "b", "a", None, None]}), id={"unique": True})
    assert message == (
        "dataset 't' breaks the rules of its columns: column 'id': 1 of 5 values is equal to an earlier one, "
        "but the column must be unique: row 1 ('a'), row 3 ('a')"
    )


def test_a_long_value_is_shortened():
    assert "…" in broken(pl.DataFrame({"s": ["x" * 500]}), s={"allowed": ["y"]})


@pytest.mark.parametrize(
    ("values", "dtype", "rules", "bad"),
    [
        ([date(2017, 1, 1), date(2016, 12, 31)], pl.Date, {"min": date(2017, 1, 1)}, 1),
        (
            [datetime.fromisoformat("2017-01-01T00:00"), datetime.fromisoformat("2017-01-02T00:00")],
            pl.Datetime("ms"),
            {"max": date(2017, 1, 1)},
            1,
        ),
        (
            [datetime.fromisoformat("2017-01-01T09:00"), datetime.fromisoformat("2017-01-01T11:00")],
            pl.Datetime("us", "UTC"),
            {"max": datetime.fromisoformat("2017-01-01T10:00")},
            1,
        ),
        ([timedelta(seconds=5), timedelta(seconds=90)], pl.Duration("ms"), {"max": 60}, 1),
        (["1.10", "2.25"], pl.Decimal(10, 2), {"max": 2, "type": "number"}, 1),
        (["a", "b", "b"], pl.Categorical, {"allowed": ["a"], "type": "text"}, 2),
        (["a", "b"], pl.Enum(["b", "a"]), {"allowed": ["a"]}, 1),
        ([True, False, None], pl.Boolean, {"allowed": [True], "type": "boolean"}, 1),
        ([date(2017, 1, 1), date(2017, 1, 2)], pl.Date, {"allowed": ["2017-01-01"]}, 1),
        ([2**63, 1], pl.UInt64, {"max": 10, "type": "integer"}, 1),
    ],
)
def test_rules_on_every_family(values, dtype, rules, bad):
    series = (
        pl.Series("x", values, dtype=pl.String if isinstance(dtype, pl.Decimal) else None).cast(dtype)
        if isinstance(dtype, pl.Decimal)
        else pl.Series("x", values, dtype=dtype)
    )
    one = table(series.to_frame(), x=rules)
    check_schema(one.frame.collect_schema(), one.columns)
    with pytest.raises(DataError, match=f"column 'x': {bad} "):
        verify_contract(one)


def test_a_column_without_any_value_has_every_type_and_breaks_only_required():
    frame = pl.DataFrame({"x": [None, None]})
    rules = {"type": "date", "min": date(2017, 1, 1), "unique": True}
    one = table(frame, x=rules)
    check_schema(frame.schema, one.columns)
    verify_contract(one)
    assert "2 of 2 values are missing, but the column is required: row 1, row 2" in broken(
        frame, x={**rules, "required": True}
    )


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"type": "integer"}, "column 's' is text, but the spec declares type: integer"),
        ({"min": 1}, "column 's' is text, but min is 1, which cannot be compared with it"),
        ({"allowed": ["a", 1]}, "column 's' is text, but allowed contains 1, which is not of that type"),
    ],
)
def test_a_contract_that_the_schema_cannot_keep(rules, said):
    one = table(pl.DataFrame({"s": ["a"]}), s=rules)
    with pytest.raises(DataError, match=said):
        check_schema(one.frame.collect_schema(), one.columns)


def test_an_allowed_date_must_be_one():
    one = table(pl.DataFrame({"d": [date(2017, 1, 1)]}), d={"allowed": ["soon"]})
    with pytest.raises(DataError, match="column 'd' is date, but allowed contains 'soon', which is not of that type"):
        check_schema(one.frame.collect_schema(), one.columns)


def test_a_number_may_be_integer_and_whole_numbers_are_integers():
    frame = pl.DataFrame({"i": [1], "f": [1.0]})
    check_schema(frame.schema, {"i": Column(type="number"), "f": Column(type="number")})
    for whole in ([1.0, None, -2.0], [Decimal("1.00"), Decimal("7.00")]):
        verify_contract(table(pl.DataFrame({"f": whole}), f={"type": "integer", "max": 7, "allowed": [1, -2, 7]}))
    for other in (0.5, float("inf")):
        one = table(pl.DataFrame({"f": [1.0, other]}), f={"type": "integer"})
        check_schema(one.frame.collect_schema(), one.columns)
        with pytest.raises(DataError, match="column 'f': 1 of 2 values is not whole, but the column is declared as"):
            verify_contract(one)


def test_every_column_that_is_missing_is_named_with_the_likely_one(project, tmp_path):
    pl.DataFrame({"card_age": [1], "other": ["x"]}).write_parquet(tmp_path / "t.parquet")
    contract = {"card_ages": {"required": True}, "other": {"type": "number"}}
    with pytest.raises(DataError) as caught:
        project({"t": {"path": "t.parquet", "columns": contract}}).open("t")
    assert str(caught.value).splitlines() == [
        "dataset 't': the columns are not as the spec declares them:",
        "  there is no column 'card_ages'; did you mean 'card_age'?",
        "  column 'other' is text, but the spec declares type: number",
    ]


def test_a_column_that_is_declared_itself_is_not_the_likely_one(project, tmp_path):
    pl.DataFrame({"amount": [1.0], "land": ["x"]}).write_parquet(tmp_path / "t.parquet")
    contract = {"country": {"type": "text"}, "amount": {"type": "number"}}  # alike: did you mean 'amount'?
    with pytest.raises(DataError, match=r"there is no column 'country'; there is only 'land'$"):
        project({"t": {"path": "t.parquet", "columns": contract}}).open("t")


def test_broken_rows_of_a_glob_are_named_by_file(project, tmp_path):
    pl.DataFrame({"a": [1, 2]}).write_csv(tmp_path / "1.csv")
    pl.DataFrame({"a": [3, -4]}).write_csv(tmp_path / "2.csv")
    datasets = project({"t": {"path": "*.csv", "columns": {"a": {"min": 0}}}})
    with pytest.raises(DataError, match=r"column 'a': 1 of 4 values is below min 0: line 3 of 2.csv \(-4\)"):
        verify_contract(datasets.open("t"))


def test_an_entity_must_be_a_column(project, tmp_path):
    pl.DataFrame({"card_id": [1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        DataError,
        match=r"dataset 't': there is no column 'card', which the dataset declares as entity; did you mean 'card_id'?",
    ):
        project({"t": {"path": "t.parquet", "entity": "card"}}).open("t")


def test_verification_streams(project, tmp_path):
    big = pl.LazyFrame({"a": pl.int_range(1_000_000, eager=True)}).with_columns(s=pl.col("a").cast(pl.String))
    big.sink_parquet(tmp_path / "t.parquet", row_group_size=100_000)
    rules = {"a": {"type": "integer", "min": 0, "unique": True}, "s": {"required": True}}
    datasets = project({"t": {"path": "t.parquet", "columns": rules}})
    table = datasets.open("t")
    verify_contract(table)
    heights = [batch.height for batch in table.frame.collect_batches(chunk_size=100_000)]
    assert sum(heights) == 1_000_000
    assert max(heights) <= 200_000
