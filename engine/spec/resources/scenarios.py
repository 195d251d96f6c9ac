"""`scenarios:`, the kinds of their steps, and their reporters."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import (
    Condition,
    Duration,
    Function,
    Message,
    Names,
    ReadPath,
    Ref,
    Resource,
    Scalar,
    Statement,
    WrittenPath,
)
from engine.spec.resources.triggers import AnyTrigger

BuildTarget = Annotated[str, Ref("evaluation_stores", "models", "datasets")]
CheckedTarget = Annotated[str, Ref("evaluation_stores", "datasets")]
DatasetName = Annotated[str, Ref("datasets")]


class MessageContent(Resource):
    """The channel, the recipients and the text of a message."""

    channel: Annotated[str, Ref("channels")] = Field(description="Name of the channel to send through.")
    to: Names = Field([], description="Addresses of the recipients; for channels of kind mail.")
    cc: Names = Field([], description="Addresses of the recipients of a copy; for channels of kind mail.")
    bcc: Names = Field([], description="Addresses of the recipients of a blind copy; for channels of kind mail.")
    from_: str | None = Field(
        None,
        alias="from",
        description="Address of the sender; if left out, that of the channel. For channels of kind mail.",
    )
    subject: Message = Field("${scenarioName}: ${outcome}", description="Subject or title of the message.")
    message: Message = Field(
        "${scenarioName} of ${projectKey} ended ${outcome} after ${duration}.\n"
        "${errorsEventsSummary}\n${warningsEventsSummary}\n${changesSummary}\n",
        description="Text of the message.",
    )
    message_file: ReadPath | None = Field(
        None,
        description="File that holds the text instead of message, relative to the file that declares the scenario.",
    )
    attach: list[str] = Field([], description="Attachments: scenario_log, report, chart or dataset:<name>.")


class Retries(Resource):
    """How to retry a failed step."""

    count: int = Field(ge=1, le=100, description="Maximum number of retries.")
    delay: Duration | None = Field(None, description="Pause before each retry; none if left out.")


class Step(Resource):
    """The keys of all kinds of steps."""

    name: str = Field(description="Name, different from the others of this scenario.")
    active: bool = Field(True, description="Whether the step runs. An inactive step is SKIPPED.")
    run_condition: Condition | None = Field(
        None,
        description="Run the step only if this is true. If left out, the step runs unless an earlier step FAILED. With "
        "the word always, it runs in any case.",
    )
    retries: Retries | None = Field(None, description="How to retry the step if it FAILED.")
    timeout: Duration | None = Field(None, description="Maximum duration of the step; then it is stopped and FAILED.")
    on_failure: Literal["fail", "warn"] = Field(
        "fail", description="Whether a failure makes the step FAILED or only WARNING."
    )
    on_warning: Literal["warn", "fail"] = Field(
        "warn", description="Whether a WARNING leaves the step WARNING or makes it FAILED."
    )

    @property
    def targets(self) -> list[str]:
        """The names under `target` whose data the step uses, in order; none for a kind of step without this key."""
        target: str | list[str] = getattr(self, "target", [])
        return [target] if isinstance(target, str) else target


class BuildStep(Step):
    """Build datasets, models or evaluation stores, and everything that they need."""

    kind: Literal["build"] = "build"
    target: BuildTarget | list[BuildTarget] = Field(
        min_length=1,
        description="Name of the dataset, model or evaluation store to build, or a list of names, built in this order.",
    )
    mode: Literal["changed", "force"] = Field(
        "changed", description="changed builds only what has changed; force always builds the target again."
    )


class RunChecksStep(Step):
    """Run the checks of evaluation stores or datasets."""

    kind: Literal["run_checks"] = "run_checks"
    target: CheckedTarget | list[CheckedTarget] = Field(
        min_length=1, description="Name of the store or dataset whose checks to run, or a list of names."
    )


class ComputeMetricsStep(Step):
    """Compute the metrics of datasets and store them."""

    kind: Literal["compute_metrics"] = "compute_metrics"
    target: DatasetName | list[DatasetName] = Field(
        min_length=1, description="Name of the dataset whose metrics to compute, or a list of names."
    )


class SetVariablesStep(Step):
    """Set variables for the later steps and the runs that they start; inside for_each, until the iteration ends."""

    kind: Literal["set_variables"] = "set_variables"
    variables: dict[str, Scalar] = Field(min_length=1, description="New values, by name of the variable.")


class RunScenarioStep(Step):
    """Run another scenario; the step ends with the outcome of that run."""

    kind: Literal["run_scenario"] = "run_scenario"
    scenario: Annotated[str, Ref("scenarios")] = Field(description="Name of the scenario to run.")
    variables: dict[str, Scalar] = Field({}, description="Values of variables for that run only.")


class PythonStep(Step):
    """Call a Python function of yours; it may return an outcome or a text for the log."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")


