"""The newest of several files, for `pick: newest`: by the dates in their names, else by the times of last change.

A name gives the day of the data, whenever the file arrived, and is kept when the file is copied. So names are used if
every file has a date. Files of later days than the day of the run are left out, so a run repeated for an earlier day
picks the same file as then.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from engine.discovery.file_trees import DISK, FileTree
from engine.errors import DataError
from engine.formatting.lists import join_some

_DAY = re.compile(r"(?<!\d)((?:19|2[01])\d\d)([-_.]?)(\d\d)\2(\d\d)(?:\d{4}|\d{6})?(?!\d)")
_WEEK = re.compile(r"(?<!\d)((?:19|2[01])\d\d)-?W(\d\d)(?!\d)")
_MONTH = re.compile(r"(?<!\d)((?:19|2[01])\d\d)[-_.](\d\d)(?!\d)")


def pick_newest(
    files: Sequence[Path], base: Path, as_of: datetime, tree: FileTree = DISK
) -> tuple[list[Path], list[str]]:
    """Return the newest file not later than the date of `as_of`, and how it was found, as sentences.

    If only the names of the folders have dates, all files of the newest date are returned: they are its parts.

    Parameters
    ----------
    files
        The files in order of their paths; at least one.
    base
        The folder below which they were found; only the rest of a path is searched for dates.
    tree
        Where they are.

    Raises
    ------
    DataError
        All files are of later days.
    """
    named = {one: _find_date(one.name) for one in files}
    in_folders = {one: _find_date(str(one.relative_to(base).parent)) for one in files}
    by_folder = any(day is None for day in named.values())
    days = in_folders if by_folder else named
    if any(day is None for day in days.values()):
        return _pick_last_changed(files, as_of, tree)
    dated = {one: day for one, day in days.items() if day is not None}
    newest = max((day for day in dated.values() if day <= as_of.date()), default=None)
    if newest is None:
        raise _build_too_late_error(files, as_of, min(dated, key=lambda one: (dated[one], one)))
    chosen = [one for one in files if dated[one] == newest]
    later = sum(day > as_of.date() for day in dated.values())
    if by_folder:
        return _describe_choice(chosen, files, "by the dates in the names of their folders", as_of, later)
    found, notes = _describe_choice(chosen[-1:], files, "by the dates in their names", as_of, later)
    if others := [one.name for one in chosen[:-1]]:
        notes.append(f"{join_some(others, 3)}: of the same date, and left out, since its name comes before")
    return found, notes


def _pick_last_changed(files: Sequence[Path], as_of: datetime, tree: FileTree) -> tuple[list[Path], list[str]]:
    changed = {one: tree.read_changed(one) for one in files}
    end = datetime.combine(as_of.date() + timedelta(days=1), time(), as_of.tzinfo).astimezone(UTC).timestamp()
    in_time = [one for one in files if changed[one] < end * 1e9]
    if not in_time:
        raise _build_too_late_error(files, as_of, min(files, key=lambda one: (changed[one], one)))
    newest = max(in_time, key=lambda one: (changed[one], one))
    how = "by when they were last changed, as not every name has a date"
    return _describe_choice([newest], files, how, as_of, len(files) - len(in_time))


def _describe_choice(
    chosen: list[Path], files: Sequence[Path], how: str, as_of: datetime, later: int
) -> tuple[list[Path], list[str]]:
    notes = [f"{join_some([one.name for one in chosen], 3)}: the newest of {len(files):,} files, {how}"]
    if later:
        notes.append(f"{later:,} of them left out: later than {as_of:%Y-%m-%d}, the day that this run stands for")
    return chosen, notes


def _build_too_late_error(files: Sequence[Path], as_of: datetime, oldest: Path) -> DataError:
    return DataError(
        f"all {len(files):,} files are later than {as_of:%Y-%m-%d}, the day that this run stands for; the oldest is "
        f"{oldest}"
    )


def _find_date(text: str) -> date | None:
    """Return the first date in a text: a day, the Monday of a week such as 2026-W07, or the first day of a month."""
    with suppress(ValueError):  # such as 2026-13-01
        if day := _DAY.search(text):
            return date(int(day[1]), int(day[3]), int(day[4]))
        if week := _WEEK.search(text):
            return date.fromisocalendar(int(week[1]), int(week[2]), 1)
        if month := _MONTH.search(text):
            return date(int(month[1]), int(month[2]), 1)
    return None
