"""`infrastructures:` and `deployments:`: the places where bundles run, and their settings there."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.resource import DataPlace, Duration, Names, ReadPath, Ref, Resource, Scalar, SecretText


class TrustedKeyFile(Resource):
    """A public key with a last day of trust."""

    path: ReadPath = Field(description="File with the public Ed25519 key (PEM), relative to the spec.")
    not_after: date | None = Field(
        None, description="Last day on which signatures of this key are accepted, including older ones."
    )


class DirectoryInfrastructure(Resource):
    """A folder on this machine that contains deployments."""

    kind: Literal["directory"] = "directory"
    path: DataPlace = Field(description="Path of the folder, relative to the spec; created if missing.")
    trusted_keys: dict[str, ReadPath | TrustedKeyFile] = Field(
        {},
        description="Files with public Ed25519 keys (PEM), relative to the spec, by a name that you choose; a mapping "
        "gives the key a last day of trust.",
    )
    require: int = Field(0, ge=0, description="How many of the trusted keys must have signed a bundle.")


class NodeInfrastructure(Resource):
    """An automation node: a separate server, started by `engine serve --node` and reached over HTTP."""

    kind: Literal["node"] = "node"
    url: str = Field(description="Address of the node: https://node.example.com:7320.")
    token: SecretText = Field(
        description="Your token for the node, created there with `engine node token create`. Usually a ${secret.name}."
    )
    certificate: ReadPath | None = Field(
        None,
        description="File with the certificate (PEM) of the node or of its certificate authority, relative to the "
        "spec. Needed only if this machine does not trust it already.",
    )
    timeout: float = Field(30, gt=0, le=600, description="How many seconds to wait for a response from the node.")


Infrastructure = Annotated[DirectoryInfrastructure | NodeInfrastructure, Field(discriminator="kind")]
INFRASTRUCTURE_KINDS: dict[str, type[Resource]] = {"directory": DirectoryInfrastructure, "node": NodeInfrastructure}


class HealthCheck(Resource):
    """A check after an update; if it fails, the update is rolled back."""

    run: list[Annotated[str, Ref("scenarios")]] = Field([], description="Scenarios to run; they must not FAIL.")
    within: Duration | None = Field(None, description="Maximum duration of all of them together; 10m if left out.")


class Preload(Resource):
    """Additional tests before an update."""

    dry_run: list[Annotated[str, Ref("scenarios")]] = Field(
        [], description="Scenarios to compute completely, without storing or sending anything."
    )
    probe_channels: bool = Field(False, description="Whether to connect to the mail servers; no mail is sent.")
    within: Duration | None = Field(None, description="Maximum duration of the tests; 10m if left out.")


class Hook(Resource):
    """A program that runs before or after an update."""

    argv: Names = Field(min_length=1, description="The program and its arguments, one per entry; no shell is involved.")
    timeout: Duration | None = Field(None, description="Maximum duration of the program; 5m if left out.")


class Hooks(Resource):
    """Programs that run before and after an update. If a program before the update fails, the update stops."""

    before: list[Hook] = Field(
        [], description="Programs to run after the tests and before the new bundle becomes active."
    )
    after: list[Hook] = Field(
        [], description="Programs to run when the new bundle is active; a failure counts as a failed health check."
    )


class DeployedSecret(Resource):
    """The source of a secret value in a deployment."""

    env: str | None = Field(None, description="Environment variable that holds the secret.")
    file: ReadPath | None = Field(None, description="Absolute path of a file that holds the secret.")


class StateRows(Resource):
    """The database for the rows of a deployment's state; files and locks stay in its folder."""

    connection: Annotated[str, Ref("connections")] = Field(
        description="Connection of kind postgresql for the rows, declared in this file."
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        max_length=63,
        description="Schema of the rows, created if missing; if left out, engine_ followed by the names of the project "
        "and the deployment.",
    )


class Deployment(Resource):
    """A bundle that runs on an infrastructure. The settings of the deployment replace those of the bundle."""

    description: str | None = Field(None, description="Free text for readers.")
    infrastructure: Annotated[str, Ref("infrastructures")] = Field(description="Name of the infrastructure.")
    bundle: str | None = Field(
        None, description="Name or id of the bundle to deploy; if left out, the command line names it."
    )
    variables: dict[str, Scalar] = Field({}, description="Values of variables, by name.")
    connections: dict[str, Annotated[str, Ref("connections")] | Connection] = Field(
        {},
        description="Replacements of connections, by name: the name of another connection of the spec, or a "
        "declaration.",
    )
    channels: dict[str, Annotated[str, Ref("channels")] | Channel] = Field(
        {}, description="Replacements of channels, by name: the name of another channel of the spec, or a declaration."
    )
    secrets: dict[str, DeployedSecret] = Field({}, description="Sources of secret values in this deployment, by name.")
    state: StateRows | None = Field(
        None,
        description="Database for the rows of the state. If left out, they are in the folder of the deployment, "
        "regardless of the bundle.",
    )
    server_url: str | None = Field(
        None, description="Address of the server of the deployment; ${scenarioRunURL} starts with it."
    )
    scenarios: dict[Annotated[str, Ref("scenarios")], Literal["active", "inactive", "unchanged"]] = Field(
        {},
        description="Whether triggers start the scenarios of this deployment, by name; scenarios left out keep the "
        "setting of the bundle.",
    )
    preload: Preload = Field(Preload.model_construct(), description="Additional tests before an update.")
    health: HealthCheck = Field(
        HealthCheck.model_construct(), description="Check after an update, with rollback if it fails."
    )
    hooks: Hooks = Field(Hooks.model_construct(), description="Programs that run before and after an update.")
    keep: int = Field(5, ge=1, description="How many releases to keep; releases in use are always kept.")
