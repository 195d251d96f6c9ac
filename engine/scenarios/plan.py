"""The plan of a run: every step in order, with every action and its reason."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from engine.errors import Diagnostic, Severity
from engine.outcome import ExitCode, Outcome
from engine.pipeline.actions import Action, FrozenModel


class StepPlan(FrozenModel):
    """The plan of a step."""

    name: str = Field(description="The step's name.")
    kind: str = Field(description="The step's kind.")
    runs: Literal["yes", "no", "depends"] = Field(
        description="Whether the step runs; depends: earlier steps decide that during the run."
    )
    reason: str = Field("", description="Why the step does not run, or the condition that it depends on.")
    turn: dict[str, Any] | None = Field(None, description="The values of this iteration of for_each.")
    actions: list[Action] = Field([], description="The actions of the step, in order.")
    problem: str = Field("", description="Why the step will fail; empty if no reason is known.")
    outcome: Outcome | None = Field(
        None, description="The outcome as far as it is known before the run: FAILED, SKIPPED, …; null if it is not."
    )
    on_failure: Literal["fail", "warn"] = Field(
        "fail", description="Whether a failure makes the step FAILED or only WARNING."
    )
    scenario: "ScenarioPlan | None" = Field(None, description="The plan of the scenario that the step runs.")

    @property
    def counts_as_failure(self) -> bool:
        """Whether the step will be FAILED, or would be if it ran."""
        return bool(self.problem) and self.on_failure == "fail"


class ScenarioPlan(FrozenModel):
    """The plan of a scenario."""

    scenario: str = Field(description="The scenario's name.")
    steps: list[StepPlan] = Field([], description="The steps in order, repeated for each iteration of for_each.")
    reporters: list[Action] = Field([], description="The messages that its reporters may send.")

    def failing_steps(self) -> Iterator[StepPlan]:
        """Yield each step because of which the scenario will be FAILED, or would be if the step ran."""
        for step in self.steps:
            if step.counts_as_failure:
                yield from [step] if step.scenario is None else step.scenario.failing_steps()

    def all_steps(self) -> Iterator[StepPlan]:
        """Yield every step, including the steps of the scenarios that it runs."""
        for step in self.steps:
            yield step
            if step.scenario is not None:
                yield from step.scenario.all_steps()


class Plan(FrozenModel):
    """The plan of one call of `engine run`."""

    schema_version: Literal[1] = Field(1, description="The version of this format.")
    project: str = Field(description="The project's name.")
    variables: dict[str, Any] = Field(description="The project's variables.")
    scenarios: list[ScenarioPlan] = Field(description="The scenarios, in order.")
    findings: list[Diagnostic] = Field(
        description="Errors and warnings about the spec, including those that only the data show."
    )

    def all_steps(self) -> Iterator[StepPlan]:
        """Yield every step, including the steps of the scenarios that others run."""
        for scenario in self.scenarios:
            yield from scenario.all_steps()

    def failing_steps(self) -> Iterator[StepPlan]:
        """Yield each step because of which a scenario will be FAILED, or would be if the step ran."""
        for scenario in self.scenarios:
            yield from scenario.failing_steps()

    def all_actions(self) -> list[Action]:
        """Return every action of every step that runs or may run."""
        return [action for step in self.all_steps() for action in step.actions]

    @property
    def exit_code(self) -> ExitCode:
        """USAGE if a finding is an error, COULD_NOT_RUN if a step will fail, or would if it ran; else OK.

        The failure of a step with `on_failure: warn` does not count, as in a run.
        """
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            return ExitCode.USAGE
        return ExitCode.COULD_NOT_RUN if any(self.failing_steps()) else ExitCode.OK
