"""Rules of run conditions and messages: the names that they may use at their places in the spec."""

from engine.formatting.hints import did_you_mean
from engine.spec import conditions
from engine.spec.conditions import ConditionScope, name_step_variable
from engine.spec.diagnostics import Findings
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.segments import SegmentNames
from engine.spec.validation.validator import SpecText
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES, SAMPLE_FIRE_VALUES
from engine.spec.variables.references import SHIFT_HELP, VariableReference, find_references

STARTERS = ("manual", "watch")
"""The names in conditions and messages of starters of runs besides triggers: a user, or `engine watch`."""

CHILD_PREFIX = "scenario "
"""The prefix of a starter's name if it is a run of another scenario."""

MESSAGE_NAMES = (
    "scenarioName",
    "projectKey",
    "outcome",
    "triggerName",
    "scenarioRunURL",
    "scenarioRunId",
    "warningsEventsSummary",
    "errorsEventsSummary",
    "checksSummary",
    "changesSummary",
    "startTime",
    "duration",
)


def check_run_conditions(draft: Draft, findings: Findings) -> None:
    """Check that each condition is legal and uses only names that have a value when it is evaluated."""
    for text in draft.texts_read_as("condition"):
        scope = _build_scope(draft, text)
        for problem in conditions.find_condition_problems(text.value, scope):
            report_problem(findings, text, problem)


def check_message_names(draft: Draft, findings: Findings) -> None:
    """Check that each `${…}` of a message has a value when the message is sent."""
    for text in draft.texts_read_as("message"):
        scope = _build_scope(draft, text)
        for reference in find_references(text.node.text):
            problem = _find_name_problem(reference, scope, draft, text)
            if problem:
                at = text.node.position_of(reference.offset, reference.length)
                findings.error(at, problem.code, problem.message, problem.help)
            elif reference.parts == ("scenarioRunURL",) and draft.find_node("server") is None:
                at = text.node.position_of(reference.offset, reference.length)
                message = "scenarioRunURL needs a server: without one, the message says that it has no value"
                findings.warning(at, "no-server", message, "add server: {url: …}")


def _find_name_problem(
    reference: VariableReference, scope: ConditionScope, draft: Draft, text: SpecText
) -> Problem | None:
    steps = {name_step_variable(step): step for step in scope.steps}
    single = [*MESSAGE_NAMES, "trigger", *MOMENT_NAMES, *FIRE_NAMES, *draft.variables.declarations, *steps]
    known = [
        *single,
        *(f"steps['{s}'].outcome" for s in scope.steps),
        *(f"checks['{c}'].outcome" for c in scope.checks),
    ]
    match reference.parts:
        case ():
            help_ = "write ${name} or ${checks['any text'].outcome}; $${ stands for ${ itself"
            return Problem(0, 0, "malformed-reference", f"{reference.text[:60]} is not a valid ${{…}}", help_)
        case (name,) if name in single:
            draft.variables.used_names.add(name)
            return _find_shift_problem(reference, draft)
        case _ if reference.days:
            return _find_shift_problem(reference, draft)
        case ("secret" | "env", *_):
            return Problem(
                0, 0, "secret-here", "a message cannot contain secrets or environment variables", "remove it"
            )
        case ("steps", step, "outcome") if step in scope.steps:
            return None
        case ("checks", check, "outcome") if check in scope.checks:
            return None
        case ("metrics", metric):
            found = [p.resolve(metric) for p in scope.metrics]
            problems = [f for f in found if isinstance(f, Problem)]
            return problems[0] if found and len(problems) == len(found) else None
    later_help = "write at: end, so that it is sent at the end"
    if text.path[2] == "steps":
        later_help = "use an earlier step, or move this step behind that one"
    later = {name_step_variable(step): step for step in scope.later}
    if reference.parts[0] in later or (reference.parts[0] == "steps" and reference.parts[1] in scope.later):
        return Problem(
            0,
            0,
            "message-name",
            "this step has not run yet when the message is sent",
            later_help,
        )
    name = reference.text[2:-1]
    help_ = did_you_mean(name, known, "the names here are")
    return Problem(0, 0, "message-name", f'unknown name "{name[:60]}" in a message', help_)


