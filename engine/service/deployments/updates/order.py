"""The order for an update of a deployment, and the context of updates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.store.node import OperationKind

if TYPE_CHECKING:
    from engine.bundles.signatures import TrustedKey


class DeploymentRefusedError(EngineError):
    """An update was refused before its start: concurrent change, quarantined bundle, or no bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOrder:
    """An order to update a deployment to a bundle with settings.

    Attributes
    ----------
    bundle, bundle_name
        The id of the bundle, and the name with which it was chosen.
    settings
        The snapshot of `snapshot_settings`.
    archive
        The path of its archive; None if the infrastructure has it.
    expected
        The revision that must be active at the start of the update; another one means a concurrent change.
    again
        Deploy a bundle although it was rolled back here before.
    now
        Skip the proofs before the update.
    by
        The user who requests it.
    key
        The idempotency key: orders with the same key are one update; None for a new key.
    """

    deployment: str
    project: str
    bundle: str
    bundle_name: str
    settings: Mapping[str, Any]
    archive: Path | None
    expected: int | None
    by: str
    kind: OperationKind = "deploy"
    again: bool = False
    now: bool = False
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateContext:
    """The context of updates: trust, environment, retention and callbacks.

    Attributes
    ----------
    report
        Called with each progress message.
    keys, require
        The trusted keys, and how many of them must have signed a bundle.
    node_file
        The node.yaml of the node with the deployments; None without a node. `keys`, `require`, `keep_bundles` and
        `environ` are taken from it, see `node_confinement.py`.
    keep_bundles
        How many received bundles are kept, including those in use: others may soon be deployed.
    checkpoint
        Called with the name of each point where a crash must be harmless; tests end the process there.
    """

    environ: Mapping[str, str]
    report: Callable[[str], None] = lambda _: None
    keys: Sequence["TrustedKey"] = ()
    require: int = 0
    node_file: Path | None = None
    keep_bundles: int = 0
    checkpoint: Callable[[str], None] = lambda _: None
