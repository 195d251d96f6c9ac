"""Profiles: the same for any order and split, added up exactly, kept in one file that is checked when read."""

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.io.plugins import register_io_source

from engine.drift import Profile, Role, compare, profile
from engine.errors import DataError, StoreError

ROLES = {"x": Role.NUMERICAL, "i": Role.NUMERICAL, "c": Role.CATEGORICAL}


def frame(n, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": pl.Series(rng.choice([0.5, -0.0, np.nan, np.inf, 3.25], n)),
            "i": pl.Series(rng.integers(2**60, 2**60 + 5, n)),
            "c": pl.Series(rng.choice(["a", "b", "ü", ""], n)),
            "card": pl.Series(rng.integers(0, max(1, n // 3), n)),
        }
    ).with_columns(pl.when(pl.col("card") % 5 > 0).then("c").alias("c"))


@pytest.mark.parametrize("entity", [None, "card"])
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 99))
def test_order_and_split_change_nothing(entity, n, cut, seed):
    rows = frame(n, seed)
    whole = profile(rows, ROLES, entity=entity)
    shuffled = profile(rows.sample(fraction=1, shuffle=True, seed=seed), ROLES, entity=entity)
    parts = profile(rows[:cut], ROLES, entity=entity).merge(profile(rows[cut:], ROLES, entity=entity))
    assert whole.rows == len(rows)
    assert whole.rows == len(rows)
    assert (whole.entities and len(whole.entities.keys)) == (rows["card"].n_unique() if entity else None)
    assert whole.fingerprint() == shuffled.fingerprint() == parts.fingerprint()


def test_a_profile_holds_every_value_with_its_count():
    rows = frame(500)
    column = profile(rows.lazy(), ROLES).columns
    values, counts = np.unique(rows["i"].to_numpy(), return_counts=True)
    assert (column["i"].values.tolist(), column["i"].counts.tolist()) == (values.tolist(), counts.tolist())
    assert column["x"].values.tolist() == [0.0, 0.5, 3.25, np.inf]
    assert column["x"].missing == rows["x"].is_nan().sum()
    present = rows["c"].drop_nulls()
    assert dict(zip(column["c"].labels, column["c"].counts, strict=True)) == {
        v: present.to_list().count(v) for v in sorted(present.unique())
    }
    assert column["c"].missing == rows["c"].null_count()


