"""What updates of deployments on a node need, from the file of the node as it is when an update begins."""

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.bundles.signatures import load_trusted_keys
from engine.service.deployments.update_order import Surroundings
from engine.spec.node_file import load_node


def read_surroundings(
    node_file: Path | None,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    checkpoint: Callable[[str], None] = lambda _: None,
) -> Surroundings:
    """Return the surroundings of updates; without a file, those of a folder that trusts whoever can write to it.

    Raises
    ------
    SpecError
        The file is not valid.
    UsageError
        A trusted key cannot be read.
    """
    if node_file is None:
        return Surroundings(environ=environ, tell=tell, checkpoint=checkpoint)
    settings = load_node(node_file)
    return Surroundings(
        environ=environ,
        tell=tell,
        keys=load_trusted_keys(settings.resources.trusted_keys, settings.folder),
        require=settings.resources.require,
        keep_bundles=settings.resources.limits.bundles,
        checkpoint=checkpoint,
    )