class ReportStep(Step):
    """Write a report about an evaluation: the one built in this run, or else the newest."""

    kind: Literal["report"] = "report"
    target: Annotated[str, Ref("evaluation_stores")] = Field(
        description="Name of the store whose evaluation to report."
    )
    path: WrittenPath = Field(
        description="File to write, relative to the spec; missing folders are created. The report is a self-contained "
        "HTML page, or a chart if the path ends in .png."
    )


class SendMessageStep(MessageContent, Step):
    """Send a message at this point of the run, about the results so far."""

    kind: Literal["send_message"] = "send_message"
    subject: Message = Field("${scenarioName}: ${outcome} so far", description="Subject or title of the message.")
    message: Message = Field(
        "${scenarioName} of ${projectKey} has been running for ${duration}; so far ${outcome}.\n"
        "${errorsEventsSummary}\n${warningsEventsSummary}\n${changesSummary}\n",
        description="Text of the message.",
    )


class ExportCsv(Resource):
    """How to write a CSV file."""

    separator: str = Field(",", min_length=1, max_length=1, description="Character that separates fields.")
    null_value: str = Field(
        "",
        description="Text for a missing value. If it is not the empty text, a dataset that reads the file must list it "
        "in null_values.",
    )


class ExportStep(Step):
    """Write a dataset to a file or a table, either completely or not at all."""

    kind: Literal["export"] = "export"
    dataset: DatasetName = Field(description="Name of the dataset to write.")
    connection: Annotated[str, Ref("connections")] | None = Field(
        None, description="Connection to write to; if left out, the folder of the spec."
    )
    path: WrittenPath | None = Field(
        None,
        description="File to write, relative to the spec or to the folder of the connection. Missing folders are "
        "created, and an existing file is replaced. A path with a ${variable} must not lead out of that folder.",
    )
    table: str | None = Field(
        None,
        min_length=1,
        description="If the connection is a database: table to write, as name or schema.name. A table that was not "
        "written for this project is not replaced.",
    )
    format: Literal["csv", "parquet", "ndjson", "arrow"] | None = Field(
        None, description="Format of the file; if left out, determined by the file extension."
    )
    csv: ExportCsv = Field(ExportCsv.model_construct(), description="How to write a CSV file.")


class SqlStep(Step):
    """Execute SQL statements in a database: all of them or none."""

    kind: Literal["sql"] = "sql"
    connection: Annotated[str, Ref("connections")] = Field(description="Name of the connection to the database.")
    statements: list[Statement] = Field(
        min_length=1,
        max_length=100,
        description="Statements to execute, in this order, in one transaction. A ${variable} becomes a typed literal.",
    )


class ClearStep(Step):
    """Remove the files of a dataset of kind file. They must be in the folder of the spec."""

    kind: Literal["clear"] = "clear"
    target: DatasetName = Field(description="Name of the dataset whose files to remove.")

    @property
    def targets(self) -> list[str]:
        """None: its data are not used."""
        return []


class PromoteStep(Step):
    """Replace the model in use by the newest version of a candidate."""

    kind: Literal["promote"] = "promote"
    model: Annotated[str, Ref("models")] = Field(description="Name of the model in use, which must be frozen.")
    candidate: Annotated[str, Ref("models")] = Field(
        description="Name of the candidate model. Its version measured by an evaluation of this run is used, or else "
        "its newest."
    )


