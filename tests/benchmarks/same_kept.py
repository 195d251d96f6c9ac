"""What a run leaves behind, as single findings that can be compared: read from files and SQLite, knowing neither.

    python tests/benchmarks/same_kept.py FOLDER FOLDER

compares two folders of a project in which the same was run, and exits with 1 where anything differs. No module of the
engine is imported: whatever is renamed in it, what it has kept can be compared. What differs between any two runs is
written otherwise: times of the days of the runs as <time>, how long something took as <duration>, ids as <id 1>,
<id 2>, … in the order in which they were given, the folder as <folder>. The digests in a text are findings of their
own, so that another fingerprint is not counted as another message.
"""

import argparse
import email
import email.policy
import json
import re
import sqlite3
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

Kind = Literal["metrics", "fingerprints", "messages", "plans", "profiles", "store"]
KINDS: tuple[Kind, ...] = ("metrics", "fingerprints", "messages", "plans", "profiles", "store")
ANSWERS: dict[str, Kind] = {"plan": "plans", "run": "messages", "validate": "messages"}
"""What the verbs say; the others tell of metrics."""
Findings = dict[Kind, dict[str, str]]

ID = re.compile(r"\b\d{8}-\d{6}-\d{6}-([0-9a-f]{8})\b")
DIGEST = re.compile(r"\b[0-9a-f]{32}\b")
DURATION = re.compile(r"\b(\d+ h )?(\d+ min ?)?(\d+(\.\d+)? (ms|s|min))\b")
ADDRESS = re.compile(r'(?<="__id__": )\d+|\b\d+(?=\.np[yz]")')
SUSPECT = re.compile(r"[0-9a-f]{8}|\d[-:]\d\d|\d\d \w\w\w")
"""In every id, digest and time: what is tried first, because few texts have one."""
FILE_IDENTITY = ("inode", "mtime_ns", "ctime_ns")
"""Columns of the store that tell one file from another: each run has files of its own."""
SAID = "said"
"""The folder of what the command line said."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Words:
    """How what differs between any two runs of a folder is written instead."""

    folder: str
    ids: dict[str, str]
    time: re.Pattern[str]

    @classmethod
    def of(cls, folder: Path) -> "Words":
        """Find the ids that were given in a folder; they begin with the time."""
        found = set[str]()
        for path in folder.rglob("*"):
            found |= {match.group() for match in ID.finditer(path.name)}
            if path.suffix in (".db", ".log", ".out", ".err", ".eml", ".json", ".jsonl", ".txt", ".db-wal"):
                found |= {match.group() for match in ID.finditer(path.read_bytes().decode("latin-1"))}
        ids: dict[str, str] = {}
        for at, one in enumerate(sorted(found), 1):
            ids |= {one: f"<id {at}>", one[-8:]: f"<id {at}>"}
        days = sorted({date.fromisoformat(one[:8]) for one in found})
        said = "|".join(day.strftime(form) for day in days for form in ("%Y-%m-%d", "%d %b %Y", "%d %B %Y")) or "(?!)"
        clock = r"\d\d:\d\d(:\d\d)?([.,]\d+)?( ?(Z|UTC|[+-]\d\d:?\d\d))?"
        compact = "|".join(f"{day:%Y%m%d}" for day in days) or "(?!)"
        forms = rf"(\w\w\w, )?\b({said})([T ,]+(at )?{clock})?|\b({compact})T\d{{6}}Z|^\d\d:\d\d:\d\d(?= )"
        time = re.compile(forms, re.MULTILINE)
        return cls(str(folder.resolve()), ids, time)

    def __call__(self, text: str) -> str:
        """Write a text so that another run of the same would have the same."""
        text = text.replace(self.folder, "<folder>")
        if not SUSPECT.search(text):
            return text
        text = ID.sub(lambda match: self.ids.get(match.group(), match.group()), text)
        text = re.sub(r"\b[0-9a-f]{8}\b", lambda match: self.ids.get(match.group(), match.group()), text)
        return self.time.sub("<time>", text)


def findings(folder: Path) -> Findings:
    """Return all that was said and kept in the folder of a project, by kind."""
    words = Words.of(folder)
    found: Findings = {kind: {} for kind in KINDS}

    def add(kind: Kind, where: str, value: Any) -> None:
        for path, leaf in leaves(value):
            place = words(" ".join([where, path]).strip())
            text = words(leaf) if isinstance(leaf, str) else json.dumps(leaf)
            if kind == "messages":
                text = DURATION.sub("<duration>", text)
            if path.rpartition(".")[2] == "seconds":
                text = "<duration>"
            if digests := DIGEST.findall(text):
                found["fingerprints"][place] = " ".join(digests)
                text = DIGEST.sub("<digest>", text)
            place = DIGEST.sub("<digest>", place)
            while place in found[kind]:
                place += "'"
            if text != "<digest>":
                found[kind][place] = text

    for path in files(folder):
        at = str(path.relative_to(folder))
        parts = at.split("/")
        if path.suffix == ".db":
            for table, key, row in rows(path):
                told = row.keys() & {"severity", "subject", "content"}
                add("metrics" if "metric" in row else "messages" if told else "store", f"{table} {key}", row)
        elif parts[0] == SAID:
            answer = ANSWERS.get(path.stem.split()[1], "metrics")
            add(answer if path.suffix == ".out" else "messages", at, content(path))
        elif parts[0] == ".engine" and {"snapshots", "evaluations", "models"} & set(parts):
            place = at.split("/")
            if DIGEST.fullmatch(place[-2]):  # the folder's name is a fingerprint
                place[-2] = f"{number_of(path.parent)}"
                found["fingerprints"]["/".join(place[:-1])] = path.parent.name
            found["profiles"][words("/".join(place))] = as_bytes(path).hex()
        elif parts[0] == ".engine" or parts[0] in ("outbox", "page.html", "chart.png"):
            add("messages", at, content(path))
    return found


def files(folder: Path) -> list[Path]:
    """Return the files of a folder in which something is kept."""
    unlike = {"locks", "__pycache__", "later"}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not unlike & set(path.relative_to(folder).parts)
        and path.suffix not in (".db-wal", ".db-shm")
    )


def number_of(folder: Path) -> int:
    """Return which of its neighbours a folder is by the time when it was written: its name may be a digest."""
    made = {one: min(path.stat().st_mtime_ns for path in one.iterdir()) for one in folder.parent.iterdir()}
    return sorted(made, key=made.__getitem__).index(folder) + 1


def rows(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give every row of every table: the table, the row's place by the primary key, the values by column.

    A row of a metric has its name as place: where another is there too, the others are still compared with themselves.
    """
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (table,) in tables:
            columns = database.execute(f'PRAGMA table_info("{table}")').fetchall()
            keys = [one["name"] for one in columns if one["pk"]] or [one["name"] for one in columns]
            order = ", ".join(f'"{key}"' for key in keys)
            for at, row in enumerate(database.execute(f'SELECT * FROM "{table}" ORDER BY {order}'), 1):
                names = [one["name"] for one in columns if one["name"] not in FILE_IDENTITY]
                values = {name: _cell(row[name]) for name in names}
                yield table, f"{row[keys[0]]} {row['metric']}" if "metric" in values else str(at), values


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return _text(value)
    return _read(value) if isinstance(value, str) else value


