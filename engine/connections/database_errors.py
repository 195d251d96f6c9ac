"""The errors of databases and of packages that they require."""

from importlib.util import find_spec

from engine.errors import DataError


class DatabaseError(DataError):
    """A database cannot be reached, or refuses a request.

    Attributes
    ----------
    code
        The SQLSTATE of PostgreSQL, five characters; empty if there is none.
    transient
        Whether a retry may succeed: the connection was lost, or there was a conflict with other sessions.
    """

    def __init__(self, message: str, code: str = "", *, transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient


def require_package(package: str, extra: str, what: str) -> None:
    """Raise a DatabaseError that names the extra unless a package is installed."""
    if find_spec(package) is None:
        raise DatabaseError(f"{what} needs the extra {extra}: pip install 'engine[{extra}]'")
