"""The keys of fires, which identify the occurrences of a trigger.

A fire is recorded once per scenario, trigger and key. So the formats must never change: after an upgrade, a known
occurrence would get a new key, and would be run twice.
"""

from datetime import datetime

from engine.store import Fire


def cron_key(scheduled: datetime) -> str:
    """Return the key of a time of a cron expression: `cron:1764295200`, in seconds since 1970 in UTC."""
    return f"cron:{_format_epoch(scheduled)}"


def interval_key(scheduled: datetime) -> str:
    """Return the key of a time of an interval: `interval:1764295200`, or `interval:0.25` with fractions of seconds."""
    return f"interval:{_format_epoch(scheduled)}"


def data_key(digest: str) -> str:
    """Return the key of a state of data: `data:<digest>`."""
    return f"data:{digest}"


def query_key(digest: str) -> str:
    """Return the key of a result of a query: `query:<digest>`."""
    return f"query:{digest}"


def run_key(run: str) -> str:
    """Return the key of the end of a run: `run:<run id>`."""
    return f"run:{run}"


def manual_key(request: str) -> str:
    """Return the key of a run that a person or a program has requested: `manual:<request id>`."""
    return f"manual:{request}"


def is_manual(fire: Fire) -> bool:
    """Return whether the run of a fire was requested by a person or a program, and not by a trigger."""
    return fire.key.startswith("manual:")


def is_of_data(fire: Fire) -> bool:
    """Return whether a change of data has caused a fire."""
    return fire.key.startswith((data_key(""), query_key("")))


def find_finished_run(fire: Fire) -> str | None:
    """Return the id of the run whose end has caused a fire; None for another cause."""
    return fire.key.removeprefix("run:") if fire.key.startswith("run:") else None


def _format_epoch(moment: datetime) -> str:
    whole = int(moment.replace(microsecond=0).timestamp())
    return f"{whole}.{moment.microsecond:06d}".rstrip("0") if moment.microsecond else str(whole)
