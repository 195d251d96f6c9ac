"""Find mistakes in a project's scenarios, and report each with its effect in DSS."""

import re
from collections.abc import Iterator

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.scenarios.step_kinds import read_variable_values
from engine.spec.conditions import name_step_variable
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.secret_texts import may_be_secret
from engine.spec.variables.references import find_references

_FOLDERS = {"DATASET": "datasets", "SAVED_MODEL": "saved_models", "MODEL_EVALUATION_STORE": "model_evaluation_stores"}
_LISTS = ("builds", "checks", "computes", "clears")
_DSS_NAMES = frozenset(
    {
        *MESSAGE_NAMES,
        *("scenarioName", "scenarioId", "projectKey", "outcome", "triggerName", "triggerType", "duration", "startTime"),
        *("scenarioRunURL", "scenarioRunId", "allEventsSummary", "allEventsSummaryURL", "warningsEventsSummary"),
        *("errorsEventsSummary", "firstFailedJobId", "firstFailedJobName", "logTail", "dssURL", "date", "nodeId"),
    }
)
"""Variables that DSS itself provides to a message."""


def find_scenario_mistakes(state: ImportState) -> None:
    """Report the mistakes in the scenarios of a project."""
    scenarios = {
        path.removeprefix("scenarios/").removesuffix(".json"): found
        for path, found in state.objects.items()
        if path.startswith("scenarios/")
    }
    for scenario in scenarios.values():
        _check_scenario(state, scenario, scenarios)
    _check_loops(state, scenarios)


def _list_steps(scenario: JsonObject) -> list[JsonObject]:
    return scenario.get_object("params").get_objects("steps")


def _check_scenario(state: ImportState, scenario: JsonObject, scenarios: dict[str, JsonObject]) -> None:
    steps = _list_steps(scenario)
    report = state.report.add_mistake
    _check_step_names(state, scenario, steps)
    set_by_steps = {name for step in steps for name in _list_set_names(step)}
    for step in steps:
        params = step.get_object("params")
        if _is_on(step) and step.get_text("type") == "build_flowitem" and not params.get_objects("builds"):
            report(step.place, "it builds nothing: its list is empty")
        if _is_on(step) and step.get_text("type") == "check_dataset":
            _check_checked_items(state, step, params)
        for key in _LISTS:
            for item in params.get_objects(key):
                _check_item(state, item)
        if step.get_text("type") == "run_scenario" and _is_missing_scenario(state, params, scenarios):
            report(params.place, f"it runs the scenario {params.get_text('scenarioId')[:60]}, which does not exist")
        _check_step_condition(state, step)
        _check_message(state, params.get_object("messaging"), set_by_steps, active=_is_on(step))
    for trigger in scenario.get_objects("triggers"):
        params = trigger.get_object("params")
        for item in params.get_objects("watches"):
            _check_item(state, item)
        if trigger.get_text("type") == "follow_scenariorun" and _is_missing_scenario(state, params, scenarios):
            other = params.get_text("scenarioId")[:60]
            report(trigger.place, f"it waits for the scenario {other}, which does not exist: it starts nothing")
    triggers = scenario.get_objects("triggers")
    started = any(one.get_flag("active", default=True) for one in triggers)
    if triggers and not started and scenario.get_flag("active", default=False):
        report(scenario.place, "the scenario is switched on, but all of its triggers are switched off: none starts it")
    for reporter in scenario.get_objects("reporters"):
        _check_reporter(state, reporter, steps, set_by_steps)


def _is_on(step: JsonObject) -> bool:
    return step.get_flag("enabled", default=True) and step.get_text("runConditionType") != "DISABLED"


def _check_step_names(state: ImportState, scenario: JsonObject, steps: list[JsonObject]) -> None:
    """Report steps with the same name if a condition refers to one of them."""
    conditions = " ".join(
        [
            *(one.get_text("runConditionExpression") for one in steps),
            *(one.get_text("runCondition") for one in scenario.get_objects("reporters")),
        ]
    )
    places: dict[str, list[JsonObject]] = {}
    for step in steps:
        if name := step.get_text("name"):
            places.setdefault(name_step_variable(name), []).append(step)
    for variable, alike in places.items():
        if len(alike) > 1:
            asked = re.search(rf"\b{re.escape(variable)}\b", conditions)
            what = (
                f"a condition asks for {variable}, which is that of the one that ran last"
                if asked
                else (f"a condition could not tell them apart, since both are {variable}")
            )
            others = ", ".join(one.path for one in alike[:-1])
            state.report.add_mistake(
                alike[-1].place,
                f"it has the name of an earlier step, {alike[-1].get_text('name')[:60]!r} ({others}): {what}",
            )


