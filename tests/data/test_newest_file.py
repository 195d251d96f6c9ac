"""`pick: newest`: one file of a folder or pattern, by the dates in the names, else by when the files were changed."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.discovery.listing import FoundFiles, list_data_files
from engine.errors import DataError

AS_OF = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n1\n", encoding="utf-8")


def pick(folder: Path, pattern: str = "*.csv", as_of: datetime = AS_OF) -> FoundFiles:
    return list_data_files(folder / pattern, newest_until=as_of)


def names_of(found: FoundFiles) -> list[str]:
    return [one.name for one in found.paths]


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["2026-11-26.csv", "2026-11-27.csv", "2026-11-05.csv"], "2026-11-27.csv"),
        (["z_20261126.csv", "a_20261128.csv"], "a_20261128.csv"),
        (["orders-20261127T0230.csv", "orders-20261127T1400.csv"], "orders-20261127T1400.csv"),
        (["x20261127023000.csv", "x20261126235959.csv"], "x20261127023000.csv"),
        (["2026-W46.csv", "2026-W47.csv", "2025-W52.csv"], "2026-W47.csv"),
        (["2026-09.csv", "2026_10.csv", "2025-12.csv"], "2026_10.csv"),
        (["2026-11-27_1.csv", "2026-11-27_2.csv"], "2026-11-27_2.csv"),
    ],
)
def test_dates_in_names_count(tmp_path: Path, names: list[str], newest: str) -> None:
    write(tmp_path, *names)
    for number, name in enumerate(names):  # in whatever order the files have come
        os.utime(tmp_path / name, (1e9 - number, 1e9 - number))
    found = pick(tmp_path)
    assert names_of(found) == [newest]
    assert found.notes[0] == f"{newest}: the newest of {len(names)} files, by the dates in their names"


def test_another_file_of_the_newest_date_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-26.csv", "2026-11-27 (1).csv", "2026-11-27.csv")
    found = pick(tmp_path)
    assert names_of(found) == ["2026-11-27.csv"]
    assert found.notes[1:] == ("2026-11-27 (1).csv: of the same date, and left out, since its name comes before",)


def test_files_of_later_days_are_left_out_and_reported(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-27.csv", "2026-11-28.csv", "2026-11-29.csv", "2027-01-01.csv")
    found = pick(tmp_path)
    assert names_of(found) == ["2026-11-28.csv"]
    assert "2 of them left out: later than 2026-11-28, the day that this run stands for" in found.notes[1]
    with pytest.raises(DataError, match=r"all 4 files are later than 2026-11-26, .*; the oldest is .*2026-11-27\.csv"):
        pick(tmp_path, as_of=AS_OF - timedelta(days=2))


@pytest.mark.parametrize("without", ["corrections.csv", "1234567890.csv", "2026-02-30.csv", "v12.0.3.csv"])
def test_the_time_of_the_change_counts_if_a_name_has_no_date(
    tmp_path: Path, without: str, set_time: Callable[[Path, datetime], None]
) -> None:
    write(tmp_path, "2026-11-20.csv", without, "2026-11-27.csv")
    set_time(tmp_path / "2026-11-20.csv", AS_OF)
    set_time(tmp_path / without, AS_OF - timedelta(days=3))
    set_time(tmp_path / "2026-11-27.csv", AS_OF - timedelta(days=5))
    assert names_of(pick(tmp_path)) == ["2026-11-20.csv"]
    assert names_of(pick(tmp_path, as_of=AS_OF - timedelta(days=2))) == [without]
    assert "by when they were last changed" in pick(tmp_path).notes[0]


def test_a_file_that_came_on_the_day_itself_counts_whatever_the_hour(
    tmp_path: Path, set_time: Callable[[Path, datetime], None]
) -> None:
    write(tmp_path, "a.csv", "b.csv")
    set_time(tmp_path / "a.csv", AS_OF.replace(hour=0, minute=0))
    set_time(tmp_path / "b.csv", AS_OF.replace(hour=23, minute=59))
    assert names_of(pick(tmp_path, as_of=AS_OF.replace(hour=0))) == ["b.csv"]


def test_all_parts_of_the_newest_folder_are_read(tmp_path: Path) -> None:
    write(tmp_path, *(f"day=2026-11-{day}/part-{part}.csv" for day in (26, 27, 29) for part in range(3)))
    found = pick(tmp_path, "*/*.csv")
    assert names_of(found) == ["part-0.csv", "part-1.csv", "part-2.csv"]
    assert {one.parent.name for one in found.paths} == {"day=2026-11-27"}
    assert {str(named["day"]) for named in found.keys.values()} == {"2026-11-27"}


def test_a_folder_above_the_pattern_dates_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "archive-2031-01-01"
    write(folder, "2026-11-27.csv", "2026-11-26.csv")
    assert names_of(pick(folder)) == ["2026-11-27.csv"]


def test_unfinished_and_empty_files_are_not_the_newest(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-26.csv", "_2026-11-27.csv", ".2026-11-27.csv")
    (tmp_path / "2026-11-28.csv").touch()
    assert names_of(pick(tmp_path)) == ["2026-11-26.csv"]


def test_the_files_need_not_be_of_one_format(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-27.csv")
    (tmp_path / "2026-11-26.ndjson").write_text('{"x": 1}\n', encoding="utf-8")
    assert pick(tmp_path, "*").format == "csv"


@settings(max_examples=60)
@given(
    st.lists(st.dates(date(2026, 10, 1), date(2026, 12, 31)), min_size=1, max_size=12, unique=True),
    st.dates(date(2026, 10, 1), date(2026, 12, 31)),
)
def test_the_newest_is_the_largest_date_that_is_not_later(days: list[date], until: date) -> None:
    with TemporaryDirectory() as name:
        write(Path(name), *(f"{day}.csv" for day in days))
        as_of = datetime.combine(until, time(12), UTC)
        right = [day for day in days if day <= until]
        if right:
            assert names_of(pick(Path(name), as_of=as_of)) == [f"{max(right)}.csv"]
        else:
            with pytest.raises(DataError):
                pick(Path(name), as_of=as_of)


@pytest.fixture
def set_time() -> Callable[[Path, datetime], None]:
    """Set when a file was last changed."""
    return lambda path, at: os.utime(path, (at.timestamp(), at.timestamp()))
