"""Translate Spark's errors into errors of this package, without the Java stack trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.connections.spark_errors import translate_spark_error


@contextmanager
def translate_spark_errors() -> Iterator[None]:
    """Raise an error of this package if Spark fails in the block.

    Raises
    ------
    DataError
        Spark could not read the rows, or its executors cannot run this package.
    UsageError
        Code of this package on an executor raised it.
    """
    try:
        yield
    except Exception as problem:
        if (translated := translate_spark_error(problem)) is None:
            raise
        raise translated from None
