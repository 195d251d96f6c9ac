"""Errors of Spark in the words of this package, without the stack of Java."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from sys import version_info

from engine import errors
from engine.errors import DataError

_RAISED = re.compile(
    r"^(?P<module>[\w.]*?)\.?(?P<kind>\w*(?:Error|Exception|Warning|Interrupt))(?:: (?P<text>.*))?$", re.MULTILINE
)
"""The last line of the traceback of Python in the message of Spark."""

_CODES = re.compile(r"^\[[A-Z_.]+\] | SQLSTATE: \w+.*$")
"""What Spark adds to a message for programs."""


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
        raise _describe(str(problem)) from None


def _describe(message: str) -> Exception:
    """Return the error that says what a message of Spark means."""
    if "PYTHON_VERSION_MISMATCH" in message:
        return DataError(
            "the executors of Spark run another version of Python than this process: set PYSPARK_PYTHON to a Python of "
            f"version {version_info[0]}.{version_info[1]} with the engine, before the session starts"
        )
    if "Traceback (most recent call last)" not in message:
        first = message.strip().partition("\n")[0]
        return DataError(f"Spark cannot read the data: {_CODES.sub('', first)}")
    raised = [found for found in _RAISED.finditer(message) if found["module"] or found["text"]]
    kind, module, text = (
        (raised[-1]["kind"], raised[-1]["module"], raised[-1]["text"] or "") if raised else ("", "", "")
    )
    if kind == "ModuleNotFoundError":
        return DataError(
            f"an executor of Spark cannot run the engine: {text}; install the engine with the extra spark in the "
            "Python of every executor, as it is here, and set PYSPARK_PYTHON to that Python before a session starts"
        )
    found = getattr(errors, kind, None) if module == "engine.errors" else None
    if isinstance(found, type) and issubclass(found, Exception):
        return found(text)
    return DataError(f"an executor of Spark failed: {kind}: {text}")
