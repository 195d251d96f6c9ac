"""`infrastructures:` and `deployments:`: where bundles run, and with which settings."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.resource import DataPlace, Duration, Names, ReadPath, Ref, Resource, Scalar, SecretText


class TrustedKeyFile(Resource):
    """A public key that is trusted until a day."""

    path: ReadPath = Field(description="File with the public Ed25519 key (PEM), relative to the spec.")
    not_after: date | None = Field(
        None, description="Last day on which its signatures count, also those that it made before."
    )


class DirectoryInfrastructure(Resource):
    """A folder of this machine in which deployments live."""

    kind: Literal["directory"] = "directory"
    path: DataPlace = Field(description="Path of the folder, relative to the spec; created if missing.")
    trusted_keys: dict[str, ReadPath | TrustedKeyFile] = Field(
        {},
        description="Files with public Ed25519 keys (PEM), by a name of yours, relative to the spec; a mapping if a "
        "key is trusted until a day.",
    )
    require: int = Field(0, ge=0, description="How many of the trusted keys must have signed a bundle.")


class NodeInfrastructure(Resource):
    """An automation node, a server of its own that is asked by HTTP: `engine serve --node`."""

    kind: Literal["node"] = "node"
    url: str = Field(description="Address of the node: https://node.example.com:7320.")
    token: SecretText = Field(
        description="The token that the node has given to you, from `engine node token create`. Usually a "
        "${secret.name}."
    )
    certificate: ReadPath | None = Field(
        None,
        description="File with the certificate (PEM) of the node, or of who has signed it, relative to the spec, if "
        "this machine does not trust it anyway.",
    )
    timeout: float = Field(30, gt=0, le=600, description="How many seconds to wait for an answer of the node.")


Infrastructure = Annotated[DirectoryInfrastructure | NodeInfrastructure, Field(discriminator="kind")]
INFRASTRUCTURE_KINDS: dict[str, type[Resource]] = {"directory": DirectoryInfrastructure, "node": NodeInfrastructure}


class HealthCheck(Resource):
    """What must end well after an update, else it is rolled back."""

    run: list[Annotated[str, Ref("scenarios")]] = Field([], description="Scenarios to run; they must not FAIL.")
    within: Duration | None = Field(None, description="Longest time that they may take together; 10m if left out.")


class Preload(Resource):
    """What is proved before an update, besides what always is."""

    dry_run: list[Annotated[str, Ref("scenarios")]] = Field(
        [], description="Scenarios to compute completely, without keeping or sending anything."
    )
    probe_channels: bool = Field(False, description="Whether mail servers are greeted; no mail is sent.")
    within: Duration | None = Field(None, description="Longest time that it may take; 10m if left out.")


class Hook(Resource):
    """A program that runs before or after an update."""

    argv: Names = Field(min_length=1, description="The program and its arguments, one per entry; no shell reads them.")
    timeout: Duration | None = Field(None, description="Longest time that it may take; 5m if left out.")


class Hooks(Resource):
    """Programs that run around an update; one that fails before it, stops it."""

    before: list[Hook] = Field([], description="Run after the proofs and before the new bundle is used.")
    after: list[Hook] = Field([], description="Run when the new bundle is used; a failure counts as bad health.")


class DeployedSecret(Resource):
    """Where a deployment finds a secret value."""

    env: str | None = Field(None, description="Environment variable that holds the secret.")
    file: ReadPath | None = Field(None, description="File that holds the secret; an absolute path.")


class StateRows(Resource):
    """Where the rows of the state of a deployment are; files and locks are in its folder."""

    connection: Annotated[str, Ref("connections")] = Field(
        description="Connection of the kind postgresql that has the rows: one declared in this file."
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        max_length=63,
        description="Schema of the rows, which is made if missing; engine_, the name of the project and that of the "
        "deployment if left out.",
    )


class Deployment(Resource):
    """A bundle that runs on an infrastructure with settings of its own, which win over those of the bundle."""

    description: str | None = Field(None, description="Free text for readers.")
    infrastructure: Annotated[str, Ref("infrastructures")] = Field(description="Name of the infrastructure.")
    bundle: str | None = Field(
        None, description="Name or id of the bundle to deploy; if left out, the command line names it."
    )
    variables: dict[str, Scalar] = Field({}, description="Values of variables.")
    connections: dict[str, Annotated[str, Ref("connections")] | Connection] = Field(
        {}, description="What takes the place of a connection: the name of another one of the spec, or a declaration."
    )
    channels: dict[str, Annotated[str, Ref("channels")] | Channel] = Field(
        {}, description="What takes the place of a channel: the name of another one of the spec, or a declaration."
    )
    secrets: dict[str, DeployedSecret] = Field({}, description="Where this deployment finds secret values.")
    state: StateRows | None = Field(
        None, description="Where the rows of its state are; in its folder if left out, whatever the bundle says."
    )
    server_url: str | None = Field(
        None, description="Address of the server there, with which ${scenarioRunURL} starts."
    )
    scenarios: dict[Annotated[str, Ref("scenarios")], Literal["active", "inactive", "unchanged"]] = Field(
        {}, description="Whether triggers start the scenarios there; those left out are as the bundle says."
    )
    preload: Preload = Field(Preload.model_construct(), description="What is proved before an update.")
    health: HealthCheck = Field(HealthCheck.model_construct(), description="What must end well after an update.")
    hooks: Hooks = Field(Hooks.model_construct(), description="Programs that run around an update.")
    keep: int = Field(5, ge=1, description="How many releases are kept; those in use are kept in any case.")
