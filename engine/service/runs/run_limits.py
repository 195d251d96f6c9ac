"""The time limits of a server's runs: those of their scenarios and of the node, and when runs are killed."""

from datetime import timedelta

from engine.formatting.numbers import format_duration
from engine.service.runs.child_runs import ChildProcess
from engine.spec import ProjectSpec

OVERTIME = timedelta(seconds=30)
"""A run that has not ended this long after its timeout, or after the request to end, is killed."""


def find_late_end(child: ChildProcess, scenario: str, project: ProjectSpec | None, now: float) -> str:
    """Return why a run must be killed: it has not ended OVERTIME after its timeout or a request to end; else empty.

    Parameters
    ----------
    now
        The time of the monotonic clock in seconds.
    """
    if child.stopped:
        return child.stopped if now > child.stopped_at + OVERTIME.total_seconds() else ""
    declared = None if project is None else project.scenarios.get(scenario)
    if declared is None or declared.timeout is None or child.begun is None:
        return ""
    late = now > child.begun + (declared.timeout + OVERTIME).total_seconds()
    return "timeout: it did not end by itself" if late else ""


def find_excess(child: ChildProcess, project: ProjectSpec | None, now: float) -> str:
    """Return why a run must be aborted: it takes longer than the owner of the node allows; empty if it does not."""
    confinement = None if project is None else project.confinement
    if confinement is None or child.begun is None:
        return ""
    longest = confinement.longest_run.total_seconds()
    if now <= child.begun + longest:
        return ""
    return f"it took longer than {format_duration(longest)}, which limits.longest_run of the node allows"
