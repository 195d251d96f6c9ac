"""The top level of a spec: the keys of a project, its variables, secrets and state."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.bundles import Bundle, Registry
from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.datasets import AnyDataset
from engine.spec.resources.deployments import Deployment, Infrastructure
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec
from engine.spec.resources.models import AnyModel
from engine.spec.resources.resource import DataPlace, ReadPath, Ref, Resource, Scalar
from engine.spec.resources.scenarios import Scenario


class TypedVariable(Resource):
    """A variable with a declared type. Without it, the type is taken from the value."""

    type: Literal["text", "integer", "number", "boolean", "date"] = Field(description="Type of the variable.")
    value: Scalar | date = Field(description="Value of the variable.")


class Secret(Resource):
    """Where to find a secret value."""

    env: str | None = Field(None, description="Environment variable that holds the secret.")
    file: ReadPath | None = Field(
        None, description="File that holds the secret, relative to the file that declares it."
    )
    optional: bool = Field(False, description="Whether the secret may be absent; a channel then uses its fallback.")


class State(Resource):
    """Where evaluations, model versions and runs are stored."""

    path: DataPlace = Field(
        ".engine", description="Folder for the results, relative to the spec. Each project has a subfolder in it."
    )
    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Connection of the kind postgresql that has the rows; files and locks stay in the folder, the "
        "rows too if left out.",
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        max_length=63,
        description="Schema of the rows, which is made if missing; engine_ and the name of the project if left out.",
    )


class Server(Resource):
    """The server that shows runs to people."""

    url: str = Field(description="Address of the server, with which ${scenarioRunURL} starts.")


class RetentionLimits(Resource):
    """What is kept: what exceeds one of the limits is removed."""

    keep: int | None = Field(None, ge=1, description="How many of the newest are kept; all if left out.")
    days: int | None = Field(None, ge=1, description="How many days they are kept; for ever if left out.")


class Retention(Resource):
    """What engine serve and engine prune remove from the state; nothing that is left out."""

    runs: RetentionLimits | None = Field(
        None, description="Runs with their logs, steps and events; counted per scenario."
    )
    evaluations: RetentionLimits | None = Field(
        None, description="Evaluations with their metrics, check results and files; counted per store."
    )
    evaluation_files: RetentionLimits | None = Field(
        None,
        description="The files of evaluations, their profiles and samples; the rows stay. Counted per store.",
    )
    attachments: RetentionLimits | None = Field(
        None, description="Attachments of messages that are not to be sent any more."
    )


class ProjectResource(Resource):
    """The keys at the top level of a spec."""

    version: Literal[1] = Field(description="Version of the spec language; must be 1.")
    project: str = Field(description="Name of the project.")
    description: str | None = Field(None, description="Free text for readers; a change of it recomputes nothing.")
    timezone: str = Field(
        "UTC",
        description="Time zone of the dates that a run stands for, ${as_of} and the like, and of times without an "
        "offset: a name such as Europe/Berlin.",
    )
    include: list[ReadPath] = Field([], description="Files to include, whose sections are added to those of this file.")
    run: Annotated[str, Ref("scenarios")] | list[Annotated[str, Ref("scenarios")]] | None = Field(
        None, description="Scenarios that engine run executes when none is named on the command line."
    )
    variables: dict[str, TypedVariable | Scalar] = Field({}, description="Values that ${name} stands for.")
    secrets: dict[str, Secret] = Field({}, description="Sources of the values that ${secret.name} stands for.")
    state: State = Field(State.model_construct(), description="Where results are stored.")
    retention: Retention | None = Field(None, description="What is removed from the state in the course of time.")
    server: Server | None = Field(None, description="The server that shows runs to people.")
    connections: dict[str, Connection] = Field({}, description="Where data is stored.")
    datasets: dict[str, AnyDataset] = Field({}, description="Tables, by name.")
    models: dict[str, AnyModel] = Field({}, description="Models to monitor, by name.")
    evaluation_stores: dict[str, EvaluationStoreSpec] = Field(
        {}, description="Stores in which evaluations are kept, by name."
    )
    channels: dict[str, Channel] = Field({}, description="Ways to deliver messages, by name.")
    scenarios: dict[str, Scenario] = Field({}, description="Steps to run and messages to send, by name.")
    registry: Registry | None = Field(None, description="Where bundles are published.")
    bundles: dict[str, Bundle] = Field({}, description="Versions of the project to carry elsewhere, by name.")
    infrastructures: dict[str, Infrastructure] = Field({}, description="Where deployments live, by name.")
    deployments: dict[str, Deployment] = Field({}, description="Bundles that run with settings of their own, by name.")
