"""Keys that other tools use, and the keys of this language that correspond to them.

A search for similar spellings does not help if the author of a spec writes `if:` or `severity:`. The first
corresponding key that is allowed at the place is suggested.
"""

from collections.abc import Collection

KEY_ALIASES: dict[str, tuple[str, ...]] = {
    "if": ("run_condition",),
    "when": ("run_condition",),
    "condition": ("run_condition",),
    "unless": ("run_condition",),
    "type": ("kind",),
    "warn": ("soft_max",),
    "fail": ("max",),
    "warning": ("soft_max",),
    "error": ("max",),
    "warn_if": ("soft_max",),
    "error_if": ("max",),
    "threshold": ("max",),
    "soft_maximum": ("soft_max",),
    "soft_minimum": ("soft_min",),
    "maximum": ("max",),
    "minimum": ("min",),
    "lower": ("min",),
    "upper": ("max",),
    "gt": ("min",),
    "gte": ("min",),
    "lt": ("max",),
    "lte": ("max",),
    "values": ("allowed",),
    "accepted_values": ("allowed",),
    "enum": ("allowed",),
    "not_null": ("required",),
    "nullable": ("required",),
    "args": ("arguments", "variables"),
    "kwargs": ("arguments",),
    "params": ("parameters", "arguments", "variables"),
    "hyperparameters": ("parameters",),
    "estimator": ("algorithm",),
    "query": ("sql",),
    "master": ("url",),
    "remote": ("url",),
    "expression": ("cron",),
    "crontab": ("cron",),
    "schedule": ("cron",),
    "tz": ("timezone",),
    "time_zone": ("timezone",),
    "timezone_id": ("timezone",),
    "catchup": ("catch_up",),
    "backfill": ("catch_up",),
    "misfire_grace_time": ("grace",),
    "start_date": ("since",),
    "start": ("since",),
    "anchor": ("since",),
    "interval": ("every",),
    "period": ("every",),
    "poll": ("every",),
    "poll_interval": ("every",),
    "seconds": ("every",),
    "minutes": ("every",),
    "hours": ("every",),
    "upstream": ("scenario",),
    "after": ("scenario",),
    "status": ("outcomes",),
    "states": ("outcomes",),
    "outcome": ("outcomes",),
    "max_runtime": ("timeout",),
    "time_limit": ("timeout",),
    "deadline": ("timeout",),
    "execution_timeout": ("timeout",),
    "timeout_seconds": ("timeout",),
    "timeout_minutes": ("timeout",),
    "file": ("path",),
    "location": ("path",),
    "folder": ("path", "root"),
    "dir": ("path", "root"),
    "delimiter": ("separator",),
    "sep": ("separator",),
    "label": ("target",),
    "pos_label": ("positive",),
    "recipients": ("to",),
    "recipient": ("to",),
    "sender": ("from",),
    "body": ("message",),
    "text": ("message",),
    "title": ("subject",),
    "attachments": ("attach",),
    "enabled": ("active",),
    "disabled": ("active",),
    "fail_on_warning": ("on_warning",),
    "warnings_as_errors": ("on_warning",),
    "targets": ("target",),
    "output": ("path",),
    "host": ("url", "listen"),
    "port": ("listen",),
    "bind": ("listen",),
    "address": ("listen", "url"),
    "cert": ("certificate",),
    "ssl": ("tls",),
    "proxy": ("behind_proxy",),
    "smtp": ("url",),
    "retry": ("retries",),
    "max_retries": ("retries",),
    "attempts": ("count",),
    "wait": ("delay",),
    "continue_on_error": ("on_failure",),
    "continue-on-error": ("on_failure",),
    "allow_failure": ("on_failure",),
    "foreach": ("for_each",),
    "matrix": ("for_each",),
    "loop": ("for_each",),
    "jobs": ("steps", "scenarios"),
    "tasks": ("steps", "scenarios"),
    "pipelines": ("scenarios",),
    "workflows": ("scenarios",),
    "notify": ("reporters",),
    "alerts": ("reporters",),
    "notifications": ("reporters", "channels"),
    "vars": ("variables",),
    "env": ("variables",),
    "name": ("project",),
    "sources": ("datasets",),
    "tables": ("datasets",),
    "mes": ("evaluation_stores",),
    "stores": ("evaluation_stores",),
    "model_evaluation_stores": ("evaluation_stores",),
    "baseline": ("reference",),
    "current": ("dataset",),
    "imports": ("include",),
    "tests": ("checks",),
    "expectations": ("checks",),
    "schema": ("columns",),
    "primary_key": ("entity",),
    "group": ("entity",),
}

RENAMED = {"otherwise": "fallback"}
"""Keys of earlier versions of the language, and their names now."""

