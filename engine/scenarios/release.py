"""The release of the code: while it is replaced, a process may start with other code than the one that starts it."""

from engine import __version__
from engine.store.schema import REVISION


def describe_release() -> str:
    """Return the version of the engine, and the revision of the tables that it writes."""
    return f"engine {__version__}, tables {REVISION}"
