"""Rules of when reporters send: keys that must fit together, and whether failed runs are reported.

A reporter for warnings only does not send after failures.
"""

import re
from collections.abc import Iterator

from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions import ALWAYS, ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.dataset_inputs import list_read_datasets
from engine.spec.diagnostics import Findings
from engine.spec.resources.checks import Check, PythonCheck, TypicalCheck, ValuesCheck, select_active_checks
from engine.spec.resources.scenarios import (
    AnyStep,
    BuildStep,
    Reporter,
    RunChecksStep,
    RunScenarioStep,
    Scenario,
    SendMessageStep,
)
from engine.spec.rules.draft import Draft

OwnedCheck = tuple[str, str, CheckOutcome]
"""The owner of a check, such as `dataset 'orders'`, the name of the check, and its outcome that fails a step."""

Cause = OwnedCheck | None
"""The check that makes a step FAILED; None if its data are missing or cannot be read."""


def warn_about_silent_failures(draft: Draft, findings: Findings) -> None:
    """Warn of a step that a check or missing data can make FAILED, if no reporter of the scenario sends then.

    A scenario whose reporters are all inactive, or that has none, is silent on purpose. So is a failure for missing
    data if no reporter sends for a warning either: a message about a success is not an alert.
    """
    for name, scenario in draft.spec.scenarios.items():
        if not (reporters := _list_reporters(scenario)):
            continue
        for step, cause, facts in _find_silent_failures(scenario, draft, ()):
            number, reporter = next(iter(reporters.items()))
            at = draft.value_position("scenarios", name, "reporters", number, "run_condition")
            message = f"no reporter sends a message when the step {step.name!r} is FAILED"
            because = "because its data are missing or cannot be read"
            if cause:
                owner, check, bad = cause
                because = f"because the check {check!r} of the {owner} is {bad}"
            help_ = f"write {_suggest_condition(reporter, step, facts)}"
            findings.warning(at, "silent-failure", f"{message} {because}", help_)
            break


def check_changes(draft: Draft, findings: Findings) -> None:
    """Check that reporters that send on a change, or not too often, do so at the end of the run, and of something."""
    for scenario, spec in draft.spec.scenarios.items():
        for number, reporter in enumerate(spec.reporters):
            path = ("scenarios", scenario, "reporters", number)
            given = [key for key in ("only_on_change", "recovery", "cooldown") if draft.find_node(*path, key)]
            if given and reporter.at == "start":
                at = draft.key_position(*path, given[0])
                help_ = f"remove {given[0]}, or write at: end"
                findings.error(at, "on-change", f"{given[0]} is for messages at the end of a run", help_)
            elif reporter.recovery and not reporter.only_on_change:
                at = draft.key_position(*path, "recovery")
                findings.error(at, "on-change", "recovery needs only_on_change", "add only_on_change: true")
            elif reporter.recovery and reporter.run_condition is None:
                at = draft.key_position(*path, "recovery")
                message = "recovery needs a run_condition that can become false"
                help_ = "remove recovery: without a run_condition, a return to SUCCESS is reported like other changes"
                findings.error(at, "on-change", message, help_)


def _list_reporters(scenario: Scenario) -> dict[int, Reporter]:
    """Return the reporters that may send at the end of a run, by their number in the list."""
    return {n: one for n, one in enumerate(scenario.reporters) if one.active and one.at == "end"}


def _find_silent_failures(
    scenario: Scenario, draft: Draft, outer: tuple[Scenario, ...]
) -> Iterator[tuple[AnyStep, Cause, ConditionFacts]]:
    """Yield each step that can be FAILED while no reporter sends, with the cause and the facts of that run."""
    for place, step in enumerate(scenario.steps):
        if step.active and step.on_failure == "fail":
            later = [one for one in scenario.steps[place + 1 :] if isinstance(one, SendMessageStep) and one.active]
            senders: list[Reporter | SendMessageStep] = [
                *_list_reporters(scenario).values(),
                *(one for one in later if one.run_condition),
            ]
            for cause in dict.fromkeys(_list_causes(step, draft, (*outer, scenario))):
                facts = _suppose_outcome(scenario, step, Outcome.FAILED, cause, draft)
                if not any(_sends(sender.run_condition, facts) for sender in senders):
                    yield step, cause, facts


def _list_causes(step: AnyStep, draft: Draft, outer: tuple[Scenario, ...]) -> Iterator[Cause]:
    """Yield what makes a step FAILED; for another scenario, what its own reporters do not report."""
    if isinstance(step, RunScenarioStep):
        child = draft.spec.scenarios.get(step.scenario)
        if child and child not in outer:  # a scenario that runs itself is an error of its own
            yield from (cause for _, cause, _ in _find_silent_failures(child, draft, outer))
        return
    for owner, checks in _list_applied_checks(step, draft):
        yield from ((owner, name, CheckOutcome.ERROR) for name, check in checks.items() if _can_fail(check))
        if step.on_warning == "fail":
            yield from ((owner, name, CheckOutcome.WARNING) for name, check in checks.items() if _can_warn(check))
    if isinstance(step, BuildStep) and any(_reports_warnings(one, draft) for one in outer):
        yield None