def content(path: Path) -> Any:
    """Return what a file says: JSON as such, a mail as its parts, text as its lines, anything else as its bytes."""
    if path.suffix == ".eml":
        return list(_parts(path.read_bytes()))
    read = _read(_text(path.read_bytes()))
    return read.splitlines() if isinstance(read, str) else read


def _parts(mail: bytes) -> Iterator[Any]:
    for part in email.message_from_bytes(mail, policy=email.policy.default).walk():
        known = {name: value for name, value in part.items() if name.lower() not in ("message-id", "date")}
        yield {name: re.sub(r'boundary="[^"]*"', "boundary", str(value)) for name, value in known.items()}
        if not part.is_multipart():
            read = _text(part.get_payload(decode=True))
            yield read.splitlines() if read.count("\n") else read


def _read(text: str) -> Any:
    """Return what a text says as JSON, if it is an object or a list; else the text, such as lines of JSON."""
    try:
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else text
    except ValueError:
        return text


def _text(read: bytes) -> str:
    try:
        return read.decode()
    except UnicodeDecodeError:
        return f"bytes {read.hex()}"


def as_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Only what skops writes is not taken as it is: a zip with times, whose members are named by addresses in memory. They
    come in the order in which the schema names them.
    """
    read = path.read_bytes()
    if path.suffix != ".skops":
        return read
    with zipfile.ZipFile(BytesIO(read)) as file:
        schema = file.read("schema.json").decode()
        addresses = {one: f"<{at}>" for at, one in enumerate(dict.fromkeys(ADDRESS.findall(schema)))}
        members = sorted(set(file.namelist()) - {"schema.json"}, key=schema.find)
        schema = ADDRESS.sub(lambda match: addresses[match.group()], schema)
        return schema.encode() + b"".join(file.read(name) for name in members)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give the single values of a nested one, each by its path."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if not inside:
        yield path, value
        return
    for key, one in inside:
        yield from leaves(one, f"{path}.{key}" if path else str(key))


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """Say what is not the same on both sides, or on one side alone."""
    sides = ((place, old.get(place), new.get(place)) for place in dict.fromkeys([*old, *new]))
    return [
        f"{place}\n      then {_short(then, now)}\n      now  {_short(now, then)}"
        for place, then, now in sides
        if then != now
    ]


def _short(text: str | None, other: str | None) -> str:
    """Return a text, of a long one the part from where it differs."""
    if text is None or len(text) < 400:
        return "nothing" if text is None else text
    start = next((at for at, (a, b) in enumerate(zip(text, other or "", strict=False)) if a != b), len(other or ""))
    return f"{len(text)} characters, from the {start}th: {text[max(0, start - 40) : start + 200]}"


def report(name: str, old: Path, new: Path, shown: int = SHOWN) -> bool:
    """Print a line a kind for the same project run twice; return whether all is equal."""
    before, after = findings(old), findings(new)
    equal = True
    for kind in KINDS:
        differ = differences(before[kind], after[kind])
        equal &= not differ
        said = f"{len(differ)} differ" if differ else "equal" if before[kind] else "none"
        print(f"{name:18} {kind:13} {said:>12} of {len(before[kind].keys() | after[kind].keys()):,}", flush=True)
        for one in differ[:shown]:
            print(f"    {one}")
    return equal


def main() -> int:
    """Compare two folders."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs=2)
    parser.add_argument("--shown", type=int, default=SHOWN, help="of the differences of a kind")
    chosen = parser.parse_args()
    return int(not report(chosen.folders[0].name, *chosen.folders, chosen.shown))


if __name__ == "__main__":
    sys.exit(main())
