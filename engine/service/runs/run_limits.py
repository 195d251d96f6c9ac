"""How long the runs of a server may take: what their scenarios and the node say, and when they are killed."""

from datetime import timedelta

from engine.formatting.numbers import format_duration
from engine.service.runs.child_runs import ChildProcess
from engine.spec import ProjectSpec

OVERTIME = timedelta(seconds=30)
"""A run that has not ended so long after its timeout, or after it was asked to end, is killed."""


def find_late_end(child: ChildProcess, scenario: str, project: ProjectSpec | None, now: float) -> str:
    """Return why a run is to be killed: it has not ended although its time is over, or it was asked to; else empty.

    Parameters
    ----------
    now
        The time of the clock that is never set.
    """
    if child.stopped:
        return child.stopped if now > child.stopped_at + OVERTIME.total_seconds() else ""
    declared = None if project is None else project.scenarios.get(scenario)
    if declared is None or declared.timeout is None or child.begun is None:
        return ""
    late = now > child.begun + (declared.timeout + OVERTIME).total_seconds()
    return "timeout: it did not end by itself" if late else ""


def find_excess(child: ChildProcess, project: ProjectSpec | None, now: float) -> str:
    """Return why a run may not go on: on a node, none takes longer than its owner allows; empty if it may."""
    confinement = None if project is None else project.confinement
    if confinement is None or child.begun is None:
        return ""
    longest = confinement.longest_run.total_seconds()
    if now <= child.begun + longest:
        return ""
    return f"it took longer than {format_duration(longest)}, which limits.longest_run of the node allows"
