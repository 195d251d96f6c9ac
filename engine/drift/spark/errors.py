"""Errors of Spark in the words of this package, without the stack of Java."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from engine import errors
from engine.connections.spark_errors import explain_spark_error

_RAISED = re.compile(
    r"^(?P<module>[\w.]*?)\.?(?P<kind>\w*(?:Error|Exception|Warning|Interrupt))(?:: (?P<text>.*))?$", re.MULTILINE
)
"""The last line of the traceback of Python in the message of Spark."""


@contextmanager
def translate_spark_errors() -> Iterator[None]:
    """Raise an error of this package if Spark fails in the block.

    An error of this package that an executor has raised is raised as what it is.

    Raises
    ------
    DataError
        Spark could not read the rows, or its executors cannot run this package.
    """
    try:
        yield
    except Exception as problem:
        if not type(problem).__module__.startswith(("pyspark.", "py4j.")):
            raise
        raise _find_own_error(str(problem)) or explain_spark_error(problem) from None


def _find_own_error(message: str) -> Exception | None:
    """Return the error of this package that an executor has raised, from the traceback in a message of Spark."""
    if "Traceback (most recent call last)" not in message:
        return None
    raised = [found for found in _RAISED.finditer(message) if found["module"] or found["text"]]
    last = raised[-1] if raised else None
    kind = getattr(errors, last["kind"], None) if last and last["module"] == "engine.errors" else None
    return kind(last["text"] or "") if last and isinstance(kind, type) and issubclass(kind, Exception) else None
