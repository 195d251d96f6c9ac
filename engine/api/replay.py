"""Replays checks with the settings of the spec and with tried ones, as one table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from engine.api.result_table import ResultTable
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_number
from engine.pipeline.replay import ReplayedCheck, replay_checks
from engine.scenarios.context import RunContext

TriedValues = Mapping[str, Mapping[str, Any]]
"""The values to try, by check and key."""

SHOWN_METRICS = 3
"""Most metrics of a wildcard check that are listed."""


def replay_target(target: str, tried: TriedValues, context: RunContext) -> ResultTable:
    """Return the outcomes of the checks on the whole history of a dataset or store, also with tried settings.

    Raises
    ------
    UsageError
        There is no history, or a tried setting is not possible.
    """
    section = "evaluation_stores" if target in context.project.evaluation_stores else "datasets"
    texts = {check: {key: write_value(value) for key, value in keys.items()} for check, keys in tried.items()}
    project = context.project.with_check_settings(section, target, texts) if texts else context.project
    for warning in project.warnings if texts else ():
        context.log.warning(f"{warning.message}; {warning.help}" if warning.help else warning.message)
    rows = [(one, False) for one in replay_checks(target, context)]
    if texts:
        rows += [(one, True) for one in replay_checks(target, replace(context, project=project)) if one.check in texts]
    order = {one.check: place for place, (one, is_tried) in enumerate(rows) if not is_tried}
    return _tabulate_replay(sorted(rows, key=lambda row: (order[row[0].check], row[1])))


def write_value(value: Any) -> str:
    """Return a value as YAML text; raise UsageError if a spec cannot contain it."""
    try:
        return json.dumps(value.total_seconds() if isinstance(value, timedelta) else value, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"{value!r} cannot be a setting of a check: {problem}") from problem


def _tabulate_replay(rows: Sequence[tuple[ReplayedCheck, bool]]) -> ResultTable:
    schema: dict[str, type] = {"check": str, "tried": bool}
    counts = ("evaluations", "error", "warning", "empty", "ok", "not_measured", "alarms")
    schema |= dict.fromkeys(counts, int)
    schema |= dict.fromkeys(("first", "last", "metrics", "bounds", "reason"), str)
    made = [
        {part: getattr(one, part) for part in ("check", *counts, "first", "last", "reason")}
        | {
            "tried": tried,
            "metrics": join_some([f"{metric} {times}" for metric, times in one.metrics.items()], SHOWN_METRICS) or None,
            "bounds": ", ".join(f"{key} {_format_bound(bound)}" for key, bound in one.bounds.items()) or None,
        }
        for one, tried in rows
    ]
    return ResultTable(schema, made)


def _format_bound(bound: object) -> str:
    if isinstance(bound, Mapping):
        return " ".join(f"{key} {_format_bound(inner)}" for key, inner in bound.items())
    return join_some(map(format_number, bound)) if isinstance(bound, list) else format_number(bound)
