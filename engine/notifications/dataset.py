"""The dataset channel: each message becomes a row of a CSV or NDJSON file, which a dataset of the project can read.

The file is replaced as a whole while a lock file is held. So a reader never sees half a row, even after a kill, and
concurrent processes do not lose rows. A message whose id is in the file already is not added again.

In a CSV file, a text that a spreadsheet would execute as a formula gets an apostrophe, as in all CSV of the engine.
"""

import csv
import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

from engine.atomic_files import remove_parts, replace_file
from engine.errors import UnreachableError
from engine.formatting.formulas import is_formula
from engine.notifications.envelope import Envelope
from engine.spec.resources.channels import DatasetChannel

COLUMNS = (
    "time", "project", "scenario", "run", "outcome", "event", "reporter", "subject", "text", "id",
)  # fmt: skip


def send(channel: DatasetChannel, post: Envelope) -> None:
    """Add the row of a message to the channel's file, unless it is there already.

    Raises
    ------
    UnreachableError
        The file cannot be written, or has other content than such rows.
    """
    path = (post.home / channel.path).resolve()  # replace the file that a symbolic link leads to, not the link
    add = _add_json_row if path.suffix.lower() == ".ndjson" else _add_csv_row
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock_file(path):
            remove_parts(path)
            before = path.read_bytes().decode("utf-8") if path.exists() else ""  # keeps line ends inside texts
            after = add(before, _make_row(post))
            if after == before:
                return
            with replace_file(path) as part:
                part.write_text(after, encoding="utf-8", newline="")
                if path.exists():
                    shutil.copymode(path, part)
    except OSError as error:
        raise UnreachableError(f"cannot write {channel.path}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise UnreachableError(f"no row can be added to {channel.path}, which has other content: {error}") from None


def _make_row(post: Envelope) -> dict[str, str | None]:
    message = post.message
    return {
        "time": f"{message.created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "project": post.project,
        "scenario": message.scenario,
        "run": message.run,
        "outcome": None if post.outcome is None else str(post.outcome),
        "event": "recovery" if message.recovered else "message",
        "reporter": message.reporter,
        "subject": message.subject,
        "text": message.text,
        "id": message.id,
    }


def _add_csv_row(before: str, row: Mapping[str, str | None]) -> str:
    rows = list(csv.reader(io.StringIO(before, newline=""), strict=True))
    if rows and rows[0] != list(COLUMNS):
        raise ValueError(f"its columns are {', '.join(rows[0])[:200]}, not {', '.join(COLUMNS)}")
    if any(known[-1:] == [row["id"]] for known in rows):
        return before
    added = io.StringIO(newline="")
    writer = csv.writer(added, lineterminator="\n", quoting=csv.QUOTE_ALL)  # else a lone \r would end a row
    if not rows:
        writer.writerow(COLUMNS)
    writer.writerow([f"'{cell}" if cell and is_formula(cell) else cell for cell in row.values()])
    return f"{_end_line(before)}{added.getvalue()}"


def _add_json_row(before: str, row: Mapping[str, str | None]) -> str:
    for number, line in enumerate(before.split("\n"), 1):
        known = json.loads(line) if line.strip() else {}
        if not isinstance(known, dict):
            raise ValueError(f"line {number} is not an object")
        if known.get("id") == row["id"]:
            return before
    return f"{_end_line(before)}{json.dumps(row)}\n"


def _end_line(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    """Hold a lock beside the file, which the operating system releases if this process is killed."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def describe(channel: DatasetChannel, _url: str) -> str:
    """Return where messages go."""
    return f"rows of {channel.path}"
