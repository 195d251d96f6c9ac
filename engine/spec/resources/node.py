"""node.yaml: how an automation node works, and what its owner gives to the bundles that are deployed there.

A bundle and whoever deploys it know only names. What stands behind a name (the value of a secret, a database, a mail
server) is the owner's, and wins over the bundle and over the settings of the deployment.
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.deployments import DeployedSecret, StateRows, TrustedKeyFile
from engine.spec.resources.resource import Duration, Resource, Scalar

LONGEST_RUN = timedelta(hours=24)
"""The default limit of a run's time on a node."""


class NodeTls(Resource):
    """The certificate with which the node answers HTTPS."""

    certificate: str = Field(description="File with the certificate and its chain (PEM), relative to this file.")
    key: str = Field(description="File with its private key (PEM), relative to this file.")


class NodeLimits(Resource):
    """What nobody can exceed by asking."""

    bundle_megabytes: float = Field(2048, gt=0, description="Size of a bundle, in megabytes.")
    bundles: int = Field(200, ge=1, description="Number of bundles that are kept; those in use are kept in any case.")
    runs_at_once: int | None = Field(
        None, ge=1, description="Number of runs at the same time; 1 for 2 cores if left out."
    )
    longest_run: Duration | None = Field(
        None, description="Longest time that a run may take, whatever its scenario says; 24h if left out."
    )


class GivenResources(Resource):
    """What the node gives under the names that bundles use."""

    variables: dict[str, Scalar] = Field({}, description="Values of variables.")
    environment: dict[str, str] = Field(
        {}, description="By the NAME of ${env.NAME} in bundles: the environment variable of the node that is read."
    )
    secrets: dict[str, DeployedSecret] = Field({}, description="Where the values of secrets are found.")
    connections: dict[str, Connection] = Field({}, description="What takes the place of connections.")
    channels: dict[str, Channel] = Field({}, description="What takes the place of channels.")
    state: StateRows | None = Field(
        None, description="Where the rows of the states are; each in the folder of its deployment if left out."
    )


class NodeResource(GivenResources):
    """An automation node."""

    version: Literal[1] = Field(description="Version of this file's language.")
    node: str = Field(description="Name of the node, for people.")
    folder: str = Field(".", description="Folder of bundles, deployments and states, relative to this file.")
    listen: str = Field("127.0.0.1:7320", description="HOST:PORT at which it answers.")
    url: str | None = Field(
        None, description="Address under which others reach it, with which ${scenarioRunURL} starts."
    )
    tls: NodeTls | None = Field(None, description="Certificate, to answer HTTPS.")
    behind_proxy: bool = Field(False, description="Whether a proxy in front of it ends TLS.")
    trusted_keys: dict[str, str | TrustedKeyFile] = Field(
        {}, description="Files with public Ed25519 keys (PEM), by a name of yours, relative to this file."
    )
    require: int = Field(0, ge=0, description="How many of the trusted keys must have signed a bundle.")
    allow_code: bool = Field(
        False,
        description="Whether the Python code and the commands of a bundle run, and the hooks of a deployment, although "
        "no trusted key has signed it. Code that runs reads what the user of the server can read.",
    )
    folders: list[str] = Field(
        [], description="Absolute paths of folders that file connections and files of deployments may lie in."
    )
    deployments: dict[str, GivenResources] = Field(
        {}, description="What is given to one deployment alone; wins over what is given to all."
    )
    limits: NodeLimits = Field(NodeLimits.model_construct(), description="What nobody can exceed by asking.")