class CreateBundleStep(Step):
    """Create a bundle from the results of the run so far, and add it to the local registry."""

    kind: Literal["create_bundle"] = "create_bundle"
    bundle: Annotated[str, Ref("bundles")] = Field(description="Name of the bundle that defines the content.")
    called: str | None = Field(
        None,
        min_length=1,
        description="Name of the new bundle, such as v-${as_of}; if left out, the name in bundle. A name cannot be "
        "used again for a different bundle.",
    )
    publish: bool = Field(False, description="Whether to publish the bundle in the registry too.")


class UpdateDeploymentStep(Step):
    """Deploy a bundle; the step FAILS if the deployment is refused or rolled back."""

    kind: Literal["update_deployment"] = "update_deployment"
    deployment: Annotated[str, Ref("deployments")] = Field(description="Name of the deployment to update.")
    bundle: str | None = Field(
        None,
        description="Name or id of the bundle. If left out: the one that an earlier step of this run has created, or "
        "else that of the deployment.",
    )


AnyStep = Annotated[
    BuildStep
    | RunChecksStep
    | ComputeMetricsStep
    | SetVariablesStep
    | RunScenarioStep
    | PythonStep
    | ReportStep
    | SendMessageStep
    | ExportStep
    | SqlStep
    | ClearStep
    | PromoteStep
    | CreateBundleStep
    | UpdateDeploymentStep,
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
    "send_message": SendMessageStep,
    "export": ExportStep,
    "sql": SqlStep,
    "clear": ClearStep,
    "promote": PromoteStep,
    "create_bundle": CreateBundleStep,
    "update_deployment": UpdateDeploymentStep,
}


class MessageOccasion(Resource):
    """Whether and when a reporter sends its message."""

    name: str = Field(description="Name, different from the others of this scenario.")
    active: bool = Field(True, description="Whether the reporter sends messages.")
    at: Literal["start", "end"] = Field("end", description="Whether to send at the start or at the end of the run.")
    run_condition: Condition | None = Field(
        None, description="Send only if this is true. If left out, or with the word always, send in any case."
    )
    only_on_change: bool = Field(
        False,
        description="Send only when run_condition becomes true after it was false at the last run. Without a "
        "run_condition: send when the outcome differs from that of the last run. Before the first run, run_condition "
        "counts as false and the outcome as SUCCESS.",
    )
    recovery: bool = Field(
        False,
        description="With only_on_change: send also when run_condition is no longer true. The subject then starts with "
        "“Recovered: ”, and the text says what has ended.",
    )
    cooldown: Duration | None = Field(
        None,
        description="Minimum time between two messages. A message held back is sent by the first later run at which "
        "the condition is still true. Messages about a recovery are sent at once.",
    )


class Reporter(MessageContent, MessageOccasion):
    """A message: when to send it, through which channel, to whom, and its text."""


class Scenario(Resource):
    """Steps that run in order, and the messages about them."""

    description: str | None = Field(None, description="Free text for readers. Changing it causes no recomputation.")
    variables: dict[str, Scalar] = Field({}, description="Values of variables for the runs of this scenario.")
    for_each: list[dict[str, Scalar]] | None = Field(
        None, min_length=1, description="Run the steps once with each of these sets of variables."
    )
    fail_fast: bool = Field(
        False,
        description="Whether to stop for_each after the first iteration that FAILED; the remaining ones are SKIPPED.",
    )
    on_busy: Literal["wait", "refuse"] = Field(
        "wait", description="Whether a second run waits for the first to end, or is refused."
    )
    timeout: Duration | None = Field(None, description="Maximum duration of a run; then it is stopped and ABORTED.")
    active: bool = Field(True, description="Whether triggers start the scenario. It can always be run by hand.")
    triggers: list[AnyTrigger] = Field([], description="Triggers that start the scenario while engine serve runs.")
    steps: list[AnyStep] = Field(min_length=1, description="Steps to run, in this order.")
    reporters: list[Reporter] = Field([], description="Messages to send about a run.")
