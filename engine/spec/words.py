"""Words that people bring along from elsewhere, and what they are called here.

A reader who wrote `if:` or `severity:` knows what they want; spelling distance would never find it. One table from
the foreign key to the keys that may be meant; the first that exists at that place is named.
"""

FOREIGN_KEYS: dict[str, tuple[str, ...]] = {
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
    "args": ("arguments",),
    "kwargs": ("arguments",),
    "params": ("parameters", "arguments"),
    "hyperparameters": ("parameters",),
    "estimator": ("algorithm",),
    "query": ("sql",),
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
    "host": ("url",),
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
"""Keys of earlier versions, and what they are called now."""

_CHECKS = "write checks: inside an evaluation store or a dataset"
_TRIGGERS = "scenarios are started by hand or by cron: engine run SPEC SCENARIO"
NOT_HERE: dict[str, str] = {
    "severity": "a bound says it: outside soft_min and soft_max is a WARNING, outside min and max an ERROR",
    "level": "a bound says it: outside soft_min and soft_max is a WARNING, outside min and max an ERROR",
    "on": _TRIGGERS,
    "cron": _TRIGGERS,
    "schedule": _TRIGGERS,
    "trigger": _TRIGGERS,
    "triggers": _TRIGGERS,
    "needs": "steps run in the order of the list",
    "depends_on": "steps run in the order of the list; datasets are built as they are needed",
    "extends": "a resource is written out whole; include unites files by name",
    "tests": _CHECKS,
    "expectations": _CHECKS,
    "checks": _CHECKS,
    "default": "a variable's value is written after its name, or as value: with a type:",
}


def answer(word: str, allowed: list[str]) -> str | None:
    """Return what a foreign key is called at a place where the allowed keys are legal."""
    key = word.lower()
    if RENAMED.get(key) in allowed:
        return f"{key} was renamed to {RENAMED[key]}"
    for ours in FOREIGN_KEYS.get(key, ()):
        if ours in allowed:
            return f'did you mean "{ours}"?' if ours != "soft_max" else _SOFT
    return NOT_HERE.get(key)


_SOFT = "soft_min and soft_max bound a WARNING, min and max an ERROR"
