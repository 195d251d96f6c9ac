"""The files of a path: one file, the files of a folder, or those that match a pattern.

The rules are those of Spark, Hive, pyarrow and DuckDB. Names that start with `_` or `.` below the folder are not data:
engines put marks and unfinished parts there. A part of zero bytes has no rows. A folder named `name=value` gives a
column `name`. Files that are left out are listed for the user.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from glob import has_magic
from pathlib import Path
from urllib.parse import unquote

from engine.discovery.file_endings import detect_format, find_compression
from engine.discovery.file_trees import DISK, FileTree
from engine.discovery.formats import read_head, recognize_format, recognize_signature, refuse_zeros_at_end
from engine.discovery.newest import pick_newest
from engine.discovery.path_patterns import find_fixed_folder, is_mark
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_some

KeyValue = int | date | str | None

_MISSING_KEY = "__HIVE_DEFAULT_PARTITION__"
_SHOWN_FILES = 3
_LARGEST_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of a path.

    Attributes
    ----------
    paths
        The files in the order of their paths; at least one.
    format
        csv, parquet, ndjson or arrow.
    keys
        Per file, the values of the columns named by its folders, such as `country=DE`; the same columns for every file.
    notes
        What was left out and why, as sentences.
    """

    paths: tuple[Path, ...]
    format: str
    keys: Mapping[Path, Mapping[str, KeyValue]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def list_data_files(
    path: Path,
    declared_format: str | None = None,
    newest_until: datetime | None = None,
    tree: FileTree = DISK,
    compression: str | None = None,
) -> FoundFiles:
    """Return the files of a path.

    Parameters
    ----------
    path
        A file, a folder, or a pattern such as `out/**/*.parquet`. A path that exists is taken literally, even if its
        name looks like a pattern.
    declared_format
        The format of the files; None to find it by their names and first bytes.
    newest_until
        If given, only the newest file of a folder or pattern is taken: see `pick_newest`.
    tree
        Where the files are looked for.
    compression
        The compression of the files; None to find it by their endings.

    Raises
    ------
    DataError
        No file exists or matches; a file is empty, incomplete, not a regular file, or cannot be opened; the files have
        several formats; the folders of the files name different columns; or the folder is a Delta Lake or Iceberg
        table, whose files alone are not its rows.
    """
    try:
        if _names_one_file(path, tree):
            tree.provide([path])
            format_ = declared_format or recognize_format(path, compression)
            _refuse_incomplete_texts([path], format_, compression)
            return FoundFiles((path,), format_)
        base = path if tree.is_folder(path) else find_fixed_folder(path)
        _refuse_table_formats(base, tree)
        candidates, hidden = _list_candidates(path, base, tree)
        files = [one for one in candidates if tree.read_size(one)]
        empty = set(candidates) - set(files)
        notes = _describe_left_out(base, hidden, [one for one in candidates if one in empty])
        if not files and candidates:
            raise DataError(f"{candidates[0]} is empty (0 bytes)")
        if tree.is_folder(path):
            tree.provide([one for one in files if not detect_format(one.name)])  # their first bytes decide
            files, others = _select_data_files(files, declared_format)
            notes += _describe_others(base, others)
        if not files:
            hint = "" if notes or tree.is_folder(path) else _suggest_file(path, tree)
            what = f"the folder {path} holds no data files" if tree.is_folder(path) else f"no file matches {path}"
            raise DataError("; ".join([what + hint, *notes]))
        if newest_until is not None:
            files, picked = pick_newest(files, base, newest_until, tree)
            notes += picked
        tree.provide(files)
        format_ = declared_format or _common_format(files, compression)
        _refuse_incomplete_texts(files, format_, compression)
    except FileNotFoundError as error:
        missing = Path(error.filename or path)
        raise DataError(f"there is no file {missing}{_suggest_file(missing, tree)}") from None
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be opened: {error.strerror}") from error
    return FoundFiles(tuple(files), format_, _read_folder_keys(base, files), tuple(notes))


def _refuse_incomplete_texts(files: Sequence[Path], format_: str, compression: str | None) -> None:
    if format_ in ("csv", "ndjson"):
        for path in files:
            if find_compression(path, compression) is None:
                refuse_zeros_at_end(path)


def list_candidate_files(path: Path, tree: FileTree = DISK) -> list[Path]:
    """Return the files that a path currently stands for, of any format and without opening them; may be empty.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    if _names_one_file(path, tree):
        return [path]
    return _list_candidates(path, path if tree.is_folder(path) else find_fixed_folder(path), tree)[0]


def list_named_files(path: Path, declared_format: str | None, tree: FileTree = DISK) -> list[Path]:
    """Return the files of a path, folder or pattern, including empty ones and those of several formats.

    In a folder, files that are not data are left out, as when it is read.
    """
    found = [one for one in list_candidate_files(path, tree) if tree.is_file(one) or one.is_symlink()]
    return _select_data_files(found, declared_format)[0] if tree.is_folder(path) else found


def _names_one_file(path: Path, tree: FileTree) -> bool:
    return tree.is_file(path) or not (tree.is_folder(path) or has_magic(str(path)))


def _list_candidates(path: Path, base: Path, tree: FileTree) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder or pattern in order of their paths: those that are data, and the others.

    A pattern that itself contains names starting with `_` or `.` is followed.
    """
    if tree.is_folder(path):
        files, said = sorted(tree.list_files(path)), ""
    else:
        files, said = sorted(tree.match_files(path)), "".join(part[:1] for part in path.parts[len(base.parts) :])
    marks = tuple(mark for mark in "_." if mark not in said)
    hidden = [one for one in files if any(is_mark(part, marks) for part in one.relative_to(base).parts)]
    refused = set(hidden)
    return [one for one in files if one not in refused], hidden


def _refuse_table_formats(base: Path, tree: FileTree) -> None:
    for mark, table, function in (("_delta_log", "Delta Lake", "scan_delta"), ("metadata", "Iceberg", "scan_iceberg")):
        folder = base / mark
        if tree.is_folder(folder) and (mark == "_delta_log" or tree.match_files(folder / "*.metadata.json")):
            raise DataError(
                f"{base} is a table of {table}: its files also hold rows that were deleted or replaced; read it in a "
                f"function of yours with kind: python, which returns polars.{function}(…)"
            )


def _select_data_files(files: list[Path], declared: str | None) -> tuple[list[Path], list[Path]]:
    """Return the files of a folder whose name or first bytes show a format, and the others.

    If a format is declared and no name in the folder shows a format, all files are taken.
    """
    known = [one for one in files if detect_format(one.name) or _is_signed(one)]
    if declared is not None:
        known = [one for one in known if (detect_format(one.name) or declared) == declared] or ([] if known else files)
    chosen = set(known)
    return known, [one for one in files if one not in chosen]


def _is_signed(path: Path) -> bool:
    try:
        return recognize_signature(path, read_head(path)) is not None
    except (DataError, FileNotFoundError):  # FileNotFoundError: an object without a local copy
        return False


def _common_format(files: list[Path], compression: str | None) -> str:
    formats: dict[str, Path] = {}
    for one in files:
        formats.setdefault(recognize_format(one, compression), one)
    if len(formats) > 1:
        listed = ", ".join(f"{one} is {format_}" for format_, one in formats.items())
        raise DataError(f"files of several formats cannot be one table: {listed}; use a pattern that matches only one")
    return next(iter(formats))


def _describe_left_out(base: Path, hidden: list[Path], empty: list[Path]) -> list[str]:
    notes = []
    for files, why in (
        (hidden, "what starts with _ or . is not data, or not finished"),
        (empty, "a file of 0 bytes has no rows"),
    ):
        if files:
            count = "1 file is" if len(files) == 1 else f"{len(files):,} files are"
            notes.append(f"{count} left out: {_show_files(base, files)} ({why})")
    return notes


def _describe_others(base: Path, others: list[Path]) -> list[str]:
    if not others:
        return []
    count = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
    return [f"{count} left out: {_show_files(base, others)} (not of the format that is read)"]


def _show_files(base: Path, files: list[Path]) -> str:
    return join_some([str(one.relative_to(base)) for one in files], _SHOWN_FILES)


def _suggest_file(path: Path, tree: FileTree) -> str:
    """Return advice for a file that does not exist: the missing folder, or a similar file in the folder."""
    folder = path.parent
    if has_magic(str(folder)):
        return ""
    if not tree.is_folder(folder):
        return f"; there is no folder {folder} either"
    names = {one for one in tree.list_names(folder) if not one.startswith(".")}
    return suggest_name(path.name, sorted(names - {path.name}))


def _read_folder_keys(base: Path, files: list[Path]) -> dict[Path, dict[str, KeyValue]]:
    """Return, per file, the columns named by the folders below `base`, with one type for all values of a column.

    Raises
    ------
    DataError
        A file is in folders that name other columns than those of the first file.
    """
    texts = {one: dict(split_folders(one.relative_to(base).parts[:-1])) for one in files}
    first, columns = next(iter(texts.items()))
    for one, named in texts.items():
        if set(named) != set(columns):
            raise DataError(
                f"the folders of {first} name the columns {', '.join(columns) or 'none'}, those of {one} "
                f"{', '.join(named) or 'none'}; all files of a dataset must have the same columns"
            )
    if not columns:
        return {}
    typed = {name: _type_key_values({named[name] for named in texts.values()}) for name in columns}
    return {one: {name: typed[name][named[name]] for name in columns} for one, named in texts.items()}


def split_folders(folders: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Yield the name and the value of each folder that names a column; None for a missing value."""
    for folder in folders:
        name, equals, value = folder.partition("=")
        if equals and name:
            decoded = unquote(value)
            yield unquote(name), None if decoded in (_MISSING_KEY, "") else decoded


def _type_key_values(texts: set[str | None]) -> dict[str | None, KeyValue]:
    """Return the value of each text: integers if all texts are, else dates if all are, else the texts."""
    present = {text for text in texts if text is not None}
    values: dict[str | None, KeyValue] = {text: text for text in present}
    if all(re.fullmatch(r"-?[0-9]{1,19}", text) and abs(int(text)) < _LARGEST_INTEGER for text in present):
        values = {text: int(text) for text in present}
    elif all(re.fullmatch(r"\d{4}-\d\d-\d\d", text) for text in present):
        with suppress(ValueError):  # such as 2026-02-30, which stays text
            values = {text: date.fromisoformat(text) for text in present}
    return values | {None: None}
