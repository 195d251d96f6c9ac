"""The view of a run that has just ended, from its result: unlike the store, the result has the checks per step."""

from engine.scenarios.result import RunResult, StepResult
from engine.views.checks import describe_checks, tally_checks
from engine.views.run_view import DeliveryView, RunView, StepView, name_iteration


def describe_run_result(run: RunResult) -> RunView:
    """Return the view of a run, with those of its child runs."""
    return RunView(
        id=run.id,
        scenario=run.scenario,
        state=str(run.outcome) if run.outcome else "RUNNING",
        started=run.started,
        ended=run.ended,
        trigger=run.trigger,
        who=run.who,
        parent=run.parent,
        variables=run.variables,
        as_of=run.as_of,
        steps=tuple(map(_describe_step, run.steps)),
        checks=describe_checks(check for step in run.steps for check in step.checks),
        deliveries=tuple(DeliveryView(one.reporter, one.channel, one.state, one.details) for one in run.deliveries),
    )


def _describe_step(step: StepResult) -> StepView:
    return StepView(
        name=step.name,
        kind=step.kind,
        outcome=step.outcome,
        seconds=(step.ended - step.started).total_seconds() if step.started and step.ended else None,
        reason=step.reason,
        iteration=name_iteration(step.turn),
        started=step.started,
        ended=step.ended,
        checks=tally_checks(step.checks),
        run=None if step.run is None else describe_run_result(step.run),
    )
