"""Step `report`: writes an evaluation as a page or a chart."""

from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.checks import find_current_evaluation
from engine.pipeline.decision import Decision
from engine.pipeline.reports import collect_report_facts, write_report
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import ReportStep


def run(step: ReportStep, context: RunContext) -> StepResult:
    """Write the file; a dry run or a plan only describes this."""
    path = context.project.home_of("scenarios", context.log.scenario) / step.path
    context.project.check_path(path, writes=True)
    evaluation = find_current_evaluation(step.target, context)
    about = f"evaluation {evaluation.name} of {step.target}"
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=step.path)

    def execute() -> StepResult:
        if context.mode == "run":
            write_report(collect_report_facts(evaluation, context), path, context)
            context.log.info(f"{step.path}: {about}")
        return done

    action = Action(kind="write", target=step.path, because="always", reason=about)
    return Decision(action, execute, lambda: done).apply(context)
