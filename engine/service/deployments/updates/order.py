"""What an update of a deployment is to do, and what it needs for that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.store.node import OperationKind

if TYPE_CHECKING:
    from engine.bundles.signatures import TrustedKey


class DeploymentRefusedError(EngineError):
    """An update was refused before it began: somebody was faster, the bundle is quarantined, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOrder:
    """An update of a deployment to a bundle with settings.

    Attributes
    ----------
    bundle, bundle_name
        The id of the bundle, and the name by which it was chosen.
    settings
        The snapshot of `snapshot_settings`.
    archive
        Where its archive is; None if the infrastructure has it.
    expected
        The revision that is to be active when the update begins: with another one, somebody was faster.
    again
        Deploy a bundle that was rolled back here before.
    now
        Leave out the proofs before the update.
    by
        Who asks for it.
    key
        The same key is the same update, however often it is asked for; None: a new one.
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
class Surroundings:
    """What updates of deployments need.

    Attributes
    ----------
    tell
        Called with what is being done, a sentence at a time.
    keys, require
        The keys that are trusted, and how many of them must have signed a bundle.
    node_file
        The node.yaml of the node that the deployments are on; None on no node. Then `keys`, `require`, `keep_bundles`
        and `environ` are taken from there, see `node_surroundings.py`.
    keep_bundles
        How many received bundles are kept, those in use included: others may be about to be deployed.
    checkpoint
        Called with the name of each point at which a crash must do no harm; tests end the process there.
    """

    environ: Mapping[str, str]
    tell: Callable[[str], None] = lambda _: None
    keys: Sequence["TrustedKey"] = ()
    require: int = 0
    node_file: Path | None = None
    keep_bundles: int = 0
    checkpoint: Callable[[str], None] = lambda _: None
