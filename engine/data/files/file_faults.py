"""Find the fault in a file that does not have its declared format, or is not valid JSON."""

import json
from pathlib import Path

from engine.discovery.compression import open_bytes
from engine.discovery.formats import is_text, read_head

_FIRST_BYTES = {"parquet": (b"PAR1",), "arrow": (b"ARROW1", b"\xff\xff\xff\xff")}


def find_foreign_content(path: Path, format_: str) -> str | None:
    """Describe a file whose first bytes do not fit its binary format; None for other formats."""
    signature = _FIRST_BYTES.get(format_)
    if signature is None:
        return None
    try:
        start = read_head(path)
    except OSError:
        return None
    if start.startswith(signature):
        return None
    hint = "; it looks like text: if it is CSV, declare format: csv" if is_text(start) else ", or it is damaged"
    return f"{path} cannot be read, it is not a file in the format {format_}{hint}"


def find_ndjson_fault(path: Path, compression: str | None = None) -> str | None:
    """Describe the first line that is not a JSON object, or has a boolean where an earlier line has a number."""
    kinds: dict[str, tuple[int, str]] = {}
    with open_bytes(path, compression) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line, parse_constant=_refuse_constant) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                place = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                reason = error.msg if isinstance(error, json.JSONDecodeError) else error
                return f"{path}, line {number}{place} is not JSON: {reason}"
            if not isinstance(row, dict):
                return f'{path}, line {number} is not a JSON object: each line is one row, {{"column": value, …}}'
            for name, value in row.items():
                kind = "true or false" if isinstance(value, bool) else "a number"
                if isinstance(value, int | float) and kind != kinds.setdefault(name, (number, kind))[1]:
                    line_before, before = kinds[name]
                    return (
                        f"{path}, column {name!r} holds {before} in line {line_before}, but {kind} in line {number}: "
                        "write all its values in one of the two ways"
                    )
    return None


def _refuse_constant(text: str) -> float:
    """Raise a ValueError for NaN and infinities, which Python accepts and JSON lacks."""
    raise ValueError(f"{text} is not a value of JSON; write null where a value is missing")
