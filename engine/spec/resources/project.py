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
    """The source of a secret value."""

    env: str | None = Field(None, description="Environment variable that holds the secret.")
    file: ReadPath | None = Field(
        None, description="File that holds the secret, relative to the file that declares it."
    )
    optional: bool = Field(False, description="Whether the secret may be missing; a channel then uses its fallback.")


class State(Resource):
    """The storage of evaluations, model versions and runs."""

    path: DataPlace = Field(
        ".engine", description="Folder for the results, relative to the spec. Each project has a subfolder in it."
    )
    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Connection of kind postgresql for the rows; if left out, they are stored in the folder. Files and "
        "locks always stay in the folder.",
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        max_length=63,
        description="Schema of the rows, created if missing; if left out, engine_ followed by the name of the project.",
    )


class Server(Resource):
    """The web server on which people view runs."""

    url: str = Field(description="Address of the server; ${scenarioRunURL} starts with it.")


class RetentionLimits(Resource):
    """Limits on stored results. Results beyond one of the limits are removed."""

    keep: int | None = Field(None, ge=1, description="How many of the newest to keep; all if left out.")
    days: int | None = Field(None, ge=1, description="How many days to keep them; forever if left out.")


class Retention(Resource):
    """The results that engine serve and engine prune remove from the state; kinds that are left out stay."""

    runs: RetentionLimits | None = Field(
        None, description="Runs with their logs, steps and events, counted per scenario."
    )
    evaluations: RetentionLimits | None = Field(
        None, description="Evaluations with their metrics, check results and files, counted per store."
    )
    evaluation_files: RetentionLimits | None = Field(
        None,
        description="Files of evaluations (profiles and samples), counted per store; the rows stay.",
    )
    attachments: RetentionLimits | None = Field(
        None, description="Attachments of messages that will not be sent any more."
    )


class ProjectResource(Resource):
    """The keys at the top level of a spec."""

    version: Literal[1] = Field(description="Version of the spec language; must be 1.")
    project: str = Field(description="Name of the project.")
    description: str | None = Field(None, description="Free text for readers. Changing it causes no recomputation.")
    timezone: str = Field(
        "UTC",
        description="Time zone of ${as_of} and the other dates of a run, and of times without an offset; a name such "
        "as Europe/Berlin.",
    )
    include: list[ReadPath] = Field([], description="Files to include; their sections are added to those of this file.")
    run: Annotated[str, Ref("scenarios")] | list[Annotated[str, Ref("scenarios")]] | None = Field(
        None, description="Scenarios that engine run executes if the command line names none."
    )
    variables: dict[str, TypedVariable | Scalar] = Field({}, description="Values for ${name}, by name.")
    secrets: dict[str, Secret] = Field({}, description="Sources of the values for ${secret.name}, by name.")
    state: State = Field(State.model_construct(), description="Where results are stored.")
    retention: Retention | None = Field(None, description="Limits beyond which old results are removed from the state.")
    server: Server | None = Field(None, description="The web server on which people view runs.")
    connections: dict[str, Connection] = Field({}, description="Places where data is stored, by name.")
    datasets: dict[str, AnyDataset] = Field({}, description="Tables, by name.")
    models: dict[str, AnyModel] = Field({}, description="Models to monitor, by name.")
    evaluation_stores: dict[str, EvaluationStoreSpec] = Field(
        {}, description="Stores in which evaluations are kept, by name."
    )
    channels: dict[str, Channel] = Field({}, description="Ways to deliver messages, by name.")
    scenarios: dict[str, Scenario] = Field({}, description="Steps to run and messages to send, by name.")
    registry: Registry | None = Field(None, description="Place where bundles are published.")
    bundles: dict[str, Bundle] = Field({}, description="Versions of the project to deploy elsewhere, by name.")
    infrastructures: dict[str, Infrastructure] = Field({}, description="Places where deployments run, by name.")
    deployments: dict[str, Deployment] = Field({}, description="Bundles that run with their own settings, by name.")
