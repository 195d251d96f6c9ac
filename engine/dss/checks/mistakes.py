"""Find mistakes in a project's checks, and report each with its effect in DSS."""

import re
from typing import Any

from engine.dss.checks.check_import import name_check
from engine.dss.checks.rules import BOUNDS
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject

_DRIFT_METRICS = ("model_perf:DATA_DRIFT", "DATA_DRIFT")
_PROBES = ("records", "basic", "col_stats", "adv_col_stats", "percentile_stats", "verify_col", "python", "sql_query")


def find_check_mistakes(state: ImportState) -> None:
    """Report the mistakes in the checks of datasets, models and stores."""
    for path, found in state.objects.items():
        if path.startswith(("datasets/", "saved_models/", "model_evaluation_stores/")):
            _check_owner(state, found)


def _check_owner(state: ImportState, owner: JsonObject) -> None:
    seen: set[str] = set()
    for check in owner.get_object("metricsChecks").get_objects("checks"):
        label = name_check(check)
        if label in seen:
            state.report.add_mistake(check.place, f"another check is called {label[:60]!r} too: they share one history")
        seen.add(label)
        if check.get_flag("enabled", default=True):
            for mistake in (*_list_range_mistakes(check, label), _find_missing_probe(owner, check, label)):
                if mistake:
                    state.report.add_mistake(check.place, mistake)


def _list_range_mistakes(check: JsonObject, label: str) -> list[str]:
    if check.get_text("type") != "numericRange" and "InRange" not in check.get_text("type"):
        return []
    given = {
        ours: value
        for key, ours in BOUNDS.items()
        if check.get_flag(f"{key}Enabled", default=False) and (value := check.get_number(key)) is not None
    }
    if not given:
        return [f"the check {label[:60]!r} has no bound that is switched on: it is always OK"]
    found = []
    if list(given.values()) != sorted(given.values()):
        found.append(f"the bounds of {label[:60]!r} are not in ascending order: {_show(given)}")
    if _names_other_side(label, given):
        found.append(f"its name says {label[:60]!r}, but its bound is on the other side: {_show(given)}")
    if check.get_text("metricId") in _DRIFT_METRICS:
        found += [
            f"data drift is about 0.5 where nothing drifts, so that {key} {given[key]:g} is exceeded without any drift"
            for key in ("soft_max", "max")
            if key in given and given[key] <= 0.5
        ]
    return found


def _show(bounds: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in bounds.items())


def _names_other_side(label: str, bounds: dict[str, Any]) -> bool:
    """Return whether a check's name contradicts its bounds, such as `rows > 10` with a maximum of 10."""
    said = re.search(r"(<=?|>=?)\s*(-?[0-9]+(?:\.[0-9]+)?)", label)
    if said is None:
        return False
    upper, lower = ("max", "soft_max"), ("min", "soft_min")
    side, other = (upper, lower) if said[1][0] == "<" else (lower, upper)
    return not any(key in bounds for key in side) and any(bounds.get(key) == float(said[2]) for key in other)


def _find_missing_probe(owner: JsonObject, check: JsonObject, label: str) -> str:
    """Return that nothing computes the metric of a check; an empty text if something does, or if it is unknown."""
    id_ = check.get_text("metricId")
    kind, _, rest = id_.partition(":")
    probes = owner.get_object("metrics").get_objects("probes")
    if not owner.file.startswith("datasets/") or not probes or kind not in _PROBES:
        return ""
    if check.get_flag("autoComputeMetric", default=False):
        return ""
    alike = [one for one in probes if one.get_text("type") == kind and one.get_flag("enabled", default=True)]
    statistic, _, column = rest.partition(":")
    computed = {
        (one.get_text("aggregated"), one.get_text("column"))
        for probe in alike
        for one in probe.get_object("configuration").get_objects("aggregates")
    }
    if alike and (kind != "col_stats" or not computed or (statistic, column) in computed):
        return ""
    return f"the check {label[:60]!r} has no value: no probe that is switched on computes {id_[:80]}"
