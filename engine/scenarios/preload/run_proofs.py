"""Proofs about the runs that a deployment will start: their data fit, and dry runs do not fail."""

from engine.errors import Severity, SpecError
from engine.formatting.lists import join_words
from engine.outcome import Outcome
from engine.scenarios.preload.revision import ProofFailed, Revision
from engine.scenarios.scenario_selection import list_run_scenarios
from engine.scenarios.session import plan_scenarios, run_scenarios


def prove_schemas(revision: Revision) -> str:
    """Prove that the data of the enabled scenarios exist and fit contracts, features and SQL."""
    names = _list_enabled(revision)
    if not names:
        return "no scenario is enabled"
    plan = plan_scenarios(revision.loaded, names, listeners=[revision.listen], state=revision.state_copy)
    errors = [one for one in plan.findings if one.severity is Severity.ERROR]
    if errors:
        raise ProofFailed(str(SpecError(tuple(errors))))
    for step in plan.failing_steps():
        raise ProofFailed(f"step {step.name!r} would fail: {step.problem}")
    return f"the data of {join_words(names, 'and')} are as declared"


def prove_dry_runs(revision: Revision) -> str:
    """Compute the scenarios of `dry_run` completely, without keeping or sending anything."""
    for name in revision.request.dry_run:
        finished = run_scenarios(
            revision.loaded,
            [name],
            listeners=[revision.listen],
            dry=True,
            preview=lambda _: None,
            state=revision.state_copy,
        )
        for run in finished.runs:
            # A check that is ERROR makes its step FAILED, but the cause is in the data, not in the release.
            if run.outcome is Outcome.ABORTED or run.cause == "failure":
                failed = [step for step in run.all_steps() if step.outcome in (Outcome.FAILED, Outcome.ABORTED)]
                reason = next((f": step {one.name!r}: {one.reason}" for one in failed if one.reason), "")
                raise ProofFailed(f"the dry run of {name!r} ended {run.outcome}{reason}")
    names = revision.request.dry_run
    return f"{join_words(names, 'and')} succeeded" if names else "none was requested"


def _list_enabled(revision: Revision) -> list[str]:
    """Return the scenarios that can run unattended: by triggers, by the health check, or by `run:`."""
    project = revision.loaded
    started = [
        name
        for name, scenario in project.scenarios.items()
        if scenario.active and any(trigger.active for trigger in scenario.triggers)
    ]
    named = [*revision.request.scenarios, *revision.request.dry_run, *started]
    return list(dict.fromkeys(named or [name for name in list_run_scenarios(project) if name in project.scenarios]))
