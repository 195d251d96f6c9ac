"""Import the checks and rules of datasets, models and stores: `metricsChecks.checks[]`, in old and new forms."""

from collections.abc import Callable
from typing import Any

from engine.dss.checks.query_rules import QUERY_RULES, QueryRule, declare_query_rules, translate_query_rule
from engine.dss.checks.rules import RULES, Keys, read_bounds, read_scalar
from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.metric_names import translate_metric
from engine.dss.names import make_identifier, make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.metrics.catalogue import METRICS, list_statistics
from engine.spec.metrics.definition import MetricScope


def import_checks(
    state: ImportState, owner: JsonObject, scope: MetricScope, target: str, part: Part, note: str = ""
) -> None:
    """Add the checks of a dataset, model or store to its part of the spec.

    A rule on the values of a column becomes a part of the column's contract, which is under `columns` of the part.

    Parameters
    ----------
    scope
        `dataset` or `store`, which determines the meaning of metrics.
    target
        The place of the part in the spec, for the report.
    note
        A note to add to each check.
    """
    checks: dict[str, Any] = part.setdefault("checks", {})
    queries: list[QueryRule] = []
    dataset = target.removeprefix("datasets.")
    task = state.sections["models"].get(str(part.get("model")), {}).get("task", "")
    for one in owner.get_object("metricsChecks").get_objects("checks"):
        type_, label = one.get_text("type"), name_check(one)
        line = state.report.add("check", label, one.place)
        enabled = one.get_flag("enabled", default=True)
        if note:
            line.note(note)
        places = []
        bodies: list[tuple[str, Keys]] = []
        if type_ in QUERY_RULES and scope == "dataset":
            queries += translate_query_rule(state, one, dataset, part.get("columns", {}), label, line)
        elif rule := RULES.get(type_):
            translated = rule(one, part.get("columns", {}), line)
            places += _add_contract(part, translated.contract, target, line, enabled=enabled)
            bodies = translated.checks
        else:
            bodies = _translate_check(one, type_, scope, part, line, task)
        several = len(bodies) > 1
        for suffix, body in bodies:
            name = make_name(f"{label} {suffix}" if several else label, checks, "check")
            if not several:
                line.note_name(name, label)
            checks[name] = Part(one.place, body)
            if not enabled:
                checks[name]["active"] = False
                line.note("it is switched off, as in DSS")
            places.append(f"{target}.checks.{name}")
        if type_ == "python":
            places.append(_add_stub(checks, one, label, target, line))
        if line.reason is not None or line.needless is not None:
            one.read_whole()
        if places:
            line.target = ", ".join(places)
    if not checks:
        del part["checks"]
    if queries:
        declare_query_rules(state, dataset, queries)


def leave_out_checks(state: ImportState, owner: JsonObject, reason: str) -> None:
    """Report that the checks of an object are left out with it, and why."""
    for one in owner.get_object("metricsChecks").get_objects("checks"):
        one.read_whole()
        state.report.add("check", name_check(one), one.place).leave_out(reason)


def name_check(one: JsonObject) -> str:
    """Return the name of a check in DSS."""
    names = (one.get_text("displayName"), one.get_object("meta").get_text("label"))
    type_ = one.get_text("type")
    unnamed = {"numericRange": "Value in range", "valueSet": "Value in set"}.get(type_, type_ or "check")
    return next((name for name in names if name.strip()), unnamed)


def _add_contract(part: Part, contract: dict[str, Keys], target: str, line: ObjectLine, *, enabled: bool) -> list[str]:
    """Add the contract from rules on the values of columns; return its places in the spec."""
    if contract and not enabled:
        line.drop("it is switched off in DSS, and what a contract asks of a column cannot be")
        return []
    columns = part.setdefault("columns", {}) if contract else {}
    for name, keys in contract.items():
        columns.setdefault(name, {}).update(keys)
        line.note("it is part of the contract of the column: a value that breaks it fails the step that reads the rows")
    return [f"{target}.columns.{name}" for name in contract]