def _check_step_condition(state: ImportState, step: JsonObject) -> None:
    when, formula = step.get_text("runConditionType"), step.get_text("runConditionExpression").strip()
    if formula and when not in ("RUN_CONDITIONALLY", ""):
        state.report.add_mistake(
            f"{step.place}.runConditionExpression",
            f"the condition {formula[:100]!r} has no effect: the step runs by {when[:40]}",
        )
    if when == "RUN_CONDITIONALLY" and not formula:
        state.report.add_mistake(f"{step.place}.runConditionExpression", "the step runs by a condition, which is empty")
    if when == "RUN_IF_STATUS_MATCH" and step.get_value("runConditionStatuses") == []:
        state.report.add_mistake(f"{step.place}.runConditionStatuses", "it runs at no outcome, so it never runs")


def _check_item(state: ImportState, item: JsonObject) -> None:
    """Report a dataset, model or store that does not exist; those of other projects are unknown here."""
    folder = _FOLDERS.get(item.get_text("type"))
    id_ = item.get_text("itemId").removeprefix(f"{state.names.key}.")
    own = item.get_text("projectKey") in ("", state.names.key) and "." not in id_
    if folder and id_ and own and not state.files.has_content(f"{folder}/{id_}.json"):
        kind = item.get_text("type").lower().replace("_", " ")
        state.report.add_mistake(item.place, f"the {kind} {id_[:60]} does not exist in the project")


def _check_checked_items(state: ImportState, step: JsonObject, params: JsonObject) -> None:
    """Report a step that checks nothing: its list is empty, or no check of its targets is enabled."""
    items = params.get_objects("checks")
    if not items:
        state.report.add_mistake(step.place, "it checks nothing: its list is empty")
    for item in items:
        found = _find_object(state, item)
        if found is not None and not _list_active_checks(found):
            state.report.add_mistake(item.place, f"{item.get_text('itemId')[:60]} has no check that is switched on")


def _find_object(state: ImportState, item: JsonObject) -> JsonObject | None:
    folder, id_ = _FOLDERS.get(item.get_text("type"), ""), item.get_text("itemId")
    return state.objects.get(f"{folder}/{id_}.json")


def _list_active_checks(found: JsonObject) -> list[JsonObject]:
    checks = found.get_object("metricsChecks").get_objects("checks")
    return [one for one in checks if one.get_flag("enabled", default=True)]


def _is_missing_scenario(state: ImportState, params: JsonObject, scenarios: dict[str, JsonObject]) -> bool:
    id_ = params.get_text("scenarioId")
    return params.get_text("projectKey") in ("", state.names.key) and bool(id_) and id_ not in scenarios


def _check_reporter(state: ImportState, reporter: JsonObject, steps: list[JsonObject], set_by_steps: set[str]) -> None:
    formula, enabled = (
        reporter.get_text("runCondition").strip(),
        reporter.get_flag("runConditionEnabled", default=False),
    )
    active = reporter.get_flag("active", default=True)
    if formula and not enabled and active:
        state.report.add_mistake(
            f"{reporter.place}.runCondition",
            f"the condition {formula[:100]!r} is written, but not switched on: it sends at every run",
        )
    if enabled and active:
        for name, step in ((one.get_text("name"), one) for one in steps):
            asked = re.fullmatch(rf"{re.escape(name_step_variable(name))}\s*==\s*['\"]\s*(\w+)\s*['\"]", formula)
            if asked and (why := _explain_never(state, step, asked[1])):
                state.report.add_mistake(f"{reporter.place}.runCondition", f"it never sends: {why}")
    _check_message(state, reporter.get_object("messaging"), set_by_steps, active=active)


def _explain_never(state: ImportState, step: JsonObject, outcome: str) -> str:
    """Return why a step can never have an outcome; an empty text if it can."""
    name, params = step.get_text("name")[:60], step.get_object("params")
    if not _is_on(step):
        return f"the step {name!r} is switched off"
    strict = params.get_text("handleWarningsAs") == "FAILED" or params.get_flag("warningsAsErrors", default=False)
    if outcome == "WARNING" and strict:
        return f"a warning of the step {name!r} counts as FAILED"
    if outcome != "WARNING" or step.get_text("type") != "check_dataset":
        return ""
    objects = [_find_object(state, item) for item in params.get_objects("checks")]
    if not objects or any(one is None for one in objects):
        return ""
    checks = [check for one in objects if one is not None for check in _list_active_checks(one)]
    if any(check.get_text("type") != "numericRange" and "InRange" not in check.get_text("type") for check in checks):
        return ""
    soft = [
        key
        for check in checks
        for key in ("softMinimum", "softMaximum")
        if check.get_flag(f"{key}Enabled", default=False)
    ]
    return "" if soft else f"no check of the step {name!r} has a soft bound, so that none gives a warning"


