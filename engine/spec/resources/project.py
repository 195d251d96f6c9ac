"""The project: one file, or several united by include."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.datasets import AnyDataset
from engine.spec.resources.evaluation_stores import EvaluationStore
from engine.spec.resources.models import AnyModel
from engine.spec.resources.resource import Names, Ref, Resource, Scalar
from engine.spec.resources.scenarios import Scenario


class TypedVariable(Resource):
    """A variable whose type is said, not read off its value."""

    type: Literal["text", "integer", "number", "boolean", "date"] = Field(description="How the value is read.")
    value: Scalar | date = Field(description="The value.")


class Secret(Resource):
    """Where a secret value is found. It is never printed, stored, logged, bundled or fingerprinted."""

    env: str | None = Field(None, description="Environment variable that holds it.")
    file: str | None = Field(None, description="File that holds it.")
    optional: bool = Field(False, description="It may be absent: channels then use their fallback.")


class State(Resource):
    """Where evaluations, models and runs are kept."""

    path: str = Field(".engine", description="Folder, relative to the spec. Each project has its own in it.")


class Server(Resource):
    """The server that people open."""

    url: str = Field(description="What ${scenarioRunURL} starts with.")


class ProjectSpec(Resource):
    """A whole project."""

    version: Literal[1] = Field(description="Version of the language.")
    project: str = Field(description="The project's key.")
    description: str | None = Field(None, description="For people; recomputes nothing.")
    include: Names = Field([], description="Other files, united by name.")
    run: Annotated[str, Ref("scenarios")] | list[Annotated[str, Ref("scenarios")]] | None = Field(
        None, description="What engine run does when no scenario is named."
    )
    variables: dict[str, TypedVariable | Scalar] = Field({}, description="Values for ${name}.")
    secrets: dict[str, Secret] = Field({}, description="Values for ${secret.name}.")
    state: State = Field(State.model_construct(), description="Where results are kept.")
    server: Server | None = Field(None, description="The server that people open.")
    connections: dict[str, Connection] = Field({}, description="Where data lives.")
    datasets: dict[str, AnyDataset] = Field({}, description="Tables by name.")
    models: dict[str, AnyModel] = Field({}, description="What is watched.")
    evaluation_stores: dict[str, EvaluationStore] = Field({}, description="What was measured.")
    channels: dict[str, Channel] = Field({}, description="Where messages go.")
    scenarios: dict[str, Scenario] = Field({}, description="What is done, in which order, and who is told.")
