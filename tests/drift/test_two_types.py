"""A column that reference and batch hold in two types, in the library: equal values are equal, the rest is told."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift import KnownColumn, Profile, Role, align_columns, compare, domain_classifier, profile
from engine.drift.reading.normalization import normalize_categories

N = 400
WHOLE = pl.Series("c", np.random.default_rng(1).integers(0, 5, N))
FLAG = WHOLE < 2
DAY = pl.Series("c", [date(2024, 1, 1) + timedelta(days=int(i)) for i in WHOLE])
OTHER = pl.Series("z", np.random.default_rng(2).normal(size=N))

NUMBERS = {
    "Int64": WHOLE,
    "UInt8": WHOLE.cast(pl.UInt8),
    "Int128": WHOLE.cast(pl.Int128),
    "Float32": WHOLE.cast(pl.Float32),
    "Float64": WHOLE.cast(pl.Float64),
    "Decimal": WHOLE.cast(pl.Decimal(10, 2)),
    "whole Decimal": WHOLE.cast(pl.Decimal(20, 0)),
    "extension": WHOLE.ext.to(pl.Extension("my.number", pl.Int64())),
}
TEXTS = {
    "String": WHOLE.cast(pl.String),
    "Categorical": WHOLE.cast(pl.String).cast(pl.Categorical),
    "Enum": WHOLE.cast(pl.String).cast(pl.Enum(list("43210"))),
}
FLAGS = {"Boolean": FLAG, "0 and 1": FLAG.cast(pl.Int64), "0.0 and 1.0": FLAG.cast(pl.Float64)}
TIMES = {
    "Date": DAY,
    "Datetime": DAY.cast(pl.Datetime("ms")),
    "Datetime in UTC": DAY.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    "Datetime in Tokyo": DAY.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
}


DECLARE_MISSING = "if it stands for a missing value, declare that where the data are read (csv: null_values)"


def both(column: pl.Series) -> pl.DataFrame:
    return pl.DataFrame([column, OTHER])


def judged(reference: pl.Series, batch: pl.Series, role: str, folder: Path | None = None) -> tuple[float | None, bool]:
    """Return drift, and whether the type has changed; the reference is stored in a folder if there is one."""
    known = profile(both(reference), {"c": role, "z": "numerical"})
    if folder is not None:
        known.save(folder / "reference")
        known = Profile.load(folder / "reference")
    found = compare(known, both(batch)).columns["c"]
    return found.drift, bool(found.type_change)


@pytest.mark.parametrize("role", ["numerical", "categorical"])
@pytest.mark.parametrize("group", [NUMBERS, FLAGS, TIMES], ids=["numbers", "flags", "times"])
def test_types_of_one_family_hold_the_same_values(group: dict[str, pl.Series], role: str, tmp_path: Path):
    for reference in group.values():
        for batch in group.values():
            assert judged(reference, batch, role) == (0.0, False)
            assert judged(reference, batch, role, tmp_path) == (0.0, False)
            roles = {"c": Role(role), "z": Role.NUMERICAL}
            model = domain_classifier(both(reference), both(batch), roles)
            assert (model.significant, "c" in model.importance) == (False, True)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_are_numbers_are_read_and_reported(text: str):
    for number in NUMBERS.values():
        assert judged(number, TEXTS[text], "numerical") == (0.0, True)
        assert judged(number, TEXTS[text], "categorical") == (0.0, True)
        assert judged(TEXTS[text], number, "categorical") == (0.0, True)
    for other in TEXTS.values():
        assert judged(TEXTS[text], other, "categorical") == (0.0, False)


def test_words_for_booleans_are_read_and_reported():
    for words in (["true", "false"], ["True", "False"], [" TRUE", "FALSE"], ["1", "0"]):
        text = pl.select(pl.when(FLAG).then(pl.lit(words[0])).otherwise(pl.lit(words[1])).alias("c")).to_series()
        for flag in FLAGS.values():
            assert judged(flag, text, "categorical") == (0.0, True)
        if " " not in words[0]:
            assert judged(text, FLAG, "categorical") == (0.0, True)
            assert judged(text, FLAG.cast(pl.Int8), "categorical") == (0.0, True)


def test_a_column_without_values_has_every_type():
    for nothing in (pl.Series("c", [None] * N), pl.Series("c", [None, " "] * (N // 2)), pl.Series("c", [np.nan] * N)):
        for some in (WHOLE, FLAG):
            role = "numerical" if some is WHOLE else "categorical"
            assert judged(some, nothing, role) == (1.0, False)
            aligned = align_columns(both(nothing).lazy(), profile(both(some), {"c": role}).describe_known_columns())
            assert aligned.frame.collect_schema()["c"] in (some.dtype, pl.Float64)
            assert aligned.frame.collect()["c"].drop_nulls().drop_nans().is_empty()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (DAY, "column 'c' is date in the batch, but integer in the reference: such values are not numbers"),
        (
            WHOLE.cast(pl.String).set(pl.Series(range(N)) == 4, "many"),
            "column 'c' is text in the batch, but integer in the reference: row 5 holds 'many'; " + DECLARE_MISSING,
        ),
        (
            WHOLE.ext.to(pl.Extension("pandas.period", pl.Int64(), "{}")),
            "column 'c' is pandas.period in the batch, but integer in the reference: such values are not compared",
        ),
        (None, "the batch has no column 'c'"),
    ],
)
def test_a_column_that_cannot_be_measured_leaves_the_others_measured(batch: pl.Series | None, reason: str):
    rows = OTHER.to_frame() if batch is None else both(batch)
    found = compare(both(WHOLE), rows)
    column = found.columns["c"]
    assert (column.drift, column.measured, column.statistics["psi"]) == (None, False, None)
    assert set(column.reasons.values()) == {reason}
    assert column.statistics["reference_mean"] == WHOLE.mean()
    assert bool(column.type_change) == (batch is not None)
    assert (found.columns["z"].drift, found.drifted_share) == (0.0, 0.0)
    assert reason in found.notes
    same = compare(profile(both(WHOLE)), profile(rows, against=profile(both(WHOLE))))
    assert same.columns["c"].reasons["drift"] == reason
    model = domain_classifier(both(WHOLE), rows, {"c": Role.NUMERICAL, "z": Role.NUMERICAL})
    assert list(model.importance) == ["z"]
    assert any(note.startswith("data_drift does not see column 'c'") for note in model.notes)


@pytest.mark.parametrize("column", [WHOLE / 10, WHOLE * 1234567.89, WHOLE / 3], ids=["tenths", "many digits", "thirds"])
def test_a_number_equals_what_it_is_rounded_to_in_32_bits(column: pl.Series):
    single = column.cast(pl.Float32)
    for reference, batch in ((column, single), (single, column), (single, single)):
        assert judged(reference, batch, "numerical") == (0.0, False)
        assert compare(both(reference), both(batch)).columns["c"].statistics["ks"] == 0.0
        roles = {"c": Role.NUMERICAL, "z": Role.NUMERICAL}
        assert domain_classifier(both(reference), both(batch), roles).significant is False


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_category_has_one_name_in_every_type_that_holds_it(value: int):
    names = {str(value)}
    for dtype in (pl.Int64, pl.Int128, pl.Decimal(38, 0), pl.Decimal(38, 5), pl.String):
        exact = pl.Series([Decimal(value)], dtype=pl.Decimal(38, 0)).cast(dtype)
        names.add(normalize_categories(exact).item())
    if float(value) == value and int(float(value)) == value:
        names.add(normalize_categories(pl.Series([float(value)])).item())
    assert names == {str(value)}


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["ms", "us", "ns"]))
def test_a_moment_has_one_name_in_every_unit_and_zone(moment: datetime, unit: Any):
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    column = pl.Series([whole], dtype=pl.Datetime(unit))
    zoned = column.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    assert normalize_categories(column).equals(normalize_categories(zoned))
    assert normalize_categories(column).equals(normalize_categories(column.cast(pl.Datetime("ms"))))
    assert normalize_categories(column.dt.date()).item() in normalize_categories(column).item()


def test_an_entity_is_the_same_in_any_type():
    card = pl.Series("card", np.random.default_rng(3).integers(0, 60, N))
    roles = {"c": Role.NUMERICAL, "z": Role.NUMERICAL}
    found = []
    for held in (card, card.cast(pl.Float64), card.cast(pl.Decimal(20, 2)), card.cast(pl.String), card.cast(pl.Int128)):
        reference, batch = both(WHOLE).with_columns(card), both(WHOLE.shuffle(1)).with_columns(held)
        drift = compare(profile(reference, roles, entity="card"), batch).columns["c"]
        model = domain_classifier(reference, batch, roles, entity="card")
        found.append((drift.drift_p, model.low, model.high))
    assert len(set(found)) == 1


def test_what_is_known_needs_no_look_at_values_of_the_same_family():
    """A frame that cannot be collected is aligned all the same, if its types suffice."""
    frame = both(WHOLE).lazy().map_batches(lambda _: 1 / 0, schema={"c": pl.Int64, "z": pl.Float64})
    known = {"c": KnownColumn(Role.NUMERICAL, "number"), "z": KnownColumn(Role.NUMERICAL, "integer")}
    assert align_columns(frame, known).roles == {"c": Role.NUMERICAL, "z": Role.NUMERICAL}


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Decimal(12, 2), pl.Int32, pl.String])
def test_the_type_of_whole_numbers_does_not_change_which_rows_the_classifier_sees(dtype: Any):
    random = np.random.default_rng(3)
    reference, batch = (
        pl.DataFrame({"x": random.normal(size=800), "k": random.integers(100, 140, 800)}) for _ in range(2)
    )
    roles = {"x": Role.NUMERICAL, "k": Role.NUMERICAL}
    as_it_is = domain_classifier(reference, batch, roles)
    retyped = domain_classifier(reference, batch.with_columns(pl.col("k").cast(dtype)), roles)
    assert (retyped.auc, retyped.p_value) == (as_it_is.auc, as_it_is.p_value)
    with_nulls = batch.with_columns(pl.when(pl.int_range(pl.len()) > 9).then("k").alias("k"))
    nan = with_nulls.with_columns(pl.col("k").cast(pl.Float64).fill_null(float("nan")))
    assert domain_classifier(reference, nan, roles).auc == domain_classifier(reference, with_nulls, roles).auc