def _check_message(state: ImportState, messaging: JsonObject, set_by_steps: set[str], *, active: bool) -> None:
    settings = messaging.get_object("configuration")
    if not active or not messaging.get_text("type"):
        return
    recipients = [settings.get_value(key) for key in ("recipient", "ccRecipient", "bccRecipient")]
    if messaging.get_text("type") == "mail-scenario" and all(one in (None, "", [], "[]", {}) for one in recipients):
        state.report.add_mistake(settings.place, "it has no recipient: it sends to nobody")
    if _shows_address(settings):
        state.report.add_mistake(
            settings.place,
            "the address that it sends to may hold a key, and lies in the file in the clear: change the key, and write "
            "it as a secret",
        )
    texts = [settings.get_text("subject")]
    if settings.get_text("messageSource") != "TEMPLATE_FILE":
        texts.append(settings.get_text("message"))
    known = {*_DSS_NAMES, *state.names.variables, *set_by_steps}
    for text in texts:
        for reference in find_references(text):
            name = reference.text[2:-1].strip()
            if (
                name.isidentifier()
                and name not in known
                and not name.startswith(("stepOutcome_", "stepResult_", "stepOutput_"))
            ):
                state.report.add_mistake(
                    settings.place, f"${{{name[:60]}}} is not a variable of the project: DSS does not send the message"
                )


def _shows_address(settings: JsonObject) -> bool:
    """Return whether the address or a header of a message may contain a key."""
    address = settings.get_text("webhookUrl", "url")
    keyed = "?" in address or re.search(r"/(services|webhook|hooks?)/", address) or may_be_secret("", address)
    headers = [(one.get_text("key", "name"), one.get_text("value")) for one in settings.get_objects("headers")]
    return bool(keyed or any(name.lower() == "authorization" or may_be_secret(name, text) for name, text in headers))


def _list_set_names(step: JsonObject) -> Iterator[str]:
    """Yield the variables that a step sets."""
    params = step.get_object("params")
    if step.get_text("type") in ("define_vars", "set_project_vars", "set_global_vars"):
        yield from read_variable_values(params)[0]
    if name := params.get_text("targetVariable"):
        yield name


def _check_loops(state: ImportState, scenarios: dict[str, JsonObject]) -> None:
    """Report scenarios that start themselves: they run each other, or wait for the end of scenarios that they start."""
    runs: dict[str, set[str]] = {}
    waits: list[tuple[str, str, JsonObject]] = []
    for id_, scenario in scenarios.items():
        running = (one for one in _list_steps(scenario) if one.get_text("type") == "run_scenario" and _is_on(one))
        runs[id_] = {one.get_object("params").get_text("scenarioId") for one in running} & set(scenarios)
        for trigger in scenario.get_objects("triggers"):
            followed = trigger.get_object("params").get_text("scenarioId")
            if trigger.get_text("type") == "follow_scenariorun" and followed in scenarios:
                waits.append((id_, followed, trigger))
    causes = {id_: set(children) for id_, children in runs.items()}
    for id_, followed, _ in waits:
        causes[followed].add(id_)
    for id_, followed, trigger in waits:
        if followed == id_ or followed in _find_reached(id_, causes):
            name = scenarios[followed].get_text("name") or followed
            on = trigger.get_flag("active", default=True) and scenarios[id_].get_flag("active", default=False)
            when = "it starts itself again and again" if on else "switched on, it would start itself again and again"
            how = "which it itself runs" if followed in runs[id_] else "which its own runs bring about"
            state.report.add_mistake(trigger.place, f"the scenario waits for the end of {name[:60]!r}, {how}: {when}")
    for id_ in runs:
        if id_ in _find_reached(id_, runs):
            state.report.add_mistake(scenarios[id_].place, "it runs itself, or a scenario that runs it: it never ends")


def _find_reached(start: str, runs: dict[str, set[str]]) -> set[str]:
    """Return the scenarios that a scenario runs, directly or indirectly."""
    reached: set[str] = set()
    left = set(runs.get(start, ()))
    while left:
        one = left.pop()
        if one not in reached:
            reached.add(one)
            left |= runs.get(one, set())
    return reached
