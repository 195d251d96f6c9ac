"""Find the fault in a dataset's files that cannot be read: polars' errors name neither file nor line.

The files are read again for this, one by one.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from engine.data.files.csv_faults import find_record_fault, find_stray_quote, find_value_fault, may_have_short_line
from engine.data.files.file_faults import find_foreign_content, find_ndjson_fault
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.discovery.file_endings import find_compression
from engine.discovery.formats import find_zeros_inside
from engine.drift.reading.csv_files import scan_csv_texts
from engine.drift.reading.file_scans import is_json_array

if TYPE_CHECKING:
    from engine.data.files.dataset_files import DatasetFiles


def find_silent_fault(files: "DatasetFiles") -> str | None:
    """Describe the first fault that polars reads without an error.

    These are zero bytes inside a text file, and a CSV line with too few fields, which polars fills with nulls.
    """
    if zeros := find_zeros(files, files.paths):
        return zeros
    if files.format != "csv":
        return None
    for path in files.paths:
        width = len(scan_csv_texts([path], files.dialect).collect_schema())
        if may_have_short_line(path, files.dialect, width) and (fault := find_record_fault(path, files.dialect)):
            return fault
    return None


def find_file_fault(files: "DatasetFiles") -> str | None:
    """Read the files again, one by one, and describe what is wrong with the first that cannot be read."""
    for path in files.paths:
        try:
            for _ in files.scan_paths((path,)).collect_batches(maintain_order=False):
                pass  # reading is the test; batches are dropped, so that a file may be larger than memory
        except READ_ERRORS as error:
            fault = _explain_fault(files, path) or find_foreign_content(path, files.format)
            return fault or f"{path} cannot be read, it may be damaged: {describe_error(error)}"
    return None


def explain_schema_error(files: "DatasetFiles") -> str | None:
    """Describe what is wrong with files whose columns cannot be read together; None if it cannot be found."""
    explained = (fault for path in files.paths if (fault := _explain_fault(files, path)))
    foreign = (fault for path in files.paths if (fault := find_foreign_content(path, files.format)))
    return find_file_fault(files) or next(explained, None) or next(foreign, None)


def find_zeros(files: "DatasetFiles", paths: Sequence[Path]) -> str | None:
    """Describe the first zero bytes inside a text file."""
    if files.format not in ("csv", "ndjson"):
        return None
    found = (find_zeros_inside(path) for path in paths if find_compression(path, files.compression) is None)
    return next(filter(None, found), None)


def _explain_fault(files: "DatasetFiles", path: Path) -> str | None:
    """Describe the fault in a text format; None if it cannot be found."""
    if zeros := find_zeros(files, [path]):
        return zeros
    if files.format == "csv":
        fault = find_record_fault(path, files.dialect) or _explain_value_fault(files, path)
        return fault or find_stray_quote(path, files.dialect)
    if files.format == "ndjson" and not is_json_array(path):
        return find_ndjson_fault(path, files.compression) or _explain_text_fault(files, path)
    return _explain_text_fault(files, path)


def _explain_value_fault(files: "DatasetFiles", path: Path) -> str | None:
    try:
        # The column types that polars inferred, and the same file with all columns as text.
        types = files.scan_paths((path,)).collect_schema()
        return find_value_fault(path, scan_csv_texts([path], files.dialect), types, files.dialect, files.readings)
    except READ_ERRORS:
        return None


def _explain_text_fault(files: "DatasetFiles", path: Path) -> str | None:
    """Describe the first text that does not fit its column's declared type, in a typed format."""
    value = pl.col("value")
    for name, reading in files.readings.items():
        missing = value.is_null() | value.str.strip_chars().is_in([*reading.missing, ""])
        try:
            texts = replace(files, readings={}).scan_paths((path,)).select(pl.col(name).alias("value"))
            bad = reading.parse(value, strict=False).is_null() & ~missing
            found = texts.with_row_index("row", offset=1).filter(bad).head(1).collect(engine="streaming")
        except READ_ERRORS:
            return None
        if found.height:
            row, text = found.row(0)
            return f"{path}, column {name!r} is declared as {reading.type}, but row {row} holds {text[:60]!r}"
    return None
