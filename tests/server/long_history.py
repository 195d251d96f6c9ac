"""A state with a long history: copies of what one run has left, written by SQL, older than all that was there."""

import sqlite3
from pathlib import Path

LONG_AGO = "strftime('%Y-%m-%d %H:%M:%f', '2010-01-01', i || ' minutes') || '000'"
ID = "strftime('%Y%m%d-%H%M%S', '2010-01-01', i || ' minutes') || printf('-%06d-%08x', i % 1000000, i)"


def lengthen_history(folder: Path, copies: int, metrics: int = 30) -> None:
    """Copy the newest evaluation, run, message and fire of a state so many times; evaluations get no details.

    Parameters
    ----------
    folder
        The folder of the state, which no process has open.
    metrics
        Metrics of each copied evaluation.
    """
    (path,) = folder.glob("*.db")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous = OFF")
        offset = copies + 10
        newest = database.execute("SELECT max(number) FROM evaluations").fetchone()[0]
        for table in ("evaluations", "runs", "fires", "outbox"):
            database.execute("PRAGMA defer_foreign_keys = ON")
            changed = {"number": f"i - {offset}", "id": ID, "short_id": "printf('%08x', i)", "run": ID, "key": "i"}
            changed |= dict.fromkeys(("created", "time_start", "started", "ended", "scheduled", "seen_at"), LONG_AGO)
            if table == "evaluations":
                changed["name"] = "'copy ' || i"
            copy_rows(database, table, "number = (SELECT max(number) FROM {table})", copies, changed)
        of_newest = {"evaluation": f"i - {offset}", "value": "value + (i % 97) / 1000.0"}
        copy_rows(database, "evaluation_metrics", f"evaluation = {newest} AND place < {metrics}", copies, of_newest)
        of_checks = {"number": None, "evaluation": ID, "created": LONG_AGO, "run": ID}
        id_ = f"evaluation = (SELECT id FROM evaluations WHERE number = {newest})"
        copy_rows(database, "check_results", id_, copies, of_checks)
    database.close()


def copy_rows(
    database: sqlite3.Connection, table: str, where: str, copies: int, changed: dict[str, str | None]
) -> None:
    """Copy rows so many times, with SQL of the number `i` of the copy in place of some columns; None leaves one out."""
    known = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    filled = {name: changed.get(name, f'"{name}"') for name in known}
    kept = {name: value for name, value in filled.items() if value is not None}
    database.execute(
        f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {copies}) "
        f"INSERT INTO {table} ({', '.join(f'{chr(34)}{name}{chr(34)}' for name in kept)}) "
        f"SELECT {', '.join(kept.values())} FROM (SELECT * FROM {table} WHERE {where.format(table=table)}), numbers"
    )
