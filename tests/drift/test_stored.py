"""Files of profiles: those of earlier versions, of columns that are not exact, and those that nobody should trust."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift import Profile, Role, compare, profile
from engine.drift.profiles.opened_samples import open_sample
from engine.drift.profiles.profiling import profile_sample
from engine.errors import DataError, StoreError

HERE = Path(__file__).parent
ROLES = {"amount": Role.NUMERICAL, "count": Role.NUMERICAL, "city": Role.CATEGORICAL, "flag": Role.CATEGORICAL}
AMOUNTS = [0.0, -0.0, np.inf, np.nan, -1e300, 5e-324, 343.0, 7.5]


def rows() -> pl.DataFrame:
    """What the files of version 1 were made of: three rows of each of 40 cards.

    They are all alike, so it does not matter which of them a hash chooses: the hashes in the files are those of polars.
    """
    cards = [row // 3 for row in range(120)]
    amounts = {0: lambda c: 0.25 * c, 6: lambda c: c**3.0}
    return pl.DataFrame(
        {
            "amount": [amounts.get(c % 8, lambda c: AMOUNTS[c % 8])(c) for c in cards],
            "count": [None if c % 7 == 3 else 2**60 + c % 5 for c in cards],
            "city": [[None, "", "Zürich", "a", "ab", "\U0001f600"][c % 6] for c in cards],
            "flag": [c % 3 == 0 for c in cards],
            "card": cards,
        }
    )


def spread(n: int = 3_000) -> pl.DataFrame:
    """Many more values than the ladder of a test has rungs."""
    rng = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "amount": rng.normal(size=n),
            "count": rng.integers(2**60, 2**60 + n, n),
            "city": rng.choice(["a", "b"], n),
            "flag": rng.random(n) < 0.1,
            "card": rng.integers(0, 900, n),
        }
    )


@pytest.mark.parametrize(("name", "entity"), [("version_1", None), ("version_1_by_entity", "card")])
def test_a_file_of_version_1_gives_the_numbers_of_its_rows(name: str, entity: str | None, tmp_path: Path):
    old, new = Profile.load(HERE / f"{name}.profile"), profile(rows(), ROLES, entity=entity)
    batch = profile(rows()[17:80].vstack(spread(500)), ROLES, entity=entity)
    assert [p.entities and len(p.entities.keys) for p in (old, new)] == [40 if entity else None] * 2
    assert compare(old, batch) == compare(new, batch)
    assert compare(batch, old) == compare(batch, new)
    if entity:
        with pytest.raises(DataError, match="too old to say which column its entity is"):
            compare(old, rows())
        with pytest.raises(DataError, match="do not recognize the same entities"):
            old.merge(new)
        old.save(tmp_path / "again")
        assert Profile.load(tmp_path / "again").fingerprint() == old.fingerprint()
    else:
        assert compare(old, rows()) == compare(new, rows())
        assert old.fingerprint() == new.fingerprint()
        assert old.merge(batch).fingerprint() == new.merge(batch).fingerprint()


@pytest.mark.parametrize("entity", [None, "card"])
def test_columns_with_gaps_are_the_same_saved_and_loaded(tmp_path: Path, entity: str | None):
    before = profile(spread(), ROLES, entity=entity, most_values=50)
    assert all(before.columns[name].intervals is not None for name in ("amount", "count"))
    before.save(tmp_path / "p")
    after = Profile.load(tmp_path / "p")
    batch = profile(spread(700), ROLES, entity=entity)
    assert after.fingerprint() == before.fingerprint()
    assert compare(after, batch) == compare(before, batch)
    assert after.merge(batch).fingerprint() == before.merge(batch).fingerprint()


SAVED = {
    "exact": lambda: profile(rows(), ROLES),
    "by entity": lambda: profile(rows(), ROLES, entity="card"),
    "gaps": lambda: profile(spread(), ROLES, most_values=50),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    for kind, make in SAVED.items():
        make().save(folder / kind)
    return {kind: folder / kind for kind in SAVED}


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def rewritten(path: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write the members again, with the checksums that they then have."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


ENDS = st.sampled_from([bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\0" * 6 + b"\xf8\x7f", b"\0" * 6 + b"\xf0\x7f"])


@pytest.mark.parametrize("kind", list(SAVED))
@given(st.data())
def test_what_is_changed_with_its_checksum_is_refused_or_can_be_used(
    saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
):
    contents = members(saved[kind])
    name = data.draw(st.sampled_from(sorted(contents)))
    content = bytearray(contents[name])
    match data.draw(st.sampled_from(["bit", "end", "shorter", "other"])):
        case "bit":
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(
                st.sampled_from([1, 2, 4, 8, 64, 128, 255])
            )
        case "end":
            content[-8:] = data.draw(ENDS)
        case "shorter":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        case "other":
            content = bytearray(contents[data.draw(st.sampled_from(sorted(contents)))])
    path = tmp_path_factory.mktemp("changed") / "p"
    try:
        changed = Profile.load(rewritten(path, contents | {name: bytes(content)}))
    except StoreError:
        return
    try:
        compare(changed, SAVED[kind]())
        compare(changed.merge(SAVED[kind]()), changed)
    except DataError:
        pass
    changed.save(path)
    assert Profile.load(path).fingerprint() == changed.fingerprint()


def edited(column: int, name: str, edit: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    """Return what edits an array of a column in place."""

    def apply(contents: dict[str, bytes]) -> None:
        member = f"{column}.{name}.npy" if column >= 0 else f"{name}.npy"
        array = np.load(io.BytesIO(contents[member]))
        edit(array)
        stream = io.BytesIO()
        np.save(stream, array)
        contents[member] = stream.getvalue()

    return apply


def put(place: int, value: Any) -> Callable[[Any], None]:
    return lambda array: array.__setitem__(place, value)


def headed(edit: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    """Return what edits the header."""

    def apply(contents: dict[str, bytes]) -> None:
        header = json.loads(contents["header.json"])
        edit(header)
        contents["header.json"] = json.dumps(header).encode()

    return apply


def moments(place: int, value: Any) -> Callable[[dict[str, bytes]], None]:
    """Rows, centre, offset, squares, low, high of the first column, and the centre of its gaps."""
    return headed(lambda header: header["columns"][0][3].__setitem__(place, value))


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        # one NaN is in order, and a merge would wait for it for ever
        ("exact", edited(0, "values", put(-1, np.nan))),
        ("exact", edited(2, "ends", put(1, 2**62))),
        ("exact", edited(2, "ends", put(0, -1))),
        ("exact", edited(2, "text", put(0, 0xFF))),
        ("exact", headed(lambda header: header.update(rows=120.0))),
        ("exact", headed(lambda header: header["columns"][0].__setitem__(2, -1))),
        ("exact", headed(lambda header: header["columns"][0].__setitem__(0, ["amount"]))),
        ("exact", headed(lambda header: header["columns"][1].__setitem__(0, "amount"))),
        ("exact", headed(lambda header: header["columns"][0].__setitem__(1, "identifier"))),
        ("by entity", edited(-1, "entities", put(0, 2**64 - 1))),
        ("by entity", edited(0, "chosen", put(0, -2))),
        ("by entity", edited(0, "chosen", put(0, 2**31 - 1))),
        ("by entity", edited(0, "chosen_values", put(0, np.nan))),
        ("by entity", edited(2, "chosen", put(0, 5))),
        ("by entity", headed(lambda header: header.update(entity=["card"]))),
        ("gaps", edited(0, "gaps", put(3, -1))),
        ("gaps", edited(0, "gaps", put(3, 2**62))),
        ("gaps", edited(0, "sums", put(3, 1e9))),
        ("gaps", edited(0, "sums", put(3, -np.inf))),
        ("gaps", edited(0, "counts", put(3, 200))),
        ("gaps", moments(0, 7)),
        ("gaps", moments(1, "0")),
        ("gaps", moments(1, float("nan"))),
        ("gaps", moments(2, 1e6)),
        ("gaps", moments(3, -1.0)),
        ("gaps", moments(4, 0.0)),
        ("gaps", moments(5, 0.0)),
        ("gaps", moments(6, float("inf"))),
        ("gaps", moments(6, None)),
        ("gaps", headed(lambda header: header["columns"][1][3].__setitem__(6, 0.5))),
        ("gaps", headed(lambda header: header["columns"][1][3].__setitem__(4, -(2**70)))),
        ("gaps", headed(lambda header: header["columns"][0].__delitem__(3))),
    ],
)
def test_a_file_whose_parts_contradict_each_other_is_refused(saved, tmp_path, kind, edit):
    contents = members(saved[kind])
    edit(contents)
    with pytest.raises(StoreError, match=r"damaged profile .*; build the reference again"):
        Profile.load(rewritten(tmp_path / "p", contents))


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("header.json", b"[" * 100_000),
        ("header.json", b'{"rows": ' + b"9" * 5_000 + b"}"),
        ("0.values.npy", b"\x93NUMPY\x01\0\x10\0{'descr': (((((  \n"),
        ("0.values.npy", b"\x93NUMPY\x01\0\x10\0{'descr': 0 0}  \n"),
        (
            "0.counts.npy",
            b"\x93NUMPY\x01\0v\0{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999999999,), }\n",
        ),
    ],
)
def test_a_member_that_python_or_numpy_would_stumble_over_is_refused(saved, tmp_path, member, content):
    with pytest.raises(StoreError, match="damaged profile"):
        Profile.load(rewritten(tmp_path / "p", members(saved["exact"]) | {member: content}))


def test_a_file_packed_or_locked_as_no_engine_does_is_refused(saved, tmp_path):
    with pytest.raises(StoreError, match="it uses an unknown compression method"):
        Profile.load(rewritten(tmp_path / "p", members(saved["exact"]), zipfile.ZIP_LZMA))
    locked = bytearray(saved["exact"].read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    (tmp_path / "p").write_bytes(locked)
    with pytest.raises(StoreError, match="encrypted"):
        Profile.load(tmp_path / "p")


def test_more_rows_than_whole_numbers_hold_are_not_compared():
    many = profile(rows(), ROLES)
    for _ in range(26):
        many = many.merge(many)
    with pytest.raises(DataError, match="too many to be compared"):
        compare(many, many)
    assert compare(many, rows()).drifted_columns == 0


def test_large_tables_stay_in_their_file_until_they_are_needed(tmp_path: Path):
    n = 100_000
    rng = np.random.default_rng(3)
    table = pl.DataFrame({"x": rng.normal(size=n), "n": rng.permutation(n)})
    made = profile(table)
    made.save(tmp_path / "one")
    loaded = Profile.load(tmp_path / "one")
    profile(table.head(10)).save(tmp_path / "one")  # replaces it
    batch = table.select(pl.col("x") + 0.01, pl.col("n") // 2)
    found = [compare(reference, batch).columns for reference in (made, loaded, loaded)]
    assert found[0] == found[1] == found[2]
    for column in loaded.columns.values():
        column.table.release()
    assert loaded.fingerprint() == made.fingerprint()
    assert compare(loaded, batch).columns == found[0]


def test_a_file_that_is_overwritten_while_it_is_in_use_is_damaged(tmp_path: Path):
    table = pl.DataFrame({"x": np.random.default_rng(3).normal(size=100_000)})
    profile(table).save(tmp_path / "one")
    loaded = Profile.load(tmp_path / "one")
    with (tmp_path / "one").open("r+b") as file:
        file.seek(400_000)
        file.write(b"no number" * 10)
    with pytest.raises(StoreError, match="damaged profile"):
        compare(loaded, table)


def test_a_batch_that_changes_while_it_is_read_is_not_compared(tmp_path: Path):
    table, path = pl.DataFrame({"x": np.arange(1_000)}), tmp_path / "batch.parquet"
    table.write_parquet(path)
    sample, _ = open_sample(path)
    shutil.copy(path, tmp_path / "new")
    (tmp_path / "new").replace(path)
    with pytest.raises(DataError, match=r"batch\.parquet has changed while it was read"):
        profile_sample(sample)