def _add_stub(checks: dict[str, Any], one: JsonObject, label: str, target: str, line: ObjectLine) -> str:
    """Add a disabled check that names the function to be written in place of its code."""
    one.read_whole()
    line.leave_out("it is Python code, which is not imported: write the function, and switch the check on")
    name = make_name(label, checks, "check")
    part = Part(one.place, {"kind": "python", "active": False, "function": f"{make_identifier(label).lower()}:check"})
    part.add_todo(str(line.reason))
    checks[name] = part
    return f"{target}.checks.{name}"


def _translate_check(
    one: JsonObject, type_: str, scope: MetricScope, part: Part, line: ObjectLine, task: str
) -> list[tuple[str, Keys]]:
    """Return the checks that a check becomes, as pairs of name suffix and keys; none if it is left out."""
    translate = _KINDS.get(type_)
    if translate is None:
        if type_ != "python":
            line.leave_out(f"checks of the type {type_[:60] or '(none)'} have no counterpart here")
        return []
    id_ = one.get_text("metricId")
    metric = translate_metric(id_, scope)
    body = translate(one, line)
    if not body:
        return []
    if metric is None and id_.startswith("python:"):
        metric = _declare_python_metric(part, id_, scope, one.place, line)
    if metric is None:
        line.leave_out(_explain_metric(id_))
        return []
    if scope == "store" and (problem := _find_model_problem(metric, part, task)):
        line.leave_out(problem)
        return []
    kind = {"kind": "values"} if type_ == "valueSet" else {}
    return [("", {**kind, "metric": metric, **body})]


def _find_model_problem(metric: str, part: Part, task: str) -> str:
    """Return why a store cannot have a model metric; an empty text if it can."""
    statistic = metric.partition(".")[0]
    tasks = next((one.tasks for one in METRICS if one.scope == "store" and one.name == statistic), ())
    if not tasks or task in tasks or (part.get("model") and not task):
        return ""
    if not part.get("model"):
        return f"{metric} needs a model, and its store has none in the project"
    return f"{metric} does not exist for the task of the model, {task}"


def _declare_python_metric(part: Part, id_: str, scope: MetricScope, place: str, line: ObjectLine) -> str:
    """Declare the metric of a Python probe, `python:KEY:PROBE`, with a function to be written; return its name."""
    key, _, probe = id_.removeprefix("python:").partition(":")
    name = make_name(key, (), "metric")
    if name.partition(".")[0] in list_statistics(scope):
        name = f"my {name}"
    function = f"{make_identifier(probe or 'probe').lower()}:{make_identifier(key)}"
    metric = Part(place, {"kind": "python", "function": function})
    metric.add_todo(f"write this function: in DSS it is code of the probe {probe[:60] or '(unnamed)'}")
    part.setdefault("metrics", {}).setdefault(name, metric)
    line.note(f"TODO write the function {function}, which computes its metric: Python code is not imported")
    return name


def _explain_metric(id_: str) -> str:
    if id_.startswith("sql_query:"):
        return "its metric is a query: declare a dataset of kind: query, and a check of its column"
    if id_.startswith("reporting:"):
        return "how long a build takes is not a metric: give the step or scenario a timeout:"
    return f"the metric {id_[:80] or '(none)'} has no counterpart here"


def _read_range(one: JsonObject, line: ObjectLine) -> Keys:
    return dict(read_bounds(one, line))


def _read_values(one: JsonObject, line: ObjectLine) -> Keys:
    values = one.get_texts("values")
    if not values:
        line.leave_out("its set of values is empty, so that no value is allowed, also in DSS")
        return {}
    numbers = [number for value in values if not isinstance(number := read_scalar(value), str)]
    if len(numbers) < len(values):
        line.note("texts of its set are left out: a metric is a number")
    if not numbers:
        line.leave_out("its set of values has no number, and a metric is a number")
        return {}
    return {"allowed": numbers}


_KINDS: dict[str, Callable[[JsonObject, ObjectLine], Keys]] = {"numericRange": _read_range, "valueSet": _read_values}
