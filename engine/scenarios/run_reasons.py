"""Decides whether a scenario must run after a change of its files, from its plan."""

from collections.abc import Set
from typing import Literal

from engine.pipeline.actions import Action
from engine.scenarios.plan import Plan

ChangedPart = Literal["spec", "code", "data"]
"""What has changed: the content of the spec, a Python file beside it, or a data file."""


def has_reason_to_run(plan: Plan, changed: Set[ChangedPart]) -> bool:
    """Return whether a plan has work to do after these changes; without changes, only work not done before.

    An action that computes something is a reason unless its result is reused. Checks are applied in every run, so they
    are a reason only after a change of the spec; an action that calls a function in every run, only after a change of
    the spec or of code. Messages and reports are never a reason, because they only report the other work.
    """
    return any(_is_reason(action, changed) for step in plan.all_steps() if step.runs != "no" for action in step.actions)


def _is_reason(action: Action, changed: Set[ChangedPart]) -> bool:
    if action.kind == "check":
        return "spec" in changed
    if action.kind not in ("read", "train", "profile", "evaluate", "call"):
        return False
    if action.because == "always":
        return not changed.isdisjoint(("spec", "code"))
    return action.because not in ("reused", "never")