_SEVERITY_KEYS = ("warn", "fail", "warning", "error", "warn_if", "error_if")
_CHECKS = "write checks: in an evaluation store or a dataset"
_SOFT_BOUNDS_HINT = "for a WARNING write soft_min and soft_max, for an ERROR min and max"
_SEVERITY_HINT = "the bounds decide: a value outside soft_min..soft_max is a WARNING, outside min..max an ERROR"
_TRIGGER_HINT = 'write triggers: in a scenario, such as triggers: [{name: nightly, cron: "30 2 * * *"}]'
_SENSOR_HINT = "write triggers: in a scenario, such as [{name: new data, kind: dataset_changed, dataset: …}]"
_OVERLAP_HINT = (
    "runs of a scenario never overlap: a run that a trigger starts meanwhile waits; for runs that a user starts, "
    "write on_busy: wait or refuse"
)
UNSUPPORTED_KEYS: dict[str, str] = {
    "severity": _SEVERITY_HINT,
    "level": _SEVERITY_HINT,
    "on": _TRIGGER_HINT,
    "cron": _TRIGGER_HINT,
    "schedule": _TRIGGER_HINT,
    "crontab": _TRIGGER_HINT,
    "trigger": _TRIGGER_HINT,
    "schedules": _TRIGGER_HINT,
    "every": "write triggers: in a scenario, such as triggers: [{name: hourly, kind: interval, every: 1h}]",
    "sensor": _SENSOR_HINT,
    "sensors": _SENSOR_HINT,
    "overlap": _OVERLAP_HINT,
    "overlap_policy": _OVERLAP_HINT,
    "concurrency": _OVERLAP_HINT,
    "max_active_runs": _OVERLAP_HINT,
    "catchup": "write catch_up: in the trigger: last, all or none",
    "catch_up": "write it in the trigger",
    "retention": "write it at the top level of the spec; its limits of runs count for each scenario",
    "needs": "steps run in the order of the list, so move this step behind those that it needs",
    "depends_on": "steps run in the order of the list, and datasets are built when they are needed, so remove this key",
    "extends": "write all keys of the resource out; include adds the entries of other files",
    "tests": _CHECKS,
    "expectations": _CHECKS,
    "checks": _CHECKS,
    "default": "write the value after the name of the variable, as in name: 5, or {type: integer, value: 5}",
}


_FOREIGN_STEPS = {
    **dict.fromkeys(("send_report", "send", "mail", "email", "message", "notify", "alert"), "send_message"),
    **dict.fromkeys(("clear_items", "delete", "remove", "empty", "clean", "truncate", "purge"), "clear"),
    **dict.fromkeys(("write", "save", "store", "copy", "dump", "materialize", "materialise"), "export"),
}
"""Kinds of steps of other tools, and ours."""

_FOREIGN_TRIGGERS = {
    **dict.fromkeys(("schedule", "scheduled", "time", "daily", "crontab"), "cron"),
    **dict.fromkeys(("every", "timer", "periodic", "rate"), "interval"),
    **dict.fromkeys(("sensor", "file", "file_arrival", "files", "data", "dataset", "asset", "path"), "dataset_changed"),
    **dict.fromkeys(("sql", "query"), "query_changed"),
    **dict.fromkeys(("scenario", "upstream", "workflow_run", "after", "run", "dependency"), "scenario_finished"),
}
"""Kinds of triggers of other tools, and ours."""

_MESSENGERS = ("slack", "teams", "msteams", "discord", "telegram", "mattermost", "rocketchat", "pagerduty")


def hint_for_kind(word: str, kinds: Collection[str]) -> str | None:
    """Return a hint for a kind of another tool, where these kinds are allowed, or None if the kind is not known."""
    if "apprise" in kinds and word.lower() in _MESSENGERS:
        return f"write kind: apprise, with the url that Apprise documents for {word}"
    if "send_message" in kinds and (ours := _FOREIGN_STEPS.get(word.lower())):
        return f'did you mean "{ours}"?'
    if "dataset_changed" in kinds and (ours := _FOREIGN_TRIGGERS.get(word.lower())):
        return f'did you mean "{ours}"?'
    return 'did you mean "mail"?' if "mail" in kinds and word.lower() in ("email", "smtp") else None


def hint_for_key(word: str, allowed: list[str]) -> str | None:
    """Return a hint for a key of another tool, at a place with these allowed keys, or None if the key is not known."""
    key = word.lower()
    if key.isdigit():
        return f"if {key} is the end of a number, write a point in place of the comma: 0.{key}"
    if RENAMED.get(key) in allowed:
        return f"{key} was renamed to {RENAMED[key]}"
    for our_key in KEY_ALIASES.get(key, ()):
        if our_key in allowed:
            if key in _SEVERITY_KEYS:
                return _SOFT_BOUNDS_HINT
            if key == "disabled":
                return "write active: false"
            inclusive = f" It is inclusive: {our_key} itself is allowed" if key in ("gt", "lt") else ""
            return f'did you mean "{our_key}"?{inclusive}'
    return UNSUPPORTED_KEYS.get(key)
