"""Scenarios: steps in order, and who is told."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import Condition, Duration, Function, Message, Names, Ref, Resource, Scalar


class Retries(Resource):
    """Try a failed step again."""

    count: int = Field(ge=1, le=100, description="How many more tries.")
    delay: Duration | None = Field(None, description="Pause before each; none if left out.")


class Step(Resource):
    """What all kinds of steps have."""

    name: str = Field(description="Its name, unlike any other of the scenario.")
    run_condition: Condition | None = Field(
        None, description="Run only if this holds; if left out, unless an earlier step FAILED."
    )
    retries: Retries | None = Field(None, description="Try again if it FAILED.")
    timeout: Duration | None = Field(None, description="The step is ended, and FAILED, after this time.")
    on_failure: Literal["fail", "warn"] = Field("fail", description="What a failure counts as.")


class BuildStep(Step):
    """Build a dataset, a model or an evaluation store, with all that it needs."""

    kind: Literal["build"] = "build"
    target: Annotated[str, Ref("evaluation_stores", "models", "datasets")] = Field(description="What to build.")
    mode: Literal["changed", "force"] = Field(
        "changed", description="changed reuses what nothing has changed; force builds the target again."
    )


class RunChecksStep(Step):
    """Run the checks of an evaluation store or a dataset."""

    kind: Literal["run_checks"] = "run_checks"
    target: Annotated[str, Ref("evaluation_stores", "datasets")] = Field(description="Whose checks.")


class ComputeMetricsStep(Step):
    """Compute and remember a dataset's metrics."""

    kind: Literal["compute_metrics"] = "compute_metrics"
    target: Annotated[str, Ref("datasets")] = Field(description="Whose metrics.")


class SetVariablesStep(Step):
    """Set variables for the rest of the run and the runs that it starts."""

    kind: Literal["set_variables"] = "set_variables"
    variables: dict[str, Scalar] = Field(min_length=1, description="Values by name.")


class RunScenarioStep(Step):
    """Run another scenario; its outcome is the step's."""

    kind: Literal["run_scenario"] = "run_scenario"
    scenario: Annotated[str, Ref("scenarios")] = Field(description="The scenario.")
    variables: dict[str, Scalar] = Field({}, description="Values for that run alone.")


class PythonStep(Step):
    """Call a function of yours; it may return an outcome or a text for the log."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="module:function, found beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments of the function.")


class ReportStep(Step):
    """Write an evaluation as a page for people: the one that this run has built, else the newest."""

    kind: Literal["report"] = "report"
    target: Annotated[str, Ref("evaluation_stores")] = Field(description="Whose evaluation.")
    path: str = Field(
        description="The file, relative to the spec; its folders are made. An HTML page that needs nothing else, or a "
        "chart where it ends in .png."
    )


AnyStep = Annotated[
    BuildStep | RunChecksStep | ComputeMetricsStep | SetVariablesStep | RunScenarioStep | PythonStep | ReportStep,
    Field(discriminator="kind"),
]
STEP_KINDS: dict[str, type[Resource]] = {
    "build": BuildStep,
    "run_checks": RunChecksStep,
    "compute_metrics": ComputeMetricsStep,
    "set_variables": SetVariablesStep,
    "run_scenario": RunScenarioStep,
    "python": PythonStep,
    "report": ReportStep,
}


class Reporter(Resource):
    """Who is told what, and when."""

    name: str = Field(description="Its name, unlike any other of the scenario.")
    active: bool = Field(True, description="false: it never sends.")
    at: Literal["start", "end"] = Field("end", description="When of the run.")
    run_condition: Condition | None = Field(None, description="Send only if this holds; always if left out.")
    channel: Annotated[str, Ref("channels")] = Field(description="Where it is sent.")
    to: Names = Field([], description="Addresses, for mail.")
    subject: Message = Field("${scenarioName}: ${outcome}", description="The subject or title.")
    message: Message = Field(
        "${scenarioName} of ${projectKey} ended ${outcome} after ${duration}.\n"
        "${errorsEventsSummary}\n${warningsEventsSummary}\n",
        description="The text.",
    )
    attach: list[str] = Field([], description="scenario_log, report, chart, dataset:<name>.")


class Scenario(Resource):
    """Steps in order, then reporters."""

    description: str | None = Field(None, description="For people; recomputes nothing.")
    variables: dict[str, Scalar] = Field({}, description="Values for the runs of this scenario.")
    for_each: list[dict[str, Scalar]] | None = Field(
        None, min_length=1, description="Run the steps once with each of these sets of variables."
    )
    fail_fast: bool = Field(False, description="A turn of for_each that FAILED stops the others.")
    on_busy: Literal["wait", "refuse"] = Field("wait", description="What happens while it is already running.")
    steps: list[AnyStep] = Field(min_length=1, description="In order.")
    reporters: list[Reporter] = Field([], description="Who is told.")
