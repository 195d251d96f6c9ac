"""The steps of scenarios."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from engine.dss.conditions import translate_formula
from engine.dss.import_state import ImportState, may_hold_password
from engine.dss.json_objects import JsonObject
from engine.dss.names import fill_references, make_identifier, make_name
from engine.dss.report import ObjectLine
from engine.dss.reporters import import_message
from engine.dss.spec_writing import Part
from engine.spec.conditions import name_step_variable

Keys = dict[str, Any]
DEFAULT_STATUSES = {"SUCCESS", "WARNING"}

_TARGETS = ("evaluation_stores", "models", "datasets")
_NOT_NEEDED = {
    "check_consistency": "engine validate and the contracts of columns do this",
    "reload_schema": "the columns of a dataset are found whenever it is read",
    "schema_propagation": "the columns of a dataset are found whenever it is read",
    "invalidate_cache": "there is no such cache here",
    "refresh_chart_cache": "there is no such cache here",
}
_OUTCOMES = ("SUCCESS", "WARNING", "FAILED", "ABORTED")


def import_steps(state: ImportState, scenario: JsonObject, target: str) -> tuple[list[Part], list[tuple[str, str]]]:
    """Return the steps of a scenario, and by order their names in DSS and in the spec.

    Parameters
    ----------
    target
        Where the scenario is in the spec, for the report.
    """
    found: list[Part] = []
    names: list[tuple[str, str]] = []
    for one in scenario.get_object("params").get_objects("steps"):
        type_ = one.get_text("type")
        label = one.get_text("name") or type_ or "step"
        line = state.report.add("step", label, one.place, f"{target}.steps")
        part = Part(one.place)
        name = _name_step(label, [new for _, new in names])
        keys = _translate_step(state, one, part, type_, names, line)
        if keys is None:
            continue
        if name != label:
            line.note(f"renamed {name}, because another step has this name in conditions or it is not legal")
        part |= {"name": name, **keys}
        _describe_flow(state, one, part, names, line)
        names.append((label, name))
        found.append(part)
    return found, names


def build_stub(name: str, source: str, todo: str) -> Part:
    """Return a step that is switched off and names a function that is still to be written."""
    part = Part(source, {"name": name, "kind": "python", "active": False})
    part["function"] = f"{make_identifier(name).lower()}:run"
    part.add_todo(todo)
    return part


def _name_step(label: str, taken: Sequence[str]) -> str:
    """Return a name that no other step has, also not as conditions write it."""
    name = make_name(label, (), "step")
    used = {name_step_variable(one) for one in taken}
    numbered = (name, *(f"{name} {n}" for n in range(2, len(used) + 3)))
    return next(one for one in numbered if name_step_variable(one) not in used)


def _describe_flow(
    state: ImportState, one: JsonObject, part: Part, before: Sequence[tuple[str, str]], line: ObjectLine
) -> None:
    """Carry over when a step runs, how often it is tried, and what a failure or a warning means."""
    params = one.get_object("params")
    when = one.get_text("runConditionType")
    if when == "DISABLED" or not one.get_flag("enabled", default=True):
        part["active"] = False
        line.note("it is switched off, as in DSS")
    if when == "RUN_ALWAYS":
        part["run_condition"] = "always"
    elif when == "RUN_IF_STATUS_MATCH":
        statuses = set(one.get_texts("runConditionStatuses"))
        if statuses != DEFAULT_STATUSES and (known := [word for word in _OUTCOMES if word in statuses]):
            listed = ", ".join(f"'{word}'" for word in known)
            part["run_condition"] = f"outcome in [{listed}]"
    elif when == "RUN_CONDITIONALLY":
        formula = one.get_text("runConditionExpression")
        condition, problem = translate_formula(formula, before, state.names.variables)
        if problem:
            part["active"] = False
            part.add_todo(f"write its condition and switch it on: {formula[:200]}")
            line.note(f"TODO it is switched off, because its condition cannot be translated: {problem}")
        else:
            part["run_condition"] = condition
    elif when not in ("", "DISABLED"):
        part["active"] = False
        line.note(f"TODO it is switched off: the kind of condition {when[:40]} is not known")
    if count := one.get_whole("maxRetriesOnFail"):
        if 1 <= count <= 100:
            delay = one.get_whole("delayBetweenRetries") or 0
            part["retries"] = {"count": count, "delay": f"{delay}s" if 0 < delay < 10**8 else None}
        else:
            line.note("its number of retries is not between 1 and 100: there are none")
    if params.get_flag("proceedOnFailure", default=False):
        part["on_failure"] = "warn"
    if params.get_text("handleWarningsAs") == "FAILED" or params.get_flag("warningsAsErrors", default=False):
        part["on_warning"] = "fail"
    if one.get_flag("resetScenarioStatus", default=False):
        line.note("it resets the outcome of the run in DSS: that is not done here")


def _translate_step(
    state: ImportState, one: JsonObject, part: Part, type_: str, before: Sequence[tuple[str, str]], line: ObjectLine
) -> Keys | None:
    """Return the keys of a kind of step; None, with the line left out, if it has no counterpart."""
    params = one.get_object("params")
    translate = _KINDS.get(type_)
    if translate is not None:
        return translate(state, params, line)
    if type_ == "send_report":
        content = import_message(state, part, params.get_object("messaging"), before, line)
        return None if content is None else {"kind": "send_message", **content}
    if type_ == "custom_python":
        line.note("TODO it is Python code, which is not carried over: the step is switched off")
        stub = build_stub(one.get_text("name") or "code", "", "write the function, and switch it on")
        part.comments += stub.comments
        return {key: value for key, value in stub.items() if key != "name"}
    why = _NOT_NEEDED.get(type_, f"steps of the type {type_[:60] or '(none)'} have no counterpart here")
    line.leave_out(why)
    return None


def _find_targets(state: ImportState, items: list[JsonObject], line: ObjectLine, *sections: str) -> list[str]:
    found = []
    for item in items:
        id_ = item.get_text("itemId", "smartName", "objectSmartName", "datasetName")
        if name := state.names.find_target(id_, *sections):
            found.append(name)
        else:
            line.note(
                f"{item.get_text('type')[:40] or 'item'} {id_[:60] or '(none)'} is left out: it is not in the spec"
            )
        if item.get_text("partitionsSpec"):
            line.note("its choice of partitions is not carried over")
    return list(dict.fromkeys(found))


def _join_targets(names: list[str], line: ObjectLine) -> str | list[str] | None:
    if not names:
        line.leave_out("nothing of what it names is in the spec")
        return None
    return names[0] if len(names) == 1 else names


def _translate_build(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    target = _join_targets(_find_targets(state, params.get_objects("builds"), line, *_TARGETS), line)
    if target is None:
        return None
    forced = params.get_text("jobType") in (
        "NON_RECURSIVE_FORCED_BUILD",
        "RECURSIVE_FORCED_BUILD",
        "NON_RECURSIVE_FORCED",
    )
    return {"kind": "build", "target": target, "mode": "force" if forced else None}


def _translate_checks(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    names = _find_targets(state, params.get_objects("checks"), line, "evaluation_stores", "datasets")
    target = _join_targets(names, line)
    return None if target is None else {"kind": "run_checks", "target": target}


def _translate_metrics(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    names = _find_targets(state, params.get_objects("computations") or params.get_objects("metrics"), line, "datasets")
    if not names:
        line.leave_out("checks compute the metrics that they need; no dataset of the spec is named")
        return None
    return {"kind": "compute_metrics", "target": _join_targets(names, line)}


def _translate_child(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    name = state.names.scenarios.get(params.get_text("scenarioId"))
    if name is None or params.get_text("projectKey") not in ("", state.names.key):
        line.leave_out("TODO the scenario that it runs is not part of the project")
        return None
    return {"kind": "run_scenario", "scenario": name}


def _translate_variables(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    """Return a step that sets constants; formulas are left out."""
    given = (
        params.get_object("variables").values
        if isinstance(params.values.get("variables"), dict)
        else {one.get_text("key", "name"): one.values.get("value") for one in params.get_objects("variables")}
    )
    values: Keys = {}
    for name, value in given.items():
        ours = state.names.variables.get(name)
        constant = _read_constant(value)
        if ours is None:
            line.note(f"TODO {name[:60] or '(none)'} is no variable of the spec: declare it")
        elif constant is None:
            line.note(f"TODO {name[:60]} is set by a formula, which cannot be translated")
        else:
            values[ours] = constant
    if not values:
        line.leave_out("it sets no variable to a constant")
        return None
    line.note("the values hold until the end of the run, and no longer")
    return {"kind": "set_variables", "variables": values}


def _read_constant(value: object) -> Any:
    """Return a number, or the text in the quotes of a formula; None if it is none of these."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if quoted := re.fullmatch(r"""\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*""", value):
            return quoted[1] if quoted[1] is not None else quoted[2]
        if re.fullmatch(r"\s*-?[0-9]{1,15}(\.[0-9]+)?\s*", value):
            return float(value) if "." in value else int(value)
    return None


def _translate_sql(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    connection, sql = params.get_text("connection"), params.get_text("sql", "query")
    if may_hold_password(sql):
        line.leave_out("its statements may hold a password")
        return None
    if state.sections["connections"].get(connection, {}).get("kind") != "postgresql" or not sql:
        line.leave_out("its connection is no PostgreSQL database that the spec declares, or it has no statement")
        return None
    return {"kind": "sql", "connection": connection, "statements": [fill_references(sql, state.names, line)]}


def _translate_clear(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys | None:
    names = _find_targets(state, params.get_objects("clears") or params.get_objects("items"), line, "datasets")
    if len(names) != 1:
        line.leave_out("it names no dataset, or several: write a step of kind: clear for each")
        return None
    line.note("TODO it is switched off: it would remove files of this folder")
    return {"kind": "clear", "target": names[0], "active": False}


_KINDS: dict[str, Callable[[ImportState, JsonObject, ObjectLine], Keys | None]] = {
    "build_flowitem": _translate_build,
    "check_dataset": _translate_checks,
    "compute_metrics": _translate_metrics,
    "run_scenario": _translate_child,
    "define_vars": _translate_variables,
    "set_project_vars": _translate_variables,
    "exec_sql": _translate_sql,
    "clear_items": _translate_clear,
}
