"""The release of the engine's code: during an upgrade, a new process may have other code than its parent."""

from engine import __version__
from engine.store.schema import REVISION


def describe_release() -> str:
    """Return the version of the engine and the revision of its database tables."""
    return f"engine {__version__}, tables {REVISION}"