def _reports_warnings(scenario: Scenario, draft: Draft) -> bool:
    """Return whether a reporter sends if a check makes a step WARNING, and does not if all is well."""
    reporters = _list_reporters(scenario).values()
    for step in scenario.steps:
        well = _suppose_outcome(scenario, step, Outcome.SUCCESS, None, draft)
        alerts = [one.run_condition for one in reporters if not _sends(one.run_condition, well)]
        causes: list[Cause] = (
            [None]
            if isinstance(step, RunScenarioStep)
            else [
                (owner, name, CheckOutcome.WARNING)
                for owner, checks in _list_applied_checks(step, draft)
                for name, check in checks.items()
                if _can_warn(check)
            ]
        )
        warned = [_suppose_outcome(scenario, step, Outcome.WARNING, cause, draft) for cause in causes]
        if any(_sends(condition, facts) for condition in alerts for facts in warned):
            return True
    return False


def _list_applied_checks(step: AnyStep, draft: Draft) -> Iterator[tuple[str, dict[str, Check]]]:
    """Yield the checks that a step applies, by owner: a build applies those of each dataset that it reads."""
    for target in step.targets if isinstance(step, BuildStep | RunChecksStep) else ():
        store = draft.spec.evaluation_stores.get(target)
        if store and isinstance(step, RunChecksStep):
            yield f"evaluation store {target!r}", select_active_checks(store.checks)
            continue
        for name in list_read_datasets(target, draft.spec):
            yield f"dataset {name!r}", select_active_checks(draft.spec.datasets[name].checks)


def _can_fail(check: Check) -> bool:
    """Return whether a value of the metric, or its absence, makes the check ERROR."""
    if isinstance(check, PythonCheck | ValuesCheck):
        return True
    if isinstance(check, TypicalCheck):
        return check.when_empty == "error" or check.factor is not None
    ranges = (check, *check.except_.values())
    return check.when_empty == "error" or any(one.min is not None or one.max is not None for one in ranges)


def _can_warn(check: Check) -> bool:
    """Return whether a value of the metric makes the check WARNING."""
    if isinstance(check, PythonCheck):
        return True
    if isinstance(check, ValuesCheck):
        return check.soft_allowed is not None
    if isinstance(check, TypicalCheck):
        return check.soft_factor is not None
    return any(one.soft_min is not None or one.soft_max is not None for one in (check, *check.except_.values()))


def _suppose_outcome(
    scenario: Scenario, supposed: AnyStep, outcome: Outcome, cause: Cause, draft: Draft
) -> ConditionFacts:
    """Return the facts of a run in which this step ends so for this cause, and all is well before it."""
    place = scenario.steps.index(supposed)
    steps = {
        step.name: outcome
        if number == place
        else Outcome.SUCCESS
        if step.active and (number < place or outcome is not Outcome.FAILED or step.run_condition == ALWAYS)
        else Outcome.SKIPPED
        for number, step in enumerate(scenario.steps)
    }
    before = scenario.steps[: place + 1 if cause else place]
    well = (name for step in before for _, checks in _list_applied_checks(step, draft) for name in checks)
    return ConditionFacts(
        outcome=outcome,
        steps=steps,
        checks={**dict.fromkeys(well, CheckOutcome.OK), **({cause[1]: cause[2]} if cause else {})},
        variables=draft.variables.values,
    )


def _sends(condition: str | None, facts: ConditionFacts) -> bool:
    """Return whether a reporter sends; assume so if that is undecided before the run, such as for a metric."""
    if condition is None:
        return True
    try:
        return evaluate_condition(condition, facts)
    except UndecidedCondition:
        return True


def _suggest_condition(reporter: Reporter, step: AnyStep, facts: ConditionFacts) -> str:
    """Return the condition of a reporter extended by failures, if it sends then, or a general condition."""

    def widen(found: re.Match[str]) -> str:
        return f"{found[1]} in ['WARNING', '{'ERROR' if found[1].startswith('checks') else 'FAILED'}']"

    condition = reporter.run_condition or ""
    widened = re.sub(r"""(checks\[(?:'[^']*'|"[^"]*")\]\.outcome|\S+) == 'WARNING'""", widen, condition)
    if widened != condition and _sends(widened, facts):
        return widened
    return f"outcome in ['WARNING', 'FAILED'], or add a reporter for {step.name!r}"
