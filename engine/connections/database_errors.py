"""The error of a database, and of a package without which there is no connection to it."""

from importlib.util import find_spec

from engine.errors import DataError


class DatabaseError(DataError):
    """A database cannot be reached, or does not do what is asked of it.

    Attributes
    ----------
    code
        The SQLSTATE of PostgreSQL, of five characters; empty where there is none.
    transient
        Whether the same may succeed when it is tried once more: the connection was lost, or others were in the way.
    """

    def __init__(self, message: str, code: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient


def require_package(package: str, extra: str, what: str) -> None:
    """Raise a DatabaseError that names the extra unless a package is installed."""
    if find_spec(package) is None:
        raise DatabaseError(f"{what} needs the extra {extra}: pip install 'engine[{extra}]'")
