"""The context of a run: that of a build, and how the run was started, sends messages and starts other runs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.notifications import DeliveryTime
from engine.pipeline.context import BuildContext
from engine.scenarios.result import RunResult, StepResult
from engine.scenarios.scenario_selection import resolve_scenario
from engine.spec.resources.scenarios import Scenario

if TYPE_CHECKING:
    from engine.store import Fire


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext(BuildContext):
    """Everything that a step can use.

    Attributes
    ----------
    start_scenario
        Runs another scenario.
    trigger
        What started the run, in the words of conditions and messages.
    preview
        If given, it is called with the text that each reporter would send, and nothing is sent.
    deliver
        Whether the run sends its messages. If not, it only commits them, and a server sends them.
    delivery_time
        The time for the deliveries of this run, its parents and its child runs together.
    fire
        The trigger's fire that started the run, as it was when the run began; None without one. Child runs share it.
    turn
        The number of the iteration of `for_each`, from 0.
    finished
        The results of the earlier steps of the same iteration.
    deadline
        When the `timeout` of the run ends, in seconds of the monotonic clock.
    """

    start_scenario: "Callable[[str, RunContext], RunResult]"
    trigger: str = "manual"
    preview: Callable[[str], None] | None = None
    deliver: bool = True
    delivery_time: DeliveryTime = field(default_factory=DeliveryTime)
    fire: "Fire | None" = None
    turn: int = 0
    finished: tuple[StepResult, ...] = ()
    deadline: float = math.inf

    def get_scenario(self, name: str) -> Scenario:
        """Return a scenario, with the current values of the variables."""
        return resolve_scenario(self.project, name)