def test_one_row_of_each_entity_is_a_row_of_that_entity():
    rows = pl.DataFrame({"x": np.arange(60.0), "card": np.arange(60) // 4})
    one = profile(rows, {"x": Role.NUMERICAL}, entity="card").columns["x"].one_per_entity()
    chosen = one.values[one.counts > 0]
    assert one.counts.sum() == 15
    assert sorted(int(x) // 4 for x in chosen) == list(range(15))
    assert len({int(x) % 4 for x in chosen}) > 1, "which row is chosen must not depend on its place"


def test_the_choice_of_a_row_per_entity_does_not_depend_on_its_values():
    """Every card has an "a" and a "b": were one of them always chosen, nothing that happens to them could show."""
    rows = pl.DataFrame({"c": ["a", "b"] * 500, "card": np.arange(1000) // 2})
    one = profile(rows, {"c": Role.CATEGORICAL}, entity="card").columns["c"].one_per_entity()
    assert one.counts.sum() == 500
    assert 180 < one.counts[0] < 320


@pytest.mark.parametrize("entity", [None, "card"])
@given(st.integers(1, 60), st.integers(0, 99))
def test_the_type_that_holds_a_value_changes_nothing(entity, n, seed):
    """pandas makes floats of whole numbers where one is missing, and datetimes of dates; CSV reads 1.0 as written."""
    day = pl.col("whole").cast(pl.Date)
    rows = frame(n, seed).with_columns(pl.col("card").alias("whole")).with_columns(day.alias("day"))
    other = rows.with_columns(
        pl.col("whole").cast(pl.Float64),
        pl.col("i").cast(pl.Int128),
        pl.col("c").cast(pl.Categorical),
        pl.col("day").cast(pl.Datetime("ms")),
        pl.col("card").cast(pl.Float64),
    )
    taking = ROLES | {"whole": Role.NUMERICAL, "day": Role.NUMERICAL}
    reference = profile(
        frame(40).with_columns(whole=pl.col("card"), day=pl.lit(3).cast(pl.Date)), taking, entity=entity
    )
    found, same = compare(reference, rows).columns, compare(reference, other).columns
    for name, column in found.items():
        assert (column.drift_p, column.reasons) == (same[name].drift_p, same[name].reasons)
        for measured, value in column.statistics.items():
            assert value is None or value == pytest.approx(same[name].statistics[measured], rel=1e-12), measured
        assert column.histogram["batch"] == same[name].histogram["batch"]


@pytest.mark.parametrize("entity", [None, "card"])
@pytest.mark.parametrize("n", [0, 1, 400])
def test_saved_and_loaded_it_is_the_same(tmp_path, entity, n):
    before = profile(frame(n), ROLES, entity=entity)
    before.save(tmp_path / "p")
    after = Profile.load(tmp_path / "p")
    assert after.fingerprint() == before.fingerprint()
    batch = profile(frame(100, seed=1), ROLES, entity=entity)
    assert compare(after, batch) == compare(before, batch)
    assert after.merge(batch).fingerprint() == before.merge(batch).fingerprint()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p"]


def test_the_same_profile_is_the_same_file(tmp_path):
    profile(frame(200), ROLES).save(tmp_path / "a")
    profile(frame(200).reverse(), ROLES).save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_with_any_bit_of_its_directory_changed_is_refused_or_reads_the_same(tmp_path: Path):
    before = profile(frame(50), ROLES, entity="card")
    before.save(tmp_path / "p")
    content = (tmp_path / "p").read_bytes()
    directory = content.index(b"PK\x01\x02")
    for at in range(directory, len(content)):
        for bit in (1, 2, 32):
            (tmp_path / "p").write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
            with suppress(StoreError):
                assert Profile.load(tmp_path / "p").fingerprint() == before.fingerprint()


@given(st.data())
def test_a_damaged_file_is_refused_or_reads_the_same(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "p"
    before = profile(frame(50), ROLES, entity="card")
    before.save(path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), at]))])
    try:
        after = Profile.load(path)
    except StoreError:
        return
    assert after.fingerprint() == before.fingerprint()


def rewritten(path, **changes):
    """Change the header or replace arrays of a saved profile, checksums and all."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for name, change in changes.items():
        if name == "header":
            members["header.json"] = json.dumps(json.loads(members["header.json"]) | change).encode()
        else:
            members[name.replace("_", ".") + ".npy"] = change
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def npy(array, claimed=None):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue() if claimed is None else stream.getvalue().replace(b"(4,)", claimed)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"header": {"version": 99}}, "version 99"),
        ({"header": {"format": "other"}}, "not a profile"),
        ({"header": {"rows": 7}}, "do not add up"),
        ({"header": {"columns": 3}}, "damaged"),
        ({"header": {"columns": [["x", "wrong", 0]]}}, "wrong"),
        ({"0_counts": npy(np.array([1, 2, -3, 4]))}, "the array 'counts' is not of integers of at least 0"),
        ({"0_values": npy(np.array([4.0, 3.0, 2.0, 1.0]))}, "not in ascending order"),
        ({"0_values": npy(np.array([1.0, 2.0, 3.0, np.nan]))}, "not in ascending order"),
        ({"0_values": npy(np.zeros(4), claimed=b"(9,)")}, "damaged"),
        ({"0_values": npy(np.array(["a"], object))}, "damaged"),
        ({"2_ends": npy(np.array([9, 9, 9, 9]))}, "damaged"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused(tmp_path, changes, says):
    profile(frame(50), ROLES).save(tmp_path / "p")
    rewritten(tmp_path / "p", **changes)
    with pytest.raises(StoreError, match=says):
        Profile.load(tmp_path / "p")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_not_a_profile_is_refused(tmp_path, content):
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(StoreError):
        Profile.load(tmp_path / "p")
    with pytest.raises(StoreError, match="no such file"):
        Profile.load(tmp_path / "q")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        profile(frame(5), ROLES).save(tmp_path / "absent" / "p")


def test_what_does_not_fit_is_refused_by_name():
    rows = frame(30)
    with pytest.raises(DataError, match="lacks 'nope'"):
        profile(rows, {"nope": Role.NUMERICAL})
    with pytest.raises(DataError, match="'c' is compared as numerical, but row 1 holds text: '"):
        profile(rows, {"c": Role.NUMERICAL})
    with pytest.raises(DataError, match="'l' is compared as categorical, but holds lists or structures"):
        profile(pl.DataFrame({"l": [[1]]}), {"l": Role.CATEGORICAL})
    reference = profile(rows, ROLES)
    only_i = compare(reference, profile(rows, {"i": Role.NUMERICAL})).columns
    assert {name: column.reasons.get("drift") for name, column in only_i.items()} == {
        "x": "the batch has no column 'x'",
        "i": None,
        "c": "the batch has no column 'c'",
    }
    other_role = compare(reference, profile(rows, ROLES | {"i": Role.CATEGORICAL})).columns["i"]
    assert other_role.reasons["drift"] == "column 'i' is numerical in the reference, but categorical in the batch"
    with pytest.raises(DataError, match="the batch lacks 'i', which the reference has"):
        compare(profile(rows, {"i": Role.NUMERICAL}), profile(rows, {"x": Role.NUMERICAL}))
    with pytest.raises(DataError, match="the batch has an entity, and the reference has none"):
        compare(reference, profile(rows, ROLES, entity="card"))
    with pytest.raises(DataError, match="same columns"):
        reference.merge(profile(rows, {"i": Role.NUMERICAL}))
    with pytest.raises(DataError, match="a profile with an entity and one without"):
        reference.merge(profile(rows, ROLES, entity="card"))


@pytest.mark.parametrize("second", [{"seed": 1, "size": 29_999}, {"seed": 2, "size": 30_000}])
def test_rows_that_change_between_two_passes_are_refused(second):
    passes = iter([{"seed": 1, "size": 30_000}, second])

    def read(*_):
        one = next(passes)
        yield pl.DataFrame({"x": np.random.default_rng(one["seed"]).normal(size=one["size"])})

    changing = register_io_source(read, schema={"x": pl.Float64})
    reference = profile(pl.DataFrame({"x": np.random.default_rng(0).normal(size=30_000)}), {"x": "numerical"})
    with pytest.raises(DataError, match="rows have changed between the passes"):
        profile(changing, {"x": "numerical"}, against=reference, most_values=100)
