"""node.yaml: the settings of an automation node, and the resources that its owner gives to the bundles deployed there.

A bundle and the person who deploys it know only names. The owner of the node decides what a name means (the value of a
secret, a database, a mail server); this replaces the settings of the bundle and of the deployment.
"""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from engine.spec.resources.channels import Channel
from engine.spec.resources.connections import Connection
from engine.spec.resources.deployments import DeployedSecret, StateRows, TrustedKeyFile
from engine.spec.resources.resource import Duration, Resource, Scalar

LONGEST_RUN = timedelta(hours=24)
"""The default maximum duration of a run on a node."""


class NodeTls(Resource):
    """The certificate of the node for HTTPS."""

    certificate: str = Field(description="File with the certificate and its chain (PEM), relative to this file.")
    key: str = Field(description="File with the private key of the certificate (PEM), relative to this file.")


class NodeLimits(Resource):
    """Limits that no request can exceed."""

    bundle_megabytes: float = Field(2048, gt=0, description="Maximum size of a bundle, in megabytes.")
    bundles: int = Field(200, ge=1, description="Maximum number of bundles to keep; bundles in use are always kept.")
    runs_at_once: int | None = Field(
        None, ge=1, description="Maximum number of concurrent runs; 1 per 2 cores if left out."
    )
    longest_run: Duration | None = Field(
        None, description="Maximum duration of a run, also if its scenario allows more; 24h if left out."
    )


class GivenResources(Resource):
    """The values and resources that the node provides for the names used in bundles."""

    variables: dict[str, Scalar] = Field({}, description="Values of variables, by name.")
    environment: dict[str, str] = Field(
        {}, description="For each NAME of ${env.NAME} in bundles: the environment variable of the node to read."
    )
    secrets: dict[str, DeployedSecret] = Field({}, description="Sources of the values of secrets, by name.")
    connections: dict[str, Connection] = Field({}, description="Replacements of connections, by name.")
    channels: dict[str, Channel] = Field({}, description="Replacements of channels, by name.")
    state: StateRows | None = Field(
        None, description="Database for the rows of the states; if left out, they are in the folder of each deployment."
    )


class NodeResource(GivenResources):
    """An automation node."""

    version: Literal[1] = Field(description="Version of the language of this file; must be 1.")
    node: str = Field(description="Name of the node, shown to users.")
    folder: str = Field(".", description="Folder for bundles, deployments and states, relative to this file.")
    listen: str = Field("127.0.0.1:7320", description="HOST:PORT to listen on.")
    url: str | None = Field(
        None, description="Address at which others reach the node; ${scenarioRunURL} starts with it."
    )
    tls: NodeTls | None = Field(None, description="Certificate for HTTPS.")
    behind_proxy: bool = Field(False, description="Whether a proxy in front of the node terminates TLS.")
    trusted_keys: dict[str, str | TrustedKeyFile] = Field(
        {}, description="Files with public Ed25519 keys (PEM), relative to this file, by a name that you choose."
    )
    require: int = Field(0, ge=0, description="How many of the trusted keys must have signed a bundle.")
    allow_code: bool = Field(
        False,
        description="Whether to run the Python code and commands of a bundle, and the hooks of a deployment, without "
        "the signature of a trusted key. Such code can read everything that the user of the server can read.",
    )
    folders: list[str] = Field(
        [], description="Absolute paths of folders in which file connections and files of deployments are allowed."
    )
    deployments: dict[str, GivenResources] = Field(
        {}, description="Values and resources for single deployments, by name; they replace those for all deployments."
    )
    limits: NodeLimits = Field(NodeLimits.model_construct(), description="Limits that no request can exceed.")
