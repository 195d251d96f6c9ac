"""Whatever is asked for or read wrongly is said in the words of who asked, and no library's error escapes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import engine
from engine.drift import (
    Profile,
    Role,
    align_columns,
    compare,
    describe_columns,
    domain_classifier,
    profile,
    roles,
    sample,
)
from engine.errors import DataError, StoreError, UsageError

FRAME = pl.DataFrame({"x": [1.0, 2.0, 3.0], "t": ["a", "b", "c"], "l": [[1], [2], [3]], "card": [1, 1, 2]})
TAKING = {"x": Role.NUMERICAL, "t": Role.CATEGORICAL}


def test_roles_may_be_given_by_name_and_are_those_that_can_be_compared():
    found = profile(pl.DataFrame({"x": [1, 2], "y": [1, 2]}), {"x": "numerical", "y": "categorical"})
    assert found.roles == {"x": Role.NUMERICAL, "y": Role.CATEGORICAL}
    assert found.columns["y"].labels == ["1", "2"]
    for role in ("identifier", Role.IGNORE, "number"):
        with pytest.raises(DataError, match=f"column 'x' cannot be compared as {role}; .* numerical or categorical"):
            profile(FRAME, {"x": role})


def test_a_profile_of_no_columns_knows_only_the_number_of_rows():
    found = profile(FRAME, {})
    assert (found.rows, dict(found.columns)) == (3, {})
    assert compare(found, FRAME).drifted_share is None


def test_a_reference_may_be_data():
    assert compare(FRAME, FRAME[:2]) == compare(profile(FRAME), FRAME[:2])


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_a_confidence_is_a_share(confidence: float):
    with pytest.raises(UsageError, match="confidence must be a share between 0 and 1"):
        compare(profile(FRAME, TAKING), FRAME, confidence=confidence)


def test_paths_may_be_texts(tmp_path: Path):
    before = profile(FRAME, TAKING)
    before.save(str(tmp_path / "p"))
    assert Profile.load(str(tmp_path / "p")).fingerprint() == before.fingerprint()


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def with_a_faulty_page(folder: Path) -> Path:
    FRAME.write_parquet(folder / "t.parquet")
    content = bytearray((folder / "t.parquet").read_bytes())
    content[30:60] = b"\xff" * 30
    return written("t.parquet", bytes(content))(folder)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (with_a_faulty_page, "the data cannot be read: parquet"),
        (written("t.csv", b"x,t\n1,2\n3,4,5\n"), "t.csv cannot be read: found more fields"),
        (
            written("t.csv", b"x,t\n" + b"1,a\n" * 20_000 + b"high,a\n"),
            "the data cannot be read: could not parse `high`",
        ),
        (written("t.csv", b"x,t\n1,\xe9\xff\n"), "t.csv cannot be read: invalid utf-8"),
        (written("t.csv", b""), "t.csv is empty"),
        (lambda folder: folder / "gone.csv", "there is no file .*gone.csv"),
        (lambda folder: pl.scan_parquet(folder / "gone.parquet"), "the data cannot be read: No such file"),
        (lambda _: FRAME.lazy().with_columns(pl.col("y")), 'the data cannot be read: unable to find column "y"'),
    ],
)
def test_data_that_cannot_be_read_are_reported_however_late_that_shows(
    make: Callable[[Path], Any], says: str, tmp_path: Path
):
    data = make(tmp_path)
    with pytest.raises(DataError, match=says):
        profile(data, TAKING)
    with pytest.raises(DataError, match=says):
        compare(profile(FRAME, TAKING), data)


def test_a_batch_that_does_not_fit_its_reference():
    reference = profile(FRAME, TAKING, entity="card")
    for column, rows, reason in (
        ("x", FRAME.drop("x"), "the batch has no column 'x'"),
        (
            "x",
            FRAME.with_columns(x=pl.lit("high")),
            (
                "column 'x' is text in the batch, but number in the reference: row 1 holds 'high'; if it stands for a "
                "missing value, declare that where the data are read (csv: null_values)"
            ),
        ),
        (
            "t",
            FRAME.with_columns(t="l"),
            "column 't' is List(Int64) in the batch, but text in the reference: such values are not compared",
        ),
    ):
        found = compare(reference, rows)
        assert found.columns[column].drift is None
        assert set(found.columns[column].reasons.values()) == {reason}
        assert reason in found.notes
        other = found.columns["t" if column == "x" else "x"]
        assert other.undecidable  # with three rows no difference could be significant
        assert reason not in other.reasons.values()
    with pytest.raises(DataError, match="no column can be compared: the batch has no column 'x'"):
        compare(reference, FRAME.drop("x", "t"))
    with pytest.raises(DataError, match="the data lacks the column 'card', which is the entity"):
        compare(reference, FRAME.drop("card"))
    with pytest.raises(DataError, match=r"the entity, column 'l', holds List\(Int64\)"):
        profile(FRAME, TAKING, entity="l")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full")
def test_a_disk_that_is_full(tmp_path: Path):
    profile(FRAME, TAKING).save(tmp_path / "p")
    before = (tmp_path / "p").read_bytes()
    (tmp_path / f".p.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="cannot be written: No space left"):
        profile(FRAME[:2], TAKING).save(tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


FORMS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "pandas": lambda frame: pytest.importorskip("pandas").DataFrame(frame.to_dict(as_series=False)),
    "arrow": lambda frame: frame.to_arrow() if pytest.importorskip("pyarrow") else None,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_function_takes_a_table_of_any_form(form: str):
    frame = pl.DataFrame({"x": [float(i % 7) for i in range(60)], "t": ["a", "b"] * 30})
    given, (found, _) = FORMS[form](frame), roles(frame)
    assert roles(given)[0] == found == {"x": Role.NUMERICAL, "t": Role.CATEGORICAL}
    assert profile(given, found).rows == 60
    assert compare(given, given).drifted_columns == 0
    assert domain_classifier(given, given, found) == domain_classifier(frame, frame, found)
    assert sample(given, ["x", "t"], 10).equals(sample(frame.lazy(), ["x", "t"], 10))
    known = describe_columns(given, found, {})
    assert align_columns(given, known).roles == found


@pytest.mark.parametrize("data", [{"x": [1]}, np.zeros((3, 2)), [1, 2], None, 3], ids=lambda data: type(data).__name__)
def test_data_that_are_not_a_table_are_refused_with_what_is_one(data: Any):
    calls: list[Callable[[], Any]] = [
        lambda: roles(data),
        lambda: profile(data),
        lambda: compare(data, FRAME),
        lambda: domain_classifier(data, FRAME, {"x": Role.NUMERICAL}),
        lambda: sample(data, ["x"], 10),
        lambda: describe_columns(data, {}, {}),
        lambda: align_columns(data, {}),
    ]
    for call in calls:
        with pytest.raises(DataError, match="is not a table; give a polars or pandas DataFrame"):
            call()


def test_roles_with_their_remarks_are_not_roles():
    with pytest.raises(TypeError, match="roles returns the mapping as its first part"):
        domain_classifier(FRAME, FRAME, roles(FRAME))


def test_the_public_names_are_listed():
    assert dir(engine.drift) == sorted(engine.drift.__all__)
    assert {"compare", "profile", "domain_classifier"} <= set(dir(engine.drift))
    assert {"load", "run", "Project"} <= set(dir(engine))
