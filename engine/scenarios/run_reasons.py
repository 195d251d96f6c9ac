"""Whether the plan of a scenario has work that is a reason to run it, after something that it reads has changed."""

from collections.abc import Set
from typing import Literal

from engine.pipeline.actions import Action
from engine.scenarios.plan import Plan

ChangedPart = Literal["spec", "code", "data"]
"""What has changed: what the spec says, a Python file beside it, or a file of data."""


def has_reason_to_run(plan: Plan, changed: Set[ChangedPart]) -> bool:
    """Tell whether a plan has work to do after these changes; none: only what no earlier run has done.

    What is computed is a reason unless it is reused. Checks are applied in every run, so that they are a reason only
    after a change of the spec; what calls a function in every run, only after one of the spec or of code. Messages and
    reports are none: they tell of the other work.
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