def _find_shift_problem(reference: VariableReference, draft: Draft) -> Problem | None:
    """Return the problem of a reference that adds days to what is not a date."""
    names = {**draft.variables.names, **SAMPLE_FIRE_VALUES}
    try:
        reference.add_days(names.get(reference.parts[0]) if len(reference.parts) == 1 else None)
    except ValueError as problem:
        return Problem(0, 0, "variable-value", str(problem), SHIFT_HELP)
    return None


def _build_scope(draft: Draft, text: SpecText) -> ConditionScope:
    """Return the names that a text of a scenario may use.

    A step can use the steps before it, a reporter at the start none, a reporter at the end all.
    """
    _, scenario, part, index, *_ = text.path
    names = [
        str(draft.scalar_text("scenarios", scenario, "steps", i, "name")) for i in range(_count_steps(draft, scenario))
    ]
    over = len(names)
    if part == "steps":
        over = int(index)
    elif draft.scalar_text("scenarios", scenario, part, index, "at") == "start":
        over = 0
    owners = _find_metric_owners(draft, str(scenario), set())
    checks = [check for section, owner in owners for check in draft.declared_names(section, owner, "checks")]
    places = [build_metric_owner(draft, section, owner) for section, owner in owners]
    starters = list_starters(draft, str(scenario))
    return ConditionScope(names[:over], names[over:], checks, places, draft.variables.names, starters)


def list_starters(draft: Draft, scenario: str) -> list[str]:
    """Return the names of the starters of a scenario's runs: users, engine watch, its triggers, other scenarios."""
    triggers = [
        name
        for i in range(draft.list_length("scenarios", scenario, "triggers"))
        if (name := draft.scalar_text("scenarios", scenario, "triggers", i, "name"))
    ]
    others = [name for name in draft.declared_names("scenarios") if _may_run(draft, name, scenario)]
    return [*dict.fromkeys((*STARTERS, *triggers, *(f"{CHILD_PREFIX}{name}" for name in others)))]


def _may_run(draft: Draft, scenario: str, child: str) -> bool:
    """Return whether a step of a scenario runs another one; a name with a variable may be that of any."""
    named = (
        draft.scalar_text("scenarios", scenario, "steps", i, "scenario") for i in range(_count_steps(draft, scenario))
    )
    return any(name == child or find_references(name) for name in named if name)


def _count_steps(draft: Draft, scenario: str | int) -> int:
    return draft.list_length("scenarios", scenario, "steps")


def _find_metric_owners(draft: Draft, scenario: str, seen: set[str]) -> list[tuple[str, str]]:
    """Return section and name of the resources whose metrics and checks a scenario may compute.

    These are the stores that the steps of the scenario and of its child scenarios name, and all datasets, because a
    build may read any of them.
    """
    found: dict[tuple[str, str], None] = {}
    seen.add(scenario)
    for i in range(_count_steps(draft, scenario)):
        child = draft.scalar_text("scenarios", scenario, "steps", i, "scenario")
        for target in draft.scalar_texts("scenarios", scenario, "steps", i, "target"):
            if target in draft.declared_names("evaluation_stores"):
                found["evaluation_stores", target] = None
        if child and child not in seen:
            found |= dict.fromkeys(_find_metric_owners(draft, child, seen))
    return [
        *found,
        *(("datasets", name) for name in draft.declared_names("datasets") if ("datasets", name) not in found),
    ]


def build_metric_owner(draft: Draft, section: str, owner: str) -> MetricOwner:
    """Return a dataset or a store of the draft with the properties that determine its metrics."""
    custom_metrics = frozenset(draft.declared_names(section, owner, "metrics"))
    if section == "datasets":
        return MetricOwner("dataset", custom_metrics=custom_metrics)
    challenged = draft.find_node("evaluation_stores", owner, "challenger") is not None
    estimated = draft.find_node("evaluation_stores", owner, "estimates") is not None
    return MetricOwner(
        "store", _find_model_task(draft, owner), custom_metrics, challenged, estimated, _find_segments(draft, owner)
    )


def _find_segments(draft: Draft, store: str) -> SegmentNames | None:
    """Return the segments of a store; None if it is not valid."""
    declared = draft.spec.evaluation_stores.get(store)
    return None if declared is None else SegmentNames.of_store(declared)


def _find_model_task(draft: Draft, store: str) -> str | None:
    """Return the task of a store's model; None if it has no model, "any" if the model's shape is wrong."""
    if draft.find_node("evaluation_stores", store, "model") is None:
        return None
    model = draft.model_of_store(store)
    return model.task if model else "any"
