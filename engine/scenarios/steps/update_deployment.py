"""Step `update_deployment`: deploys a bundle; a deployment that is refused or rolled back makes the step FAILED."""

from engine.errors import UsageError
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.decision import Decision
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.update_process import start_update
from engine.spec.resources.scenarios import UpdateDeploymentStep


def run(step: UpdateDeploymentStep, context: RunContext) -> StepResult:
    """Update the deployment; a dry run or a plan only describes this."""
    project = context.project
    if project.revision is not None:
        raise UsageError(f"the deployment {project.revision.deployment!r} cannot update deployments: its project does")
    bundle = step.bundle or _find_made_bundle(context)
    named = bundle or project.resources.deployments[step.deployment].bundle
    if named is None and context.mode != "plan":
        raise UsageError("no bundle is given, and no earlier step of this run has created one")
    about = f"bundle {named}" if named else "the bundle that the run makes"
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=f"{step.deployment}: {about}")

    def execute() -> StepResult:
        if context.mode != "run":
            return done
        end = start_update(project.path, step.deployment, bundle, project.overrides, context.environ, context.log.info)
        if end.problem:
            reason = context.secrets.redact(f"{step.deployment}: {about}: {end.problem}")
            return done.model_copy(update={"outcome": Outcome.FAILED, "cause": "failure", "reason": reason})
        return done.model_copy(update={"reason": f"{step.deployment}: {about}, revision {end.revision}"})

    action = Action(kind="deploy", target=step.deployment, because="always", reason=about)
    return Decision(action, execute, lambda: done).apply(context)


def _find_made_bundle(context: RunContext) -> str | None:
    """Return the last bundle that an earlier step of this run has made; None if there is none."""
    made = [action.result for step in context.finished for action in step.actions if action.kind == "pack"]
    return made[-1] if made else None
