"""Whether somebody is told when a run fails: a reporter that waits for warnings alone is silent when it is worse."""

from collections.abc import Iterator

from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.diagnostics import Findings
from engine.spec.resources.checks import Check, PythonCheck, ValuesCheck
from engine.spec.resources.scenarios import AnyStep, Reporter, RunChecksStep, Scenario
from engine.spec.rules.draft import Draft


def warn_about_silent_failures(draft: Draft, findings: Findings) -> None:
    """Warn of a check that can be ERROR, so that its run is FAILED, where no reporter of the scenario then sends.

    A scenario whose reporters are all inactive, or that has none, is silent on purpose.
    """
    for name, scenario in draft.spec.scenarios.items():
        reporters = [
            (number, reporter)
            for number, reporter in enumerate(scenario.reporters)
            if reporter.active and reporter.at == "end"
        ]
        for step, check in _list_failing_checks(scenario, draft):
            facts = _suppose_failure(scenario, step, check, draft)
            if not reporters or any(_sends(reporter, facts) for _, reporter in reporters):
                continue
            number, reporter = reporters[0]
            at = draft.value_position("scenarios", name, "reporters", number, "run_condition")
            message = f"no reporter sends when the step {step.name!r} is FAILED because its check {check!r} is ERROR"
            findings.warning(at, "silent-failure", message, f"write {_suggest_condition(reporter, step)}")
            break


def _list_failing_checks(scenario: Scenario, draft: Draft) -> Iterator[tuple[AnyStep, str]]:
    """Yield each step that applies checks, with each of them that can be ERROR by the bounds that it has."""
    for step in scenario.steps:
        if isinstance(step, RunChecksStep) and step.on_failure == "fail":
            yield from ((step, check) for check, declared in _list_checks(step, draft).items() if _can_fail(declared))


def _list_checks(step: AnyStep, draft: Draft) -> dict[str, Check]:
    """Return the checks that a step applies."""
    target = step.target if isinstance(step, RunChecksStep) else ""
    owner = draft.spec.evaluation_stores.get(target) or draft.spec.datasets.get(target)
    return owner.checks if owner else {}


def _can_fail(check: Check) -> bool:
    """Return whether a value of the metric, or its absence, makes the check ERROR."""
    if isinstance(check, PythonCheck | ValuesCheck):
        return True
    ranges = (check, *check.except_.values())
    return check.when_empty == "error" or any(one.min is not None or one.max is not None for one in ranges)


def _suppose_failure(scenario: Scenario, failed: AnyStep, check: str, draft: Draft) -> ConditionFacts:
    """Return the facts of a run in which this step is FAILED by this check, and all is well before it."""
    place = scenario.steps.index(failed)
    steps = {
        step.name: Outcome.SUCCESS if number < place else Outcome.FAILED if number == place else Outcome.SKIPPED
        for number, step in enumerate(scenario.steps)
    }
    return ConditionFacts(
        outcome=Outcome.FAILED,
        steps=steps,
        checks={**dict.fromkeys(_list_checks(failed, draft), CheckOutcome.OK), check: CheckOutcome.ERROR},
        variables=draft.variables.values,
    )


def _sends(reporter: Reporter, facts: ConditionFacts) -> bool:
    """Return whether the reporter sends; what cannot be decided before the run, such as a metric, does."""
    if reporter.run_condition is None:
        return True
    try:
        return evaluate_condition(reporter.run_condition, facts)
    except UndecidedCondition:
        return True


def _suggest_condition(reporter: Reporter, step: AnyStep) -> str:
    condition = reporter.run_condition or ""
    widened = condition.replace("== 'WARNING'", "in ['WARNING', 'FAILED']")
    return widened if widened != condition else f"outcome in ['WARNING', 'FAILED'], or add a reporter for {step.name!r}"
