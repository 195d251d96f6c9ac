"""Errors of Spark in the words of this package, without the stack of Java."""

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
        An executor has raised it.
    """
    try:
        yield
    except Exception as problem:
        if (told := translate_spark_error(problem)) is None:
            raise
        raise told from None
