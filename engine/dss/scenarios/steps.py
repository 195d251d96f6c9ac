"""Import the steps of scenarios: their order, their conditions, and the effect of their failures."""

from collections.abc import Sequence
from typing import Any

from engine.dss.import_state import ImportState, may_hold_password
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_identifier, make_name
from engine.dss.report import ObjectLine
from engine.dss.scenarios.conditions import StepNames, translate_formula
from engine.dss.scenarios.reporters import import_message
from engine.dss.scenarios.step_kinds import translate_step
from engine.dss.spec_writing import Part
from engine.spec.conditions import ALWAYS, name_step_variable

Keys = dict[str, Any]
DEFAULT_STATUSES = {"SUCCESS", "WARNING"}

_OUTCOMES = ("SUCCESS", "WARNING", "FAILED", "ABORTED")


def import_steps(state: ImportState, scenario: JsonObject, target: str) -> tuple[list[Part], StepNames]:
    """Return the steps of a scenario, and in order their names in DSS and in the spec.

    A step without a counterpart becomes a disabled step; an unnecessary one is left out.

    Parameters
    ----------
    target
        The place of the scenario in the spec, for the report.
    """
    found: list[Part] = []
    names: list[tuple[str, str]] = []
    for one in scenario.get_object("params").get_objects("steps"):
        type_ = one.get_text("type")
        label = one.get_text("name") or type_ or "step"
        line = state.report.add("step", label, one.place)
        part = Part(one.place)
        comment = one.get_text("comment")
        if may_hold_password(comment):
            line.note("its comment may contain a password, and is not imported")
        elif comment:
            part.comments += [text for text in comment.splitlines()[:20] if text.strip()]
        translated = _translate_step(state, one, part, type_, names, line)
        if line.needless is not None:
            one.read_whole()
            names.append((label, ""))
            continue
        if not translated:
            translated = [build_stub(part, label, line)]
        for keys in translated:
            name = _name_step(label, [new for _, new in names if new])
            if name != label:
                line.note(f"renamed {name}, because another step has this name in conditions or it is not legal")
            step = Part("", {"name": name, **keys})
            step.comments = list(part.comments)
            _describe_flow(state, one, step, names, line)
            names.append((label, name))
            found.append(step)
            line.target = f"{target}.steps.{name}"
    return found, names


def build_stub(part: Part, label: str, line: ObjectLine) -> Keys:
    """Return the keys of a disabled step that replaces a step that is left out."""
    part.add_todo(f"{line.reason}; if it is needed, write the function and switch it on")
    return {"kind": "python", "active": False, "function": f"{make_identifier(label).lower()}:run"}


def _name_step(label: str, taken: Sequence[str]) -> str:
    """Return a name that no other step has, even in the form used in conditions."""
    name = make_name(label, (), "step")
    used = {name_step_variable(one) for one in taken}
    numbered = (name, *(f"{name} {n}" for n in range(2, len(used) + 3)))
    return next(one for one in numbered if name_step_variable(one) not in used)


def _describe_flow(state: ImportState, one: JsonObject, part: Part, before: StepNames, line: ObjectLine) -> None:
    """Import when a step runs, how often it is tried, and the effect of a failure or a warning."""
    params = one.get_object("params")
    when = one.get_text("runConditionType")
    if when == "DISABLED" or not one.get_flag("enabled", default=True):
        part["active"] = False
        line.note("it is switched off, as in DSS")
    formula = one.get_text("runConditionExpression")
    statuses = set(one.get_texts("runConditionStatuses"))
    if when == "RUN_ALWAYS":
        part["run_condition"] = ALWAYS
    elif when == "RUN_IF_STATUS_MATCH" and "runConditionStatuses" in one.values and not statuses:
        part["active"] = False
        line.note("it is switched off: it runs at no outcome of the steps before it, also in DSS")
    elif when == "RUN_IF_STATUS_MATCH":
        if statuses != DEFAULT_STATUSES and (known := [word for word in _OUTCOMES if word in statuses]):
            listed = ", ".join(f"'{word}'" for word in known)
            part["run_condition"] = f"outcome in [{listed}]"
    elif when == "RUN_CONDITIONALLY":
        _translate_condition(state, one, part, formula, before, line)
    elif when not in ("", "DISABLED"):
        part["active"] = False
        line.note(f"TODO it is switched off: the kind of condition {when[:40]} is not known")
    count, delay = one.get_whole("maxRetriesOnFail"), one.get_whole("delayBetweenRetries") or 0
    if count:
        if 1 <= count <= 100:
            part["retries"] = {"count": count, "delay": f"{delay}s" if 0 < delay < 10**8 else None}
        else:
            line.note("its number of retries is not between 1 and 100: there are none")
    fails = params.get_text("handleWarningsAs") == "FAILED" or params.get_flag("warningsAsErrors", default=False)
    if params.get_flag("proceedOnFailure", default=False):
        part["on_failure"] = "warn"
        if fails:
            line.note("a warning would count as a failure, which is only a warning here: so it stays one")
    elif fails:
        part["on_warning"] = "fail"
    if one.get_flag("resetScenarioStatus", default=False):
        line.note("it resets the outcome of the run in DSS: that is not done here")


def _translate_condition(
    state: ImportState, one: JsonObject, part: Part, formula: str, before: StepNames, line: ObjectLine
) -> None:
    found = translate_formula(formula, before, state.names.variables)
    for mistake in found.mistakes:
        state.report.add_mistake(f"{one.place}.runConditionExpression", mistake)
    if found.problem:
        part["active"] = False
        part.add_todo(f"write its condition and switch it on: {formula[:200]}")
        line.note(f"TODO it is switched off, because its condition cannot be translated: {found.problem}")
    elif found.never:
        part["active"] = False
        part.add_todo(f"its condition never holds: write another and switch it on: {formula[:200]}")
        line.note("it is switched off, because its condition never holds, also in DSS")
    else:
        part["run_condition"] = found.condition
        if found.condition == ALWAYS:
            line.note(f"its condition always holds, also in DSS: {formula[:200]}")


def _translate_step(
    state: ImportState, one: JsonObject, part: Part, type_: str, before: StepNames, line: ObjectLine
) -> list[Keys]:
    params = one.get_object("params")
    if type_ != "send_report":
        return translate_step(state, type_, params, line)
    content = import_message(state, part, params.get_object("messaging"), before, line)
    if params.get_flag("failOnMessageNotSent", default=True):
        line.note("a message that is not sent at once does not fail the step here: it is sent later")
    return [] if content is None else [{"kind": "send_message", **content}]
